"""Accuracy against file size: one mark per spec, the Pareto front, budgets. Imports no streamlit."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from compression.library.descent import NONE, Descent, describe
from compression.results.pareto import Point, pareto_front, recovered_pairs
from pages.ui import wording
from pages.ui.charts.style import FLOAT_WEIGHTS, GAIN, SCHEMES, SHARE, SYMBOLS, Drawing, live_layout
from pages.ui.charts.tradeoffs import marks

RECOVERED, TRAINED = "won by recovery", "recovered by training"
OUTLINE_PIXELS = 2
HEIGHT, LOWER_HEIGHT = 400, 320
TICKS = [each * 10**k for k in range(2, 10) for each in (1, 2, 5)]
LEAST_RATIO = 3  # of the largest and the smallest size on the axis, so that it has ticks
LEGEND_PIXELS = 140
MOST_AS_SVG = 3_000  # beyond, WebGL paints faster; up to there it is slower, and not every browser has it


@dataclass(frozen=True)
class Limits:
    """The reader's budgets: the least accuracy (0..1) and the most bytes."""

    least_accuracy: float
    most_bytes: int


def scatter(
    points: Sequence[Point],
    landmarks: Mapping[str, Point],
    rings: Mapping[str, Point],
    limits: Limits | None,
    floor: float,
    ink: str,
    known: Mapping[str, Descent] = NONE,
) -> Drawing:
    """Returns the chart of all points. `landmarks` get a label, and `rings` (by the names in RINGS) a ring.

    `floor` (0..1) is the lowest accuracy on the axis. Points of the recovered networks `known` have an outline.
    """
    layout = size_layout(points, floor, ink, HEIGHT)
    layout["shapes"] = _limits(limits, layout) if limits else []
    layout["annotations"] = [marks.label(text, point, ink) for text, point in landmarks.items()]
    networks = list(dict.fromkeys(describe(point.spec, known)[0] for point in points))
    symbols = {name: SYMBOLS[number % len(SYMBOLS)] for number, name in enumerate(networks)}
    if len(networks) == 1:  # then shapes and colours both tell schemes apart, for readers who see few colours
        symbols = dict(zip(SCHEMES, SYMBOLS, strict=True))
    kind = "scatter" if len(points) <= MOST_AS_SVG else "scattergl"
    traces = [_front(points, ink), *_recovered(points, known), *_clouds(points, symbols, kind, ink, known)]
    if len(networks) > 1:
        traces += [marks.key(name, symbol) for name, symbol in symbols.items()]
    if any(point.spec.model in known for point in points):
        traces.append(marks.key(TRAINED, "circle-open", ink, line={"width": OUTLINE_PIXELS}))
    traces += [marks.ring(text, point, ink) for text, point in rings.items()]
    return Drawing(layout, *traces, marks.elsewhere(ink))


def size_layout(points: Sequence[Point], floor: float, ink: str, height: int) -> dict[str, Any]:
    """Returns a layout whose axes hold all points above `floor`, with bytes on a log axis."""
    shown = [point for point in points if point.accuracy >= floor]
    top = max(point.accuracy for point in points)
    least, most = min(point.file_bytes for point in shown), max(point.file_bytes for point in shown)
    first, last = min(least, most / LEAST_RATIO), max(most, least * LEAST_RATIO)
    ticks = [size for size in TICKS if first / 2 <= size <= 2 * last]
    layout = live_layout(
        "",
        {
            "title": "file size in bytes (log)",
            "type": "log",
            "range": [math.log10(first) - 0.08, math.log10(last) + 0.12],
            "tickvals": ticks,
            "ticktext": [wording.round_size(size) for size in ticks],
            "tickfont": {"size": 13},
            "showgrid": True,
            "gridcolor": "rgba(128, 128, 128, 0.15)",
        },
        {
            "title": "accuracy on all test images",
            **SHARE,
            "tickfont": {"size": 13},
            "range": [floor - 0.02 * (top - floor), top + 0.08 * (top - floor)],
        },
        below=40,
        ink=ink,
        hovermode="closest",
        dragmode="zoom",
        clickmode="event+select",
    )
    layout["height"] = height
    layout["margin"] = {"l": 54, "r": LEGEND_PIXELS, "t": 10, "b": 40}
    layout["legend"] = {"x": 1.01, "y": 1, "font": {"size": 13}, "itemwidth": 30, "itemsizing": "constant"}
    return layout


