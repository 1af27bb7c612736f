"""The charts of flips: a confusion matrix that can be clicked, and the change of each class. Imports no streamlit."""

from collections.abc import Sequence
from typing import Any

from compression.inside.flips import ClassChange, Matrix
from pages.ui import wording
from pages.ui.charts.style import COMPRESSED, FLOAT, GAIN, LOSS, NO_LOSS, REMOVED, SMALL, Drawing, live_layout

MATRIX_HEIGHT = 430
CLASSES_HEIGHT = 360
CELL_PIXELS = 26  # of the invisible marks that take clicks, which heat maps do not
AXES = {
    Matrix.CHANGE: ("predicted by compressed", "predicted by float"),
    Matrix.BEFORE: ("predicted by float", "true class"),
    Matrix.AFTER: ("predicted by compressed", "true class"),
}
COLOURS = {Matrix.CHANGE: LOSS, Matrix.BEFORE: FLOAT, Matrix.AFTER: COMPRESSED}


def matrix(
    counts: Sequence[Sequence[int]], names: Sequence[str], kind: Matrix, cell: tuple[int, int] | None, ink: str
) -> Drawing:
    """Returns the confusion matrix; the diagonal has no colour. Points carry their row and column, as "3-5"."""
    places = range(len(names))
    across, down = AXES[kind]
    layout = live_layout(
        "Images, by two classes",
        {"title": across, "tickvals": [*places], "ticktext": [*names], "tickangle": -45, "tickfont": {"size": SMALL}},
        {"title": down, "tickvals": [*places], "ticktext": [f"{name} " for name in names], "tickfont": {"size": SMALL}},
        below=92,
        ink=ink,
        height=MATRIX_HEIGHT,
        showlegend=False,
        shapes=[_outline(*cell, ink)] if cell else [],
    )
    layout["xaxis"]["range"], layout["yaxis"]["range"] = [-0.5, len(names) - 0.5], [len(names) - 0.5, -0.5]
    layout["yaxis"] |= {"gridcolor": "rgba(0, 0, 0, 0)"}
    layout["margin"] |= {"l": 104, "t": 34}
    cells = [(row, column) for row in places for column in places if counts[row][column]]
    return Drawing(
        layout,
        {
            "type": "heatmap",
            "z": [[0 if row == column else counts[row][column] ** 0.5 for column in places] for row in places],
            "zmin": 0,
            "colorscale": [[0, NO_LOSS[ink]], [1, COLOURS[kind]]],
            "showscale": False,
            "text": [[str(count) if count else "" for count in row] for row in counts],
            "texttemplate": "%{text}",
            "textfont": {"size": SMALL, "color": ink},
            "hoverinfo": "skip",
        },
        {
            "type": "scatter",
            "mode": "markers",
            "x": [column for _, column in cells],
            "y": [row for row, _ in cells],
            "marker": {"symbol": "square", "size": CELL_PIXELS, "opacity": 0},
            "customdata": [
                [f"{row}-{column}", f"{down} {names[row]}, {across} {names[column]}: {counts[row][column]:,} images"]
                for row, column in cells
            ],
            "hovertemplate": "%{customdata[1]}<extra></extra>",
        },
    )


def _outline(row: int, column: int, ink: str) -> dict[str, Any]:
    ends = {"x0": column - 0.5, "x1": column + 0.5, "y0": row - 0.5, "y1": row + 0.5}
    return {"type": "rect", **ends, "line": {"color": ink, "width": 2}}


def classes(changes: Sequence[ClassChange], mean: float, ink: str) -> Drawing:
    """Returns a bar for the change of each class, the greatest loss on top, and a line at the mean of all images."""
    names = [each.name for each in changes]
    layout = live_layout(
        "Change of accuracy by class",
        {"title": "percentage points", "zeroline": True, "zerolinecolor": ink},
        {"type": "category", "categoryorder": "array", "categoryarray": names[::-1], "ticksuffix": " "},
        below=44,
        ink=ink,
        height=CLASSES_HEIGHT,
        showlegend=False,
        shapes=[
            {
                "type": "line",
                "yref": "paper",
                "y0": 0,
                "y1": 1,
                "x0": 100 * mean,
                "x1": 100 * mean,
                "line": {"color": REMOVED, "width": 2, "dash": "dash"},
            }
        ],
        annotations=[
            {
                "x": 100 * mean,
                "y": 1,
                "yref": "paper",
                "yanchor": "bottom",
                "text": "mean",
                "showarrow": False,
                "font": {"size": SMALL, "color": ink},
            }
        ],
    )
    layout["margin"] |= {"l": 84}
    bars = {
        "type": "bar",
        "orientation": "h",
        "x": [100 * each.change for each in changes],
        "y": names,
        "marker": {"color": [GAIN if each.change > 0 else LOSS for each in changes]},
        "customdata": [
            f"{each.name}: {wording.points(each.change)}, {each.lost:,} lost and {each.won:,} won of {each.images:,}"
            for each in changes
        ],
        "hovertemplate": "%{customdata}<extra></extra>",
    }
    return Drawing(layout, bars)
