"""Rules of style where Streamlit's own leave text hard to read."""

import streamlit as st

# Labels of disabled widgets keep the colour of text: Streamlit's grey has a contrast of 2.3, and 4.5 is legible (WCAG).
# Formulas do not scroll, because only a mouse could do that.
STYLE = """
[data-testid="stWidgetLabel"], [data-testid="stWidgetLabel"] p { color: inherit; }
.katex-display { overflow: visible !important; }
"""


def apply() -> None:
    """Adds the rules to the page. They take no room."""
    st.html(f"<style>{STYLE}</style>")
