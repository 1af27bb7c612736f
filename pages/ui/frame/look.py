"""Rules of style where Streamlit's own leave text hard to read, or the answer out of sight."""

import streamlit as st

from pages.ui.charts import style

# Keys of containers: the settings beside the answer, and the numbers of the answer. More may follow the second word.
PAGE, ANSWER = "page", "answer"

STEADY = "steady"  # key of a container that has room for three lines, so that what is below does not jump

BASE_PIXELS = 15  # of the root's text, as .streamlit/config.toml says

# Labels of disabled widgets keep the colour of text: Streamlit's grey has a contrast of 2.3, and 4.5 is legible (WCAG).
# Formulas do not scroll, because only a mouse could do that.
LEGIBLE = """
[data-testid="stWidgetLabel"], [data-testid="stWidgetLabel"] p { color: inherit; }
.katex-display { overflow: visible !important; }
"""
ROOM = f".st-key-{STEADY} {{ min-height: 4.3rem; }}"
# A list of networks has room for the names of recovered ones, which are long. The keys are those of its widgets.
WIDE = """
:root:has(:is(.st-key-model, .st-key-also) [aria-expanded="true"])
:is([data-testid="stSelectboxVirtualDropdown"], [data-testid="stMultiSelectDropdown"]) {
  width: max(var(--trigger-width), min(38rem, 100vw - 3rem)) !important; }
"""
# While a slider moves, metrics show estimates: in grey, and without the colour and the arrow of the last exact change.
ESTIMATED = """
[data-testid="stMetric"][data-estimate] [data-testid="stMetricValue"] { opacity: 0.75; }
[data-estimate] [data-testid="stMetricDelta"] { color: inherit; background: transparent; }
[data-estimate] [data-testid="stMetricDelta"] svg { display: none; }
"""
# The longest number, an accuracy with its interval such as "90.8 ± 0.1 %", and the words around it fit into a tile.
FITTING = f"""
[class*="st-key-{ANSWER}"] [data-testid="stMetric"] {{ container-type: inline-size; }}
[class*="st-key-{ANSWER}"] [data-testid="stMetricValue"] {{ font-size: min(1.5rem, 17cqi); }}
[class*="st-key-{ANSWER}"] :is([data-testid="stMetricLabel"] p, [data-testid="stMetricDelta"] *) {{
  font-size: min(0.875rem, 11.5cqi); }}
"""
# On a phone the numbers of the answer stay above the settings while these scroll, four in a row.
NARROW = f"""
@media (max-width: 640px) {{
  .st-key-{PAGE} [data-testid="stColumn"]:has([class*="st-key-{ANSWER}"]),
  .st-key-{PAGE} [data-testid="stColumn"]:has([class*="st-key-{ANSWER}"]) > [data-testid="stVerticalBlock"],
  [data-testid="stLayoutWrapper"]:has(> [class*="st-key-{ANSWER}"]) {{ display: contents; }}
  [class*="st-key-{ANSWER}"] {{ order: -1; position: sticky; top: 3.75rem; z-index: 99; background: Canvas; }}
  [class*="st-key-{ANSWER}"] [data-testid="stHorizontalBlock"] {{ flex-wrap: nowrap; gap: 0.25rem; }}
  [class*="st-key-{ANSWER}"] [data-testid="stColumn"] {{ min-width: 0; }}
  [class*="st-key-{ANSWER}"] [data-testid="stMetric"] {{ padding: 0.25rem !important; }}
  [class*="st-key-{ANSWER}"] [data-testid="stMetric"] > div {{ padding: 0; }}
  [class*="st-key-{ANSWER}"] [data-testid="stMetricLabel"] * {{ font-size: 0.75rem; white-space: normal; }}
  [class*="st-key-{ANSWER}"] [data-testid="stMetricValue"] {{ font-size: 1rem; }}
  [class*="st-key-{ANSWER}"] :is([data-testid="stMetricDelta"], .stTooltipIcon) {{ display: none; }}
}}
"""


# For a projector, all that Streamlit draws grows with the root's text; charts grow in `charts/show.py`.
LARGE = f"""
html {{ font-size: {style.LARGER * BASE_PIXELS:g}px !important; }}
[data-testid="stButtonGroup"] button {{ padding-inline: 0.55rem; }}
"""


def apply(large: bool) -> None:
    """Adds the rules to the page, with `large` text for a projector. They take no room."""
    st.html(f"<style>{LEGIBLE}{ROOM}{WIDE}{ESTIMATED}{FITTING}{NARROW}{LARGE * large}</style>")
