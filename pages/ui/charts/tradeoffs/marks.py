"""Marks beside the points of the chart: labels, rings around single points, keys of the legend, published results."""

import math
from typing import Any

from compression.library.published import PUBLISHED
from compression.results.pareto import Point
from pages.ui import wording
from pages.ui.charts.style import REMOVED

SMALLEST, BEST, CHOSEN, SETTINGS = "smallest", "most accurate", "clicked", "your settings"
RINGS = {SMALLEST: "square-open", BEST: "diamond-open", CHOSEN: "circle-open", SETTINGS: "star-open"}
ELSEWHERE = "published elsewhere"


def label(text: str, point: Point, ink: str) -> dict[str, Any]:
    place = {"x": math.log10(point.file_bytes), "y": point.accuracy, "ax": 0, "ay": -26}
    arrow = {"arrowwidth": 1.5, "arrowhead": 0, "arrowcolor": ink, "standoff": 5}
    return {"text": f"<b>{text}</b>", "font": {"size": 13, "color": ink}, **place, **arrow}


def key(name: str, symbol: str, color: str = REMOVED, **marker: Any) -> dict[str, Any]:
    marker = {"symbol": symbol, "color": color, "size": 10, **marker}
    return {"type": "scatter", "x": [None], "y": [None], "mode": "markers", "name": name, "marker": marker}


def elsewhere(ink: str) -> dict[str, Any]:
    """Returns crosses for what others have published; nothing of it was measured here."""
    return {
        "type": "scatter",
        "mode": "markers+text",
        "name": ELSEWHERE,
        "x": [each.file_bytes for each in PUBLISHED],
        "y": [each.accuracy for each in PUBLISHED],
        "text": [each.method for each in PUBLISHED],
        "textposition": "bottom right",
        "textfont": {"size": 13, "color": ink},
        "hovertext": [
            f"<b>{each.method}</b>, {each.network}: {wording.percent(each.accuracy)}, "
            f"{wording.round_size(each.file_bytes)}<br>as published, not measured here<br>{each.source}"
            for each in PUBLISHED
        ],
        "hovertemplate": "%{hovertext}<extra></extra>",
        "marker": {"symbol": "x-thin", "size": 10, "line": {"width": 2.5, "color": ink}},
    }


def ring(text: str, point: Point, ink: str) -> dict[str, Any]:
    marker = {"symbol": RINGS[text], "size": 20, "line": {"width": 2.5}, "color": ink}
    place = {"x": [point.file_bytes], "y": [point.accuracy], "hoverinfo": "skip"}
    return {"type": "scatter", "mode": "markers", "name": text, "marker": marker, **place}
