"""The charts of accuracy: overall, by class, and the confusion matrix. Imports no streamlit."""

from collections.abc import Sequence
from typing import Any

from compression.evaluation.evaluation import Evaluation, confusion
from compression.evaluation.sampling import Estimate
from pages.ui import wording
from pages.ui.charts.style import COMPRESSED, FLOAT, NO_LOSS, SHARE, Drawing, live_layout


def confusions(before: Evaluation, after: Evaluation, ink: str) -> Drawing:
    """A row for each true class, a column for each class that the network says. Only mistakes have a colour."""
    found, as_float = confusion(after), confusion(before)
    classes, places = after.classes, range(len(after.classes))
    layout = live_layout(
        "Which class (row) is taken for which (column)",
        {"tickvals": list(places), "ticktext": list(classes), "tickangle": -45, "tickfont": {"size": 10}},
        {"tickvals": list(places), "ticktext": [f"{name} " for name in classes], "tickfont": {"size": 10}},
        below=50,
        ink=ink,
    )
    layout["xaxis"]["range"], layout["yaxis"]["range"] = [-0.5, len(classes) - 0.5], [len(classes) - 0.5, -0.5]
    layout["yaxis"] |= {"gridcolor": "rgba(0, 0, 0, 0)"}
    layout["margin"] |= {"l": 72, "t": 30}
    return Drawing(
        layout,
        {
            "type": "heatmap",
            "z": [[0 if row == column else found[row][column] ** 0.5 for column in places] for row in places],
            "zmin": 0,
            "colorscale": [[0, NO_LOSS[ink]], [1, COMPRESSED]],
            "showscale": False,
            "text": [[str(count) if count else "" for count in row] for row in found],
            "texttemplate": "%{text}",
            "textfont": {"size": 9, "color": ink},
            "customdata": [
                [
                    f"{found[row][column]:,} of the class {classes[row]} are called {classes[column]}, "
                    f"{as_float[row][column]:,} by float"
                    for column in places
                ]
                for row in places
            ],
            "hovertemplate": "%{customdata}<extra></extra>",
        },
    )


def accuracy(before: Evaluation | None, now: Estimate, ink: str) -> Drawing:
    """Float, once it is evaluated, and compressed, with its 95 % interval as long as it is an estimate."""
    bars = [
        _bar("compressed", now.accuracy, COMPRESSED, 2 if now.exact else 1)
        | ({} if now.exact else {"error_x": _error([now])})
        | {"hovertemplate": f"{'counted' if now.exact else 'estimated'} from {now.images:,} of {now.total:,} images"}
    ]
    if before:
        words = {"hovertemplate": f"{before.correct:,} of {before.total:,} correct"}
        bars.append(_bar("float", before.accuracy, FLOAT, 2) | words)
    layout = live_layout(
        f"Accuracy on all {now.total:,} test images",
        {"title": "classified correctly", **SHARE, "range": [0, 1.02], "dtick": 0.25},
        {"type": "category", "categoryorder": "array", "categoryarray": ["compressed", "float"], "ticksuffix": " "},
        below=40,
        ink=ink,
        showlegend=False,
        bargap=0.35,
    )
    layout["margin"] |= {"l": 88, "r": 24}
    return Drawing(layout, *bars)


def _bar(name: str, share: float, colour: str, digits: int) -> dict[str, Any]:
    return {
        "type": "bar",
        "orientation": "h",
        "x": [share],
        "y": [name],
        "name": name,
        "marker": {"color": colour},
        "text": [wording.percent(share, digits)],
        "textposition": "inside",
        "insidetextanchor": "start",
    }


def class_accuracy(before: Evaluation, now: dict[str, Estimate], ink: str) -> Drawing:
    """Float and compressed, class by class, with 95 % intervals as long as these are estimates."""
    classes = before.per_class
    estimates = list(now.values())
    as_float = {
        "type": "bar",
        "x": list(classes),
        "y": [correct / total if total else None for correct, total in classes.values()],
        "name": "float",
        "marker": {"color": FLOAT},
        "customdata": list(classes.values()),
        "hovertemplate": "%{x}: %{customdata[0]:,} of %{customdata[1]:,}",
    }
    compressed = {
        "type": "bar",
        "x": list(now),
        "y": [estimate.accuracy for estimate in estimates],
        "name": "compressed",
        "marker": {"color": COMPRESSED},
        "customdata": [(estimate.images, estimate.total) for estimate in estimates],
        "hovertemplate": "%{x}: %{y:.1%}, from %{customdata[0]:,} of %{customdata[1]:,}",
    }
    if not all(estimate.exact for estimate in estimates):
        compressed["error_y"] = _error(estimates)
    y = {"title": "classified correctly", **SHARE}
    return Drawing(live_layout("Accuracy by class", {"tickangle": -45}, y, below=70, ink=ink), as_float, compressed)


def _error(estimates: Sequence[Estimate]) -> dict[str, Any]:
    return {
        "array": [estimate.high - estimate.accuracy for estimate in estimates],
        "arrayminus": [estimate.accuracy - estimate.low for estimate in estimates],
        "width": 4,
        "thickness": 2,
        "color": "#777777",
    }
