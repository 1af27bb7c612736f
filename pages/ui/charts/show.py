"""How a chart of `charts` gets onto a page: in the ink of the reader's theme, and by its key."""

from typing import Any

import streamlit as st

from pages.ui.charts import style


def ink() -> str:
    """The colour of what is written, on the ground of the reader's theme."""
    return style.ink(st.context.theme.type)


def chart(figure: style.Drawing, key: str, alt: str, **options: Any) -> Any:
    """With `on_select` among the `options`, returns what is selected."""
    return st.plotly_chart(figure, config=style.CONFIG, theme=None, key=key, alt=alt, **options)
