"""How a chart of `charts` gets onto a page: in the ink of the reader's theme, and by its key."""

from typing import Any

import streamlit as st

from pages.ui.charts import style as charts


def ink() -> str:
    """The colour of what is written, on the ground of the reader's theme."""
    return charts.ink(st.context.theme.type)


def chart(figure: charts.Drawing, key: str, alt: str, **options: Any) -> Any:
    """With `on_select` among the `options`, returns what is selected."""
    return st.plotly_chart(figure, config=charts.CONFIG, theme=None, key=key, alt=alt, **options)
