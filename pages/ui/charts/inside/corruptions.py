"""The charts of corruptions: accuracy by severity, and what compression changes. Imports no streamlit."""

from collections.abc import Sequence
from typing import Any

from compression.inside.corruptions import Corruption
from compression.inside.robustness import ConditionCost, CorruptionReport
from pages.ui import wording
from pages.ui.charts.style import COMPRESSED, FLOAT, LOSS, PERCENT, SMALL, Drawing, change_layout, live_layout

HEIGHT = 400
CHANGES_HEIGHT = 330
ACROSS = 4  # panels in a row
GAP = 0.03


def severities(report: CorruptionReport, ink: str) -> Drawing:
    """Returns a panel for each corruption: the accuracy of both networks by severity, from 0, the clean images."""
    layout = live_layout("Accuracy by severity", {}, {}, below=44, ink=ink, height=HEIGHT)
    traces: list[dict[str, Any]] = []
    layout["annotations"] = []
    for number, corruption in enumerate(Corruption):
        row, column = divmod(number, ACROSS)
        left, top = column / ACROSS + (GAP if column else 0), 1.0 if row == 0 else 0.42
        suffix = str(number + 1) if number else ""
        layout[f"xaxis{suffix}"] = layout["xaxis"] | {
            "domain": [left, (column + 1) / ACROSS],
            "anchor": f"y{suffix}",
            "tickvals": [*range(6)],
            "title": {"text": "severity" if row == 1 or number == ACROSS - 1 else "", "font": {"size": SMALL}},
        }
        layout[f"yaxis{suffix}"] = layout["yaxis"] | {
            "domain": [top - 0.36, top - 0.06],
            "anchor": f"x{suffix}",
            "range": [0, 1],
            "tickvals": [0, 0.5, 1],
            "tickformat": PERCENT,
            "showticklabels": column == 0,
        }
        layout["annotations"].append(_title(corruption, left, top - 0.06, ink))
        costs = (report.clean, *report.of(corruption))
        traces += [
            _line("float", [each.before for each in costs], costs, FLOAT, suffix),
            _line("compressed", [each.after for each in costs], costs, COMPRESSED, suffix),
        ]
    return Drawing(layout, *traces)


def _title(text: str, left: float, top: float, ink: str) -> dict[str, Any]:
    place = {"x": left, "y": top, "xref": "paper", "yref": "paper", "xanchor": "left", "yanchor": "bottom"}
    return {"text": text, "showarrow": False, "font": {"size": SMALL, "color": ink}, **place}


def _line(
    name: str, correct: Sequence[int], costs: Sequence[ConditionCost], colour: str, suffix: str
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": name,
        "x": [each.condition.severity for each in costs],
        "y": [count / each.images for count, each in zip(correct, costs, strict=True)],
        "xaxis": f"x{suffix}",
        "yaxis": f"y{suffix}",
        "line": {"color": colour, "width": 2},
        "marker": {"size": 5},
        "showlegend": not suffix,
        "hovertemplate": "severity %{x}: %{y:.1%}<extra>%{fullData.name}</extra>",
    }


def changes(report: CorruptionReport, ink: str) -> Drawing:
    """Returns the change by compression under each corruption with its interval, and on the clean images."""
    rows = {"Clean images": report.clean.change} | {str(kind): each for kind, each in report.by_corruption.items()}
    names = list(rows)
    layout = change_layout("Change of accuracy by compression", names, CHANGES_HEIGHT, 96, ink)
    values = rows.values()
    points = {
        "type": "scatter",
        "mode": "markers",
        "x": [100 * each.mean for each in values],
        "y": names,
        "marker": {"size": 9, "color": [ink] + [LOSS] * (len(names) - 1)},
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [100 * (each.high - each.mean) for each in values],
            "arrayminus": [100 * (each.mean - each.low) for each in values],
            "color": ink,
            "thickness": 1.5,
        },
        "customdata": [
            f"{name}: {wording.points(each.mean)}, 95 % interval {wording.points(each.low)} to "
            f"{wording.points(each.high)}"
            for name, each in rows.items()
        ],
        "hovertemplate": "%{customdata}<extra></extra>",
    }
    return Drawing(layout, points)
