"""Puts a chart onto a page, with text in the colour of the reader's theme."""

from typing import Any

import streamlit as st

from pages.ui.charts import style


def ink() -> str:
    """Returns the colour of text in the reader's theme."""
    return style.ink(st.context.theme.type)


def chart(figure: style.Drawing, key: str, alt: str, **options: Any) -> Any:
    """Shows a chart under its key. With `on_select` among the `options`, returns what is selected."""
    return st.plotly_chart(figure, config=style.CONFIG, theme=None, key=key, alt=alt, **options)
