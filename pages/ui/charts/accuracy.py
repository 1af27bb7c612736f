"""The charts of accuracy: overall, by class, the confusion matrix, and the ladder of recovery. Imports no streamlit."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from compression.evaluation.evaluation import Evaluation, confusion
from compression.evaluation.sampling import Estimate
from pages.ui import wording
from pages.ui.charts.style import COMPRESSED, FLOAT, GAIN, LOSS, NO_LOSS, PERCENT, SHARE, SMALL, Drawing, live_layout

ROOM = 0.1  # of the axis above the highest and below the lowest column of the ladder
LEAST_SPAN = 0.02  # of that axis, so that differences of single images do not fill the chart


def confusion_matrix(before: Evaluation, after: Evaluation, ink: str) -> Drawing:
    """Returns the confusion matrix: true classes are rows, predicted classes columns. Only mistakes have a colour."""
    counts, float_counts = confusion(after), confusion(before)
    names = after.classes
    places = range(len(names))
    layout = live_layout(
        "Confusion: rows true, columns predicted",
        {"tickvals": list(places), "ticktext": list(names), "tickangle": -45, "tickfont": {"size": SMALL}},
        {"tickvals": list(places), "ticktext": [f"{name} " for name in names], "tickfont": {"size": SMALL}},
        below=58,
        ink=ink,
    )
    layout["xaxis"]["range"], layout["yaxis"]["range"] = [-0.5, len(names) - 0.5], [len(names) - 0.5, -0.5]
    layout["yaxis"] |= {"gridcolor": "rgba(0, 0, 0, 0)"}
    layout["margin"] |= {"l": 84, "t": 30}
    return Drawing(
        layout,
        {
            "type": "heatmap",
            "z": [[0 if row == column else counts[row][column] ** 0.5 for column in places] for row in places],
            "zmin": 0,
            "colorscale": [[0, NO_LOSS[ink]], [1, COMPRESSED]],
            "showscale": False,
            "text": [[str(count) if count else "" for count in row] for row in counts],
            "texttemplate": "%{text}",
            "textfont": {"size": SMALL, "color": ink},
            "customdata": [
                [
                    f"Class {names[row]}, predicted as {names[column]}: {counts[row][column]:,} "
                    f"(float network: {float_counts[row][column]:,})"
                    for column in places
                ]
                for row in places
            ],
            "hovertemplate": "%{customdata}<extra></extra>",
        },
    )


def overall(before: Evaluation | None, estimate: Estimate, ink: str, base: str = "float") -> Drawing:
    """Returns the accuracy of both networks, the first called `base`; an estimate has its 95 % confidence interval."""
    basis = "counted on" if estimate.exact else "estimated from"
    hover = {"hovertemplate": f"{basis} {estimate.images:,} of {estimate.total:,} images"}
    error = {} if estimate.exact else {"error_x": _error([estimate])}
    bars = [_bar("compressed", estimate.accuracy, COMPRESSED, 2 if estimate.exact else 1) | error | hover]
    if before:
        hover = {"hovertemplate": f"{before.correct:,} of {before.total:,} classified correctly"}
        bars.append(_bar(base, before.accuracy, FLOAT, 2) | hover)
    layout = live_layout(
        f"Accuracy on all {estimate.total:,} test images",
        {"title": "share classified correctly", **SHARE, "range": [0, 1.02], "dtick": 0.25},
        {"type": "category", "categoryorder": "array", "categoryarray": ["compressed", base], "ticksuffix": " "},
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


def per_class(before: Evaluation, estimates: dict[str, Estimate], ink: str) -> Drawing:
    """Returns the accuracy of both networks for each class; estimates have their 95 % confidence intervals."""
    classes = before.per_class
    parts = list(estimates.values())
    float_bars = {
        "type": "bar",
        "x": list(classes),
        "y": [correct / total if total else None for correct, total in classes.values()],
        "name": "float",
        "marker": {"color": FLOAT},
        "customdata": list(classes.values()),
        "hovertemplate": "%{x}: %{customdata[0]:,} of %{customdata[1]:,}",
    }
    compressed_bars = {
        "type": "bar",
        "x": list(estimates),
        "y": [estimate.accuracy for estimate in parts],
        "name": "compressed",
        "marker": {"color": COMPRESSED},
        "customdata": [(estimate.images, estimate.total) for estimate in parts],
        "hovertemplate": "%{x}: %{y:.1%}, from %{customdata[0]:,} of %{customdata[1]:,}",
    }
    if not all(estimate.exact for estimate in parts):
        compressed_bars["error_y"] = _error(parts)
    y = {"title": "share classified correctly", **SHARE}
    layout = live_layout("Accuracy per class", {"tickangle": -45}, y, below=76, ink=ink)
    return Drawing(layout, float_bars, compressed_bars)


def _error(estimates: Sequence[Estimate]) -> dict[str, Any]:
    return {
        "array": [estimate.high - estimate.accuracy for estimate in estimates],
        "arrayminus": [estimate.accuracy - estimate.low for estimate in estimates],
        "width": 4,
        "thickness": 2,
        "color": "#777777",
    }


def ladder(names: Sequence[str], before: float, accuracies: Sequence[float], ink: str) -> Drawing:
    """Returns the accuracy (0..1) of the float network, the loss by compression, and what each rung wins.

    `names` are those of all rungs, and `accuracies` of those that are known so far; the first is that of the compressed
    network without recovery. The last column is the accuracy of the last known rung.
    """
    levels = [before, *accuracies]
    columns = list(pairwise(levels))
    low, high = min(levels), max(levels)
    span = max(high - low, LEAST_SPAN)
    bottom = max(0.0, low - 2 * ROOM * span)
    labels = ["float", "lost", *names[1:], "recovered"]
    ends = [(0, before, FLOAT), (len(labels) - 1, levels[-1], COMPRESSED)] if accuracies else [(0, before, FLOAT)]
    bars = {
        "type": "bar",
        "x": [*(place for place, _, _ in ends), *range(1, len(columns) + 1)],
        "base": [*(bottom for _ in ends), *(start for start, _ in columns)],
        "y": [*(level - bottom for _, level, _ in ends), *(end - start for start, end in columns)],
        "marker": {
            "color": [*(colour for _, _, colour in ends), *(GAIN if end > start else LOSS for start, end in columns)]
        },
        "hoverinfo": "skip",
    }
    texts = [
        *(wording.percent(level, 2) for _, level, _ in ends),
        *(wording.points(end - start) for start, end in columns),
    ]
    numbers = {
        "type": "scatter",
        "mode": "text",
        "x": bars["x"],
        "y": [*(level for _, level, _ in ends), *(max(each) for each in columns)],
        "text": texts,
        "textposition": "top center",
        "textfont": {"size": SMALL, "color": ink},
        "hoverinfo": "skip",
    }
    x = {"tickvals": list(range(len(labels))), "ticktext": labels, "tickangle": 0, "range": [-0.5, len(labels) - 0.5]}
    y = {
        "title": "accuracy",
        "tickformat": PERCENT,
        "range": [bottom, min(1.0 + ROOM, high + 2 * ROOM * span)],
        "nticks": 6,
    }
    layout = live_layout("Accuracy given back, step by step", x, y, below=30, ink=ink, showlegend=False)
    return Drawing(layout, bars, numbers)
