"""The confusion matrix; imports no streamlit."""

from compression.data.cifar10 import CLASSES
from compression.evaluation.evaluation import Evaluation, confusion
from pages.ui.charts.style import COMPRESSED, INK, Drawing, panel

NONE = {INK["light"]: "#ffffff", INK["dark"]: "#262730"}


def confusions(before: Evaluation, after: Evaluation, ink: str) -> Drawing:
    """A row for each true class, a column for each class that the network says. Only mistakes have a colour."""
    found, as_float = confusion(after), confusion(before)
    places = range(len(CLASSES))
    layout = panel(
        "Which class (row) is taken for which (column)",
        {"tickvals": list(places), "ticktext": list(CLASSES), "tickangle": -45, "tickfont": {"size": 10}},
        {"tickvals": list(places), "ticktext": [f"{name} " for name in CLASSES], "tickfont": {"size": 10}},
        below=50,
        ink=ink,
    )
    layout["xaxis"]["range"], layout["yaxis"]["range"] = [-0.5, len(CLASSES) - 0.5], [len(CLASSES) - 0.5, -0.5]
    layout["yaxis"] |= {"gridcolor": "rgba(0, 0, 0, 0)"}
    layout["margin"] |= {"l": 72, "t": 30}
    return Drawing(
        layout,
        {
            "type": "heatmap",
            "z": [[0 if row == column else found[row][column] ** 0.5 for column in places] for row in places],
            "zmin": 0,
            "colorscale": [[0, NONE[ink]], [1, COMPRESSED]],
            "showscale": False,
            "text": [[str(count) if count else "" for count in row] for row in found],
            "texttemplate": "%{text}",
            "textfont": {"size": 9, "color": ink},
            "customdata": [
                [
                    f"{found[row][column]:,} of the class {CLASSES[row]} are called {CLASSES[column]}, "
                    f"{as_float[row][column]:,} by float"
                    for column in places
                ]
                for row in places
            ],
            "hovertemplate": "%{customdata}<extra></extra>",
        },
    )
