"""The chart of the change of each class. Imports no streamlit."""

from collections.abc import Sequence

from compression.inside.flips import ClassChange
from pages.ui import wording
from pages.ui.charts.style import GAIN, LOSS, REMOVED, SMALL, Drawing, change_layout

PIXELS = 360


def classes(changes: Sequence[ClassChange], mean: float, ink: str) -> Drawing:
    """Returns a bar for the change of each class, the greatest loss on top, and a line at the mean of all images."""
    names = [each.name for each in changes]
    layout = change_layout(
        "Change of accuracy by class",
        names,
        PIXELS,
        84,
        ink,
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
