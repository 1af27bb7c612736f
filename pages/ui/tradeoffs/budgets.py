"""The two budgets: the largest accuracy drop and the largest file size."""

import streamlit as st

from compression.results.pareto import Point, least_correct
from compression.spec import CompressionSpec
from pages.ui import wording
from pages.ui.charts.tradeoffs import Limits
from pages.ui.compute import accuracy, networks
from pages.ui.frame import frame

DROP, BYTES = "drop", "bytes"
MOST_POINTS, START_POINTS = 20.0, 1.0
SERIES = (10, 12, 15, 18, 22, 27, 33, 39, 47, 56, 68, 82)
SIZES = {
    wording.round_size(each * 10**k).replace(wording.NARROW, " "): each * 10**k for k in range(3, 7) for each in SERIES
}
START_DIVISOR = 8  # the page opens with a budget of the float network's bytes divided by this


def drop() -> float:
    """Shows the slider of the accuracy drop; returns its value as a fraction (0..1)."""
    points = st.slider(
        "Largest accuracy drop (percentage points)",
        0.0,
        MOST_POINTS,
        START_POINTS,
        0.1,
        format="%.1f",
        key=DROP,
        bind="query-params",
        persist_state="session",
        on_change=frame.rerun_answer,
        help="Compared with the float network. One image of 10,000 is 0.01 percentage points.",
    )
    return points / 100


def most_bytes(model: str) -> int:
    """Shows the slider of the file size; returns bytes. It starts at an eighth of the float32 weights of `model`."""
    start = 4 * networks.float_model(model).parameters / START_DIVISOR
    text = st.select_slider(
        "Largest file size",
        list(SIZES),
        min(SIZES, key=lambda size: abs(SIZES[size] - start)),
        key=BYTES,
        bind="query-params",
        persist_state="session",
        on_change=frame.rerun_answer,
        help="The size of the packed file on disk, header included. 1 kB is 1,000 bytes.",
    )
    return SIZES[text]


def limits(model: str, points: list[Point], drop: float, most_bytes: int) -> Limits:
    """Returns the budgets as limits. The float accuracy of `model` is that of its point, or else the published one."""
    as_float = CompressionSpec(model)
    if before := next((point for point in points if point.spec == as_float), None):
        return Limits(least_correct(before, drop) / before.total, most_bytes)
    return Limits((accuracy.float_accuracy(model)[0] or 0.0) - drop, most_bytes)
