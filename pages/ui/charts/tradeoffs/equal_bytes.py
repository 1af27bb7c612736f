"""The Pareto front of each way to compress: pruned, quantized, both. Imports no streamlit."""

from collections.abc import Mapping, Sequence

from compression.results.pareto import Point, pareto_front
from compression.results.prune_or_quantize import Way
from pages.ui.charts.style import COMPRESSED, FLOAT, GAIN, Drawing
from pages.ui.charts.tradeoffs.front import LOWER_HEIGHT, size_layout, words

WAYS = {Way.PRUNED: FLOAT, Way.QUANTIZED: COMPRESSED, Way.BOTH: GAIN}


def ways(
    points: Mapping[Way, Sequence[Point]], winners: Mapping[Way, Point | None], most_bytes: int, ink: str
) -> Drawing:
    """Returns the Pareto front of each way as steps, with its winner marked, and the file size that all may have."""
    layout = size_layout([point for own in points.values() for point in own], 0.0, ink, LOWER_HEIGHT)
    line = {"color": GAIN, "width": 2, "dash": "dash"}
    upright = {"x0": most_bytes, "x1": most_bytes, "y0": 0, "y1": 1, "yref": "paper"}
    layout["shapes"] = [{"type": "line", **upright, "line": line}]
    traces = []
    for way, own in points.items():
        front = pareto_front(own)
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": str(way),
                "x": [point.file_bytes for point in front],
                "y": [point.accuracy for point in front],
                "text": [words(point) for point in front],
                "hovertemplate": "%{text}<extra></extra>",
                "line": {"shape": "hv", "color": WAYS[way], "width": 2},
                "marker": {"color": WAYS[way], "size": [13 if point == winners[way] else 6 for point in front]},
            }
        )
    return Drawing(layout, *traces)