def _limits(limits: Limits, layout: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns a line for each budget, and the area within both."""
    line = {"color": GAIN, "width": 2, "dash": "dash"}
    low, high = layout["xaxis"]["range"][0] - 3, layout["xaxis"]["range"][1]
    across = {"x0": 0, "x1": 1, "xref": "paper", "y0": limits.least_accuracy, "y1": limits.least_accuracy}
    upright = {"x0": limits.most_bytes, "x1": limits.most_bytes, "y0": 0, "y1": 1, "yref": "paper"}
    corner = {"x0": 10**low, "x1": min(limits.most_bytes, 10**high), "y0": limits.least_accuracy, "y1": 2}
    return [
        {"type": "rect", **corner, "fillcolor": GAIN, "opacity": 0.1, "line": {"width": 0}, "layer": "below"},
        {"type": "line", **across, "line": line},
        {"type": "line", **upright, "line": line},
    ]


def _front(points: Sequence[Point], ink: str) -> dict[str, Any]:
    """Returns the Pareto front as steps: no measured spec lies above them."""
    front = pareto_front(points)
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "Pareto front",
        "x": [point.file_bytes for point in front],
        "y": [point.accuracy for point in front],
        "line": {"shape": "hv", "color": ink, "width": 1.5},
        "hoverinfo": "skip",
    }


def _recovered(points: Sequence[Point], known: Mapping[str, Descent]) -> list[dict[str, Any]]:
    """Returns an arrow from each network to the one that recovery makes of it, or nothing."""
    pairs = won_pairs(points, known)
    standoff = [pixels for _, after in pairs for pixels in (0, 2 + _size(after) / 2, 0)]  # outside of the mark
    trace = {
        "type": "scatter",
        "mode": "lines+markers",
        "name": RECOVERED,
        "x": [x for before, after in pairs for x in (before.file_bytes, after.file_bytes, None)],
        "y": [y for before, after in pairs for y in (before.accuracy, after.accuracy, None)],
        "line": {"color": GAIN, "width": 1.5, "dash": "dot"},
        "marker": {"symbol": "arrow", "angleref": "previous", "size": [0, 12, 0] * len(pairs), "standoff": standoff},
        "hoverinfo": "skip",
    }
    return [trace] if pairs else []


def won_pairs(points: Sequence[Point], known: Mapping[str, Descent]) -> list[tuple[Point, Point]]:
    """Returns each point that recovery has won, by a spec or by the training of one of `known`, after what it was."""
    return recovered_pairs(points, {name: each.spec for name, each in known.items()})


def _size(point: Point) -> float:
    """Returns the width of a mark in pixels."""
    return round(7 + 10 * point.costs.sparsity, 1)


def _clouds(
    points: Sequence[Point], symbols: Mapping[str, str], kind: str, ink: str, known: Mapping[str, Descent]
) -> list[dict[str, Any]]:
    """Returns one trace per scheme. Each point carries the name that it has in a link.

    `symbols`: the shape of the marks, by scheme or by network.
    """
    clouds: dict[str, list[Point]] = {name: [] for name in SCHEMES}
    for point in points:
        weights = point.spec.weights or (known[point.spec.model].spec.weights if point.spec.model in known else None)
        clouds[weights.scheme if weights else FLOAT_WEIGHTS].append(point)
    opacity = 0.85
    return [
        {
            "type": kind,
            "mode": "markers",
            "name": str(name),
            "x": [point.file_bytes for point in own],
            "y": [point.accuracy for point in own],
            "customdata": [[point.name] for point in own],
            "text": [words(point, known) for point in own],
            "hovertemplate": "%{text}<extra></extra>",
            "marker": {
                "color": SCHEMES[name],
                "size": [_size(point) for point in own],
                "symbol": [symbols.get(name) or symbols[describe(point.spec, known)[0]] for point in own],
                "opacity": opacity,
                "line": {
                    "width": [OUTLINE_PIXELS if point.spec.model in known else 0.5 for point in own],
                    "color": [ink if point.spec.model in known else "rgba(60, 60, 60, 0.6)" for point in own],
                },
            },
            "selected": {"marker": {"opacity": opacity}},
            "unselected": {"marker": {"opacity": opacity}},
        }
        for name, own in clouds.items()
        if own
    ]


def words(point: Point, known: Mapping[str, Descent] = NONE) -> str:
    """Returns the text of a point under the pointer."""
    accuracy = f"{wording.percent(point.accuracy, 2)} ({wording.interval(*point.interval)})"
    return f"<b>{', '.join(describe(point.spec, known))}</b><br>{accuracy}<br>{point.file_bytes:,} bytes"
