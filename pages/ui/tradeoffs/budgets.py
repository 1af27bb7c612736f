"""How much accuracy may go, and how many bytes there are."""

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
SHARE = 8  # the float file is so many times the budget that the page opens with


def drop() -> float:
    """The slider of points; what it says, 0..1."""
    points = st.slider(
        "Points of accuracy that may go",
        0.0,
        MOST_POINTS,
        START_POINTS,
        0.1,
        format="%.1f",
        key=DROP,
        bind="query-params",
        persist_state="session",
        on_change=frame.rerun_answer,
        help="Against the float network. An image is 0.01 points.",
    )
    return points / 100


def most_bytes(model: str) -> int:
    """The slider of bytes; it opens at an eighth of what `model` takes as float32."""
    start = 4 * networks.float_model(model).parameters / SHARE
    text = st.select_slider(
        "Bytes that the file may have",
        list(SIZES),
        min(SIZES, key=lambda size: abs(SIZES[size] - start)),
        key=BYTES,
        bind="query-params",
        persist_state="session",
        on_change=frame.rerun_answer,
        help="Of the packed file that the laboratory writes and reads again, header and all. 1 kB is 1,000 bytes.",
    )
    return SIZES[text]


def limits(model: str, points: list[Point], drop: float, most_bytes: int) -> Limits:
    """`points` have the float network of `model`, or else its accuracy is the one that it came with."""
    as_float = CompressionSpec(model)
    if before := next((point for point in points if point.spec == as_float), None):
        return Limits(least_correct(before, drop) / before.total, most_bytes)
    return Limits((accuracy.float_accuracy(model)[0] or 0.0) - drop, most_bytes)
