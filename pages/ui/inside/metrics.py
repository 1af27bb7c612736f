"""The numbers above all sections of the page Inside: how many images change sides."""

import streamlit as st

from compression.inside.flips import Change
from pages.ui import wording
from pages.ui.compute import inside
from pages.ui.frame import frame
from pages.ui.settings import selection

HELP = {
    Change.LOST: "Images that the float network classifies correctly and the compressed network does not.",
    Change.WON: "Images that the compressed network classifies correctly and the float network does not. With the "
    "p-value of the McNemar test: how likely chance alone makes lost and won differ as much.",
    Change.BOTH_WRONG: "Images that both networks classify wrongly, each as another class.",
}


@st.fragment(key=frame.METRICS)
def draw(model: str) -> None:
    """Shows the lost images, the won ones, and those that both networks classify wrongly but differently."""
    comparison = inside.comparison(selection.spec(model))
    counts = comparison.counts if comparison else {}
    notes = {Change.LOST: "", Change.WON: "", Change.BOTH_WRONG: "another class"}
    if comparison:
        notes |= {
            Change.LOST: f"{wording.percent(counts[Change.LOST] / sum(counts.values()), 2)} of all",
            Change.WON: wording.p_value(comparison.flips.p),
        }
    for place, (change, explanation) in zip(st.columns(3), HELP.items(), strict=True):
        place.metric(
            change.value,
            f"{counts[change]:,}" if counts else "…",
            notes[change] or "counting",
            delta_color="off",
            delta_arrow="off",
            border=True,
            help=explanation,
        )
