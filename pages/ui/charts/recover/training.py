"""The chart of training: the loss and the accuracy on held-out training images. Imports no streamlit."""

from collections.abc import Sequence

from compression.retraining.lineage import Point
from pages.ui import wording
from pages.ui.charts.style import COMPRESSED, GAIN, PERCENT, SMALL, TWO_ROWS, Drawing, live_layout

HEIGHT = 270


def curve(points: Sequence[Point], total: int, epochs: float, ink: str) -> Drawing:
    """Returns the curve of the `points` of a run of `total` steps, which are `epochs` epochs."""
    layout = live_layout(
        "Loss, and accuracy on held-out training images",
        {"title": "epochs", "range": [0, epochs * 1.02]},
        {"title": "accuracy", "tickformat": PERCENT, "side": "left"},
        below=44,
        ink=ink,
        height=HEIGHT,
    )
    layout["margin"] |= {"t": TWO_ROWS, "r": 54}
    layout["yaxis2"] = {
        "title": {"text": "training loss", "standoff": 4, "font": {"size": SMALL}},
        "tickfont": {"size": SMALL},
        "tickmode": "auto",
        "nticks": 5,
        "overlaying": "y",
        "side": "right",
        "rangemode": "tozero",
        "showgrid": False,
        "zeroline": False,
    }
    known = [point for point in points if point.loss is not None]
    accuracy = {
        "type": "scatter",
        "mode": "lines+markers",
        "name": "accuracy, held-out training images",
        "x": [epochs * point.step / total for point in points],
        "y": [point.accuracy for point in points],
        "line": {"color": GAIN, "width": 2},
        "customdata": [
            f"after step {point.step:,}: {wording.percent(point.accuracy)} of {point.total:,} training images"
            for point in points
        ],
        "hovertemplate": "%{customdata}<extra></extra>",
    }
    loss = {
        "type": "scatter",
        "mode": "lines+markers",
        "name": "training loss",
        "yaxis": "y2",
        "x": [epochs * point.step / total for point in known],
        "y": [point.loss for point in known],
        "line": {"color": COMPRESSED, "width": 2, "dash": "dot"},
        "hovertemplate": "loss %{y:.3f}<extra></extra>",
    }
    return Drawing(layout, accuracy, loss)
