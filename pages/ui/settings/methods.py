"""The words of a method, as every page shows them."""

from enum import StrEnum

import streamlit as st

from compression.lessons.methods import explanation
from pages.ui import wording


def explain(member: StrEnum) -> None:
    """What it does, its formula, when it fails, and whose it is."""
    said = explanation(member)
    st.markdown(f"**{wording.capital(member)}.** {said.text}")
    lines = said.formula.replace(r", \quad", r" \\")  # each on its own, for a column is narrow
    st.latex(rf"\begin{{gathered}}{lines}\end{{gathered}}")
    st.markdown(f"*It fails* {said.fails}")
    st.caption(said.source)
