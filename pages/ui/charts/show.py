"""Puts a chart onto a page, with text in the colour of the reader's theme."""

from typing import Any

import streamlit as st

from pages.ui.charts import style
from pages.ui.state import session


def ink() -> str:
    """Returns the colour of text in the reader's theme."""
    return style.ink(st.context.theme.type)


def text_scale() -> float:
    """Returns how much larger than usual text is now."""
    return style.LARGER if session.now().present else 1.0


def chart(figure: style.Drawing, key: str, alt: str, **options: Any) -> Any:
    """Shows a chart under its key. With `on_select` among the `options`, returns what is selected."""
    if text_scale() > 1:
        figure = style.Drawing.of(style.enlarged(figure.to_dict()))
    return st.plotly_chart(figure, config=style.CONFIG, theme=None, key=key, alt=alt, **options)
