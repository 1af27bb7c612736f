"""Rules of style where Streamlit's own leave text hard to read, or the answer out of sight."""

import streamlit as st

PAGE, ANSWER = "page", "answer"  # keys of containers: the settings beside the answer, and the numbers of the answer

# Labels of disabled widgets keep the colour of text: Streamlit's grey has a contrast of 2.3, and 4.5 is legible (WCAG).
# Formulas do not scroll, because only a mouse could do that.
LEGIBLE = """
[data-testid="stWidgetLabel"], [data-testid="stWidgetLabel"] p { color: inherit; }
.katex-display { overflow: visible !important; }
"""
# On a phone the numbers of the answer stay above the settings while these scroll, four in a row.
NARROW = f"""
@media (max-width: 640px) {{
  .st-key-{PAGE} [data-testid="stColumn"]:has(.st-key-{ANSWER}),
  .st-key-{PAGE} [data-testid="stColumn"]:has(.st-key-{ANSWER}) > [data-testid="stVerticalBlock"],
  [data-testid="stLayoutWrapper"]:has(> .st-key-{ANSWER}) {{ display: contents; }}
  .st-key-{ANSWER} {{ order: -1; position: sticky; top: 3.75rem; z-index: 99; background: Canvas; }}
  .st-key-{ANSWER} [data-testid="stHorizontalBlock"] {{ flex-wrap: nowrap; gap: 0.25rem; }}
  .st-key-{ANSWER} [data-testid="stColumn"] {{ min-width: 0; }}
  .st-key-{ANSWER} [data-testid="stMetric"] {{ padding: 0.25rem 0.4rem !important; }}
  .st-key-{ANSWER} [data-testid="stMetricLabel"] * {{ font-size: 0.75rem; white-space: normal; }}
  .st-key-{ANSWER} [data-testid="stMetricValue"] {{ font-size: 1rem; }}
  .st-key-{ANSWER} [data-testid="stMetricDelta"], .st-key-{ANSWER} .stTooltipIcon {{ display: none; }}
}}
"""


def apply() -> None:
    """Adds the rules to the page. They take no room."""
    st.html(f"<style>{LEGIBLE}{NARROW}</style>")
