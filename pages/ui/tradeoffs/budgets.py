"""The two budgets: the largest accuracy drop and the largest file size."""

from collections.abc import Sequence

import streamlit as st

from compression.results.pareto import Point, least_correct
from compression.spec import CompressionSpec
from pages.ui import wording
from pages.ui.charts.tradeoffs.front import Limits
from pages.ui.compute import accuracy, networks
from pages.ui.frame import frame
from pages.ui.state import session

MOST_POINTS = 20.0
SERIES = (10, 12, 15, 18, 22, 27, 33, 39, 47, 56, 68, 82)
SIZES = {
    wording.round_size(each * 10**k).replace(wording.NARROW, " "): each * 10**k for k in range(3, 7) for each in SERIES
}
END = 1.3  # the slider ends at this multiple of the float network's bytes
START_DIVISOR = 8  # the page opens with a budget of the float network's bytes divided by this


def drop() -> float:
    """Shows the slider of the accuracy drop; returns its value as a fraction (0..1)."""
    points = session.now().drop
    st.slider(
        "Largest accuracy drop (percentage points)",
        0.0,
        MOST_POINTS,
        step=0.1,
        format="%.1f",
        help="Compared with the float network. One image of 10,000 is 0.01 percentage points.",
        **session.bound("drop", points, frame.rerun_answer),
    )
    return points / 100


def most_bytes(names: Sequence[str]) -> int:
    """Shows the slider of the file size; returns bytes.

    It starts at an eighth of the float32 weights of the first of the networks `names`, and ends a little above the
    float32 weights of the largest.
    """
    weights = [4 * networks.float_model(name).parameters for name in names]
    text = session.now().budget
    if text not in SIZES:
        text = min(SIZES, key=lambda size: abs(SIZES[size] - weights[0] / START_DIVISOR))
    end = max(END * max(weights), SIZES[text])
    st.select_slider(
        "Largest file size",
        [size for size in SIZES if SIZES[size] <= end],
        help="The size of the packed file on disk, header included. 1 kB is 1,000 bytes.",
        **session.bound("budget", text, frame.rerun_answer),
    )
    return SIZES[text]


def limits(model: str, points: list[Point], drop: float, most_bytes: int) -> Limits:
    """Returns the budgets as limits. The float accuracy of `model` is that of its point, or else the published one."""
    as_float = CompressionSpec(model)
    if before := next((point for point in points if point.spec == as_float), None):
        return Limits(least_correct(before, drop) / before.total, most_bytes)
    return Limits((accuracy.float_accuracy(model)[0] or 0.0) - drop, most_bytes)
