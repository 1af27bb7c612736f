"""The explanation of a method, as every page shows it."""

from enum import StrEnum

import streamlit as st

from compression.lessons.methods import explanation
from pages.ui import wording


def explain(member: StrEnum) -> None:
    """Shows what the method does, its formula, when it fails, and its source."""
    words = explanation(member)
    st.markdown(f"**{wording.capital(member)}.** {words.text}")
    lines = words.formula.replace(r", \quad", r" \\")  # one line for each formula, because a column is narrow
    st.latex(rf"\begin{{gathered}}{lines}\end{{gathered}}")
    st.markdown(f"*It fails* {words.fails}")
    st.caption(words.source)
