"""Pinned specs side by side: numbers, which differences may be chance, classes, and files to take along."""

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from compression.evaluation.evaluation import Evaluation
from compression.results.comparison import class_changes, comparison_table, p_values
from compression.results.result import Result
from compression.results.table import table_bytes
from compression.spec.title import full_title, title
from pages.ui import format
from pages.ui.tradeoffs import pins as tradeoffs_pins
from pages.ui.tradeoffs import report as tradeoffs_report

REAL = 0.05


def draw() -> None:
    """All of it, or how to pin."""
    results, before = tradeoffs_pins.results(), tradeoffs_pins.before()
    missing = [name for name, point in tradeoffs_pins.points().items() if point is None]
    if missing:
        st.caption(f":material/info: Of the pinned specs in the link {len(missing)} were not measured here.")
    if not results:
        st.info(f"Nothing is pinned yet. Click a point on the tab Front, and pin it: up to {tradeoffs_pins.MOST}.")
        return
    st.dataframe(numbers(results, before), hide_index=True, alt="The pinned specs")
    _buttons(results, before)
    st.markdown("**May the difference be chance?** McNemar's p between any two; below 0.05, in bold, it is more.")
    st.dataframe(matrix(results).style.map(_real), alt="McNemar's p between any two")
    st.markdown("**Which classes pay?** Points of accuracy against float. A class has 1,000 images.")
    st.dataframe(classes(results, before), alt="Changes of each class")


def numbers(results: Sequence[Result], before: Mapping[str, Evaluation]) -> pd.DataFrame:
    """In words, a row a spec."""
    return pd.DataFrame(
        {
            "": [str(number) for number in range(1, len(results) + 1)],
            "Network": [each.spec.model for each in results],
            "Spec": [title(each.spec) for each in results],
            "Accuracy": [format.percent(each.evaluation.accuracy, 2) for each in results],
            "95 % interval": [format.interval(*each.evaluation.interval) for each in results],
            "Against float": [change(each, before) for each in results],
            "File": [f"{each.costs.file:,} B" for each in results],
            "MACs": [format.quantity(each.costs.macs) for each in results],
            "Bit operations": [format.quantity(each.costs.bit_operations) for each in results],
            "Sparsity": [format.percent(each.costs.sparsity) for each in results],
        }
    )


def change(result: Result, before: Mapping[str, Evaluation]) -> str:
    """ "-1.2 points", or nothing where the float network is not known."""
    found = before.get(result.spec.model)
    return format.points(result.evaluation.accuracy - found.accuracy) if found else ""


def matrix(results: Sequence[Result]) -> pd.DataFrame:
    """p by the numbers of the rows."""
    names = [str(number) for number in range(1, len(results) + 1)]
    values = p_values(results)
    cells = [
        ["" if i == j else format.p_value(p).removeprefix("p ").removeprefix("= ") for j, p in enumerate(row)]
        for i, row in enumerate(values)
    ]
    return pd.DataFrame(cells, names, names)


def _real(text: str) -> str:
    return "font-weight: bold" if text.startswith("<") or (text and float(text) < REAL) else ""


def classes(results: Sequence[Result], before: Mapping[str, Evaluation]) -> pd.DataFrame:
    """Points by class, a row a spec."""
    rows = [
        class_changes(before[each.spec.model], each.evaluation) if each.spec.model in before else {} for each in results
    ]
    found = pd.DataFrame(rows, index=[str(number) for number in range(1, len(results) + 1)])
    return found.map(lambda value: f"{100 * value:+.1f}")


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
            lambda: tradeoffs_report.report(results, before),
            "comparison.html",
            "text/html",
            icon=":material/download:",
            help="One file with all of this, which needs no network.",
            on_click="ignore",
        )
        for number, (name, point) in enumerate(tradeoffs_pins.points().items(), 1):
            label = "" if point is None else full_title(point.spec)
            unpin, icon = tradeoffs_pins.unpin, ":material/keep_off:"
            st.button(
                str(number), key=f"unpin {number}", icon=icon, help=f"Unpin {label}", on_click=unpin, args=(name,)
            )
        st.button("Unpin all", key="unpin all", icon=":material/keep_off:", on_click=tradeoffs_pins.unpin)
