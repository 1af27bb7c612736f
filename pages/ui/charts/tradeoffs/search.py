"""The chart of a search while it is running. Imports no streamlit."""

import math
from collections.abc import Sequence
from typing import Any

from compression.experiments.search.goal import Goal, Trial
from compression.experiments.search.reading import SearchReading
from compression.spec.title import title
from pages.ui.charts.style import COMPRESSED, FLOAT, PERCENT, REMOVED, Drawing, live_layout

HEIGHT = 320
NEAR = 0.25  # of accuracy below float, that is drawn: what falls deeper is of no use


def tried(reading: SearchReading, ink: str) -> Drawing:
    """Accuracy on the search half against the bytes of files, on a log axis: what is uniform, what was tried, its front
    and the best so far.
    """
    best = [reading.best] if reading.best else []
    lines = _budget(reading.goal, reading.before.accuracy if reading.before else None)
    return Drawing(
        live_layout(
            "Specs tried so far",
            {"title": "file size in bytes (log)", "type": "log", "dtick": "D2", "tickformat": "~s", **_bytes(reading)},
            {"title": "accuracy on the search half", "tickformat": PERCENT, **_range(reading)},
            44,
            ink,
            height=HEIGHT,
            shapes=lines,
            showlegend=True,
        ),
        _points("Uniform", reading.uniform, REMOVED, 6),
        _points("Tried", reading.trials, COMPRESSED, 6, opacity=0.6),
        _points(
            "Front", reading.front, COMPRESSED, 7, mode="lines", line={"color": COMPRESSED, "width": 1, "shape": "hv"}
        ),
        _points("Best so far", best, COMPRESSED, 14, symbol="star", line={"color": ink, "width": 1}),
    )


def _points(
    name: str, some: Sequence[Trial], colour: str, size: int, mode: str = "markers", **more: Any
) -> dict[str, Any]:
    style = more if mode == "lines" else {"marker": {"color": colour, "size": size, **more}}
    return {
        "type": "scatter",
        "mode": mode,
        "name": name,
        "x": [each.file_bytes for each in some],
        "y": [each.accuracy for each in some],
        "customdata": [[title(each.spec), f"{each.images:,}"] for each in some],
        "hovertemplate": "%{customdata[0]}<br>%{x:,} bytes, %{y:.2%} of %{customdata[1]} images<extra></extra>",
        **style,
    }


def _range(reading: SearchReading) -> dict[str, Any]:
    if reading.before is None:
        return {"range": [0, 1]}
    top = reading.before.accuracy
    return {"range": [max(0.0, top - NEAR), min(1.0, top + 0.03)]}


def _bytes(reading: SearchReading) -> dict[str, Any]:
    """From the smallest file that is drawn to the largest, as powers of ten."""
    lowest = reading.before.accuracy - NEAR if reading.before else 0.0
    sizes = [each.file_bytes for each in (*reading.uniform, *reading.trials) if each.accuracy >= lowest]
    return {"range": [math.log10(0.8 * min(sizes)), math.log10(1.25 * max(sizes))]} if sizes else {}


def _budget(goal: Goal, before: float | None) -> list[dict[str, Any]]:
    """Float's accuracy, and what the goal allows."""
    line = {"type": "line", "line": {"dash": "dot", "width": 1.5, "color": FLOAT}}
    if goal.file_bytes is not None:
        return [{**line, "x0": goal.file_bytes, "x1": goal.file_bytes, "yref": "paper", "y0": 0, "y1": 1}]
    if before is None or goal.drop is None:
        return []
    at = before - goal.drop
    return [{**line, "xref": "paper", "x0": 0, "x1": 1, "y0": at, "y1": at}]
