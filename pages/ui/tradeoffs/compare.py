"""The tab Compare of the page Trade-offs: tables of the pinned specs, and files to download."""

from collections.abc import Mapping, Sequence

import streamlit as st

from compression.evaluation.evaluation import Evaluation
from compression.results.comparison import comparison_table
from compression.results.result import Result
from compression.results.table import table_bytes
from pages.ui import wording
from pages.ui.compute import networks
from pages.ui.tradeoffs import pins, report
from pages.ui.tradeoffs.comparison_tables import chance_in_words, classes, matrix, numbers


def draw() -> None:
    """Shows the tables and the downloads, or how to pin a spec."""
    results, before = pins.results(), pins.before()
    missing = [name for name, point in pins.points().items() if point is None]
    if missing:
        st.caption(f":material/info: {len(missing)} of the pinned specs in the link were not measured here.")
    if not results:
        st.info(f"No spec is pinned yet. Click a point in the tab Front and pin it. You can pin up to {pins.MOST}.")
        return
    st.dataframe(numbers(results, before), hide_index=True, alt="The pinned specs")
    _buttons(results, before)
    if len(results) > 1:
        st.markdown(f"**Could the difference be chance?** {chance_in_words(len(results))} Such values are in bold.")
        st.dataframe(matrix(results).style.map(_bold_if_significant), alt="McNemar's p for every pair")
    st.markdown("**Accuracy change per class**, in percentage points against float. Each class has 1,000 images.")
    st.dataframe(classes(results, before), alt="Accuracy change per class")


def _bold_if_significant(text: str) -> str:
    return "font-weight: bold" if text.startswith("<") or (text and float(text) < wording.SIGNIFICANCE) else ""


def _buttons(results: Sequence[Result], before: Mapping[str, Evaluation]) -> None:
    with st.container(horizontal=True, gap="small"):
        st.download_button(
            "Table (CSV)",
            lambda: table_bytes(comparison_table(results, before), ".csv"),
            "comparison.csv",
            "text/csv",
            icon=":material/download:",
            on_click="ignore",
        )
        st.download_button(
            "Report (HTML)",
            lambda: report.html(results, before),
            "comparison.html",
            "text/html",
            icon=":material/download:",
            help="One file with all of these tables, readable offline.",
            on_click="ignore",
        )
        for number, (name, point) in enumerate(pins.points().items(), 1):
            label = "" if point is None else ", ".join(networks.described(point.spec))
            unpin, icon = pins.unpin, ":material/keep_off:"
            st.button(
                str(number), key=f"unpin {number}", icon=icon, help=f"Unpin {label}", on_click=unpin, args=(name,)
            )
        st.button("Unpin all", key="unpin all", icon=":material/keep_off:", on_click=pins.unpin)
