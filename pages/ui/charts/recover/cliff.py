"""The chart of the cliff: accuracy by bits or sparsity, compressed, recovered and trained. Imports no streamlit."""

from collections.abc import Mapping, Sequence
from typing import Any

from compression.experiments.cliff import Axis, Cliff, Step
from compression.spec.title import title
from pages.ui import wording
from pages.ui.charts.style import COMPRESSED, FLOAT, GAIN, PERCENT, REMOVED, SHARE, TWO_ROWS, Drawing, live_layout

HEIGHT = 300
ROOM = {Axis.BITS: 0.4, Axis.SPARSITY: 0.03}  # of the axis beside the first and the last network


def chart(cliff: Cliff, before: float, trained: Mapping[str, str], ink: str) -> Drawing:
    """Returns the lines of `cliff` below the accuracy `before` of the float network, with the settings of now marked.

    `trained`: what was done with each trained network, by its name.
    """
    steps = (*cliff.compressed, *cliff.recovered, *cliff.trained)
    ends = min(step.x for step in steps), max(step.x for step in steps)
    layout = live_layout(
        f"Accuracy by {'bits per weight' if cliff.axis is Axis.BITS else 'sparsity'}",
        _axis(cliff, ends),
        {"title": "accuracy, 10,000 test images", **SHARE, "range": [0, 1.02], "dtick": 0.25},
        below=40,
        ink=ink,
        height=HEIGHT,
        shapes=[_now(cliff.x)],
    )
    layout["margin"] |= {"t": TWO_ROWS}
    return Drawing(
        layout,
        {
            "type": "scatter",
            "mode": "lines",
            "name": "float",
            "x": list(ends),
            "y": [before, before],
            "line": {"color": FLOAT, "width": 2, "dash": "dash"},
            "hovertemplate": f"float: {wording.percent(before, 2)}<extra></extra>",
        },
        _line("compressed", cliff.compressed, trained, {"color": COMPRESSED, "width": 2.5}),
        _line("recovered without training", cliff.recovered, trained, {"color": GAIN, "width": 2, "dash": "dot"}),
        _line("trained", cliff.best_trained, trained, {"color": GAIN, "width": 2.5}, size=10),
        *([_marks(cliff.beaten, trained)] if cliff.beaten else []),
    )


def _axis(cliff: Cliff, ends: tuple[float, float]) -> dict[str, Any]:
    """Returns the x axis, on which compression grows to the right."""
    room = ROOM[cliff.axis]
    if cliff.axis is Axis.SPARSITY:
        return {"title": "sparsity", "tickformat": PERCENT, "range": [ends[0] - room, min(ends[1], 1) + room]}
    bits = sorted({step.x for step in cliff.compressed})
    return {"title": "bits per weight", "tickvals": bits, "range": [ends[1] + room, ends[0] - room]}


def _now(x: float) -> dict[str, Any]:
    line = {"color": REMOVED, "width": 1.5, "dash": "dash"}
    return {"type": "line", "yref": "paper", "y0": 0, "y1": 1, "x0": x, "x1": x, "line": line}


def _line(
    name: str, steps: Sequence[Step], trained: Mapping[str, str], line: dict[str, Any], size: int = 7
) -> dict[str, Any]:
    return _marks(steps, trained) | {
        "mode": "lines+markers",
        "name": name,
        "showlegend": bool(steps),
        "line": line,
        "marker": {"color": line["color"], "size": size},
    }


def _marks(steps: Sequence[Step], trained: Mapping[str, str]) -> dict[str, Any]:
    """Returns marks without a line, of trained networks that another one with the same x beats."""
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "trained, not the best",
        "x": [step.x for step in steps],
        "y": [step.point.accuracy for step in steps],
        "marker": {"color": GAIN, "size": 9, "symbol": "circle-open"},
        "customdata": [
            f"{trained.get(step.point.spec.model) or title(step.point.spec)}: "
            f"{wording.percent(step.point.accuracy, 2)}, {wording.size(step.point.file_bytes)}"
            for step in steps
        ],
        "hovertemplate": "%{customdata}<extra></extra>",
    }
