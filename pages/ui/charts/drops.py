"""Heat maps of accuracy drops: by layer and setting, by bits and sparsity. Imports no streamlit."""

from collections.abc import Sequence
from typing import Any

from compression.evaluation.evaluation import Evaluation
from compression.experiments.scan import ScanReading
from compression.results.bits_by_sparsity import BitsBySparsity
from compression.spec import FLOAT_BITS, CompressionSpec
from pages.ui import wording
from pages.ui.charts.style import (
    GAIN,
    LOSS,
    NO_LOSS,
    SMALL,
    WORST,
    Drawing,
    live_layout,
    short_name,
)
from pages.ui.charts.tradeoffs.front import words

ROW_PIXELS = 16


def sensitivity(reading: ScanReading, ink: str) -> Drawing:
    """Returns the accuracy drop of each layer at each setting, in percentage points.

    The colour follows the square root of the drop, so that a drop of 1 is visible beside one of 80.
    """
    scan, before = reading.scan, reading.before
    drops = [[_drop(before, reading.cells.get((layer, spec))) for spec in scan.specs] for layer in scan.layers]
    settings = [label(spec) for spec in scan.specs]
    return Drawing(
        {
            "height": 28 + ROW_PIXELS * len(scan.layers),
            "margin": {"l": 8, "r": 4, "t": 24, "b": 4},
            "font": {"family": "Source Sans, sans-serif", "color": ink},
            "paper_bgcolor": "rgba(0, 0, 0, 0)",
            "plot_bgcolor": "rgba(0, 0, 0, 0)",
            "xaxis": {**_axis(settings), "range": [-0.5, len(settings) - 0.5], "side": "top"},
            "yaxis": {
                **_axis([short_name(layer) for layer in scan.layers]),
                "range": [len(scan.layers) - 0.5, -0.5],
                "automargin": True,
            },
            "datarevision": 0,
        },
        {
            "type": "heatmap",
            "z": [[None if drop is None else max(drop, 0.0) ** 0.5 for drop in row] for row in drops],
            "zmin": 0.0,
            "zmax": 0.9**0.5,
            "colorscale": [[0, NO_LOSS[ink]], [0.5, LOSS], [1, WORST[ink]]],
            "showscale": False,
            "xgap": 1,
            "ygap": 1,
            "text": [["" if drop is None else f"{100 * drop:.1f}" for drop in row] for row in drops],
            "texttemplate": "%{text}",
            "textfont": {"size": SMALL},
            "customdata": [[f"{layer} at {setting}" for setting in settings] for layer in scan.layers],
            "hovertemplate": "%{customdata}: accuracy drop of %{text} percentage points<extra></extra>",
            "hoverongaps": False,
        },
    )


def _axis(names: Sequence[str]) -> dict[str, Any]:
    """Returns an axis with names at 0, 1, 2 ..., also where no cell has a value yet."""
    ticks = {
        "tickvals": list(range(len(names))),
        "ticktext": [f"{name} " for name in names],
        "tickfont": {"size": SMALL},
    }
    return {"showgrid": False, "zeroline": False, "ticks": "", **ticks}


def label(spec: CompressionSpec) -> str:
    """Returns a setting of a scan in words: "4 bits", "50 %"."""
    if spec.weights:
        return f"{spec.weights.bits} bit{'s' * (spec.weights.bits > 1)}"
    return wording.percent(spec.prune.sparsity or 0.0, 0) if spec.prune else "float"


def _drop(before: Evaluation | None, after: Evaluation | None) -> float | None:
    return None if before is None or after is None else before.accuracy - after.accuracy


def bits_by_sparsity(table: BitsBySparsity, before: float, at: tuple[float, float] | None, ink: str) -> Drawing:
    """Returns accuracies as a heat map, coloured by the drop from `before`, an accuracy.

    `at`: column and row of the reader's settings, which get a frame.
    """
    rows = [[table.cells.get((bits, sparsity)) for sparsity in table.sparsities] for bits in table.bits]
    columns = [wording.short_percent(sparsity) for sparsity in table.sparsities]
    names = ["float" if bits == FLOAT_BITS else str(bits) for bits in table.bits]
    layout = live_layout(
        "",
        {"title": "sparsity", **_steps(columns)},
        {"title": "bits per weight", **_steps(names), "autorange": "reversed", "showgrid": False},
        below=44,
        ink=ink,
        showlegend=False,
    )
    layout["height"] = 110 + 44 * len(names)
    layout["margin"] |= {"t": 10}
    drops = [[None if point is None else max(before - point.accuracy, 0.0) ** 0.5 for point in row] for row in rows]
    cells = {
        "type": "heatmap",
        "z": drops,
        "zmin": 0.0,
        "zmax": 0.9**0.5,
        "colorscale": [[0, NO_LOSS[ink]], [0.5, LOSS], [1, WORST[ink]]],
        "showscale": False,
        "xgap": 2,
        "ygap": 2,
        "text": [["" if point is None else f"{100 * point.accuracy:.1f}" for point in row] for row in rows],
        "texttemplate": "%{text}",
        "textfont": {"size": 14},
        "customdata": [["" if point is None else words(point) for point in row] for row in rows],
        "hovertemplate": "%{customdata}<extra></extra>",
        "hoverongaps": False,
    }
    traces = [cells]
    if at:
        marker = {"symbol": "square-open", "size": 34, "color": GAIN, "line": {"width": 4}}
        here = {"x": [at[0]], "y": [at[1]], "hovertemplate": "your settings<extra></extra>"}
        traces.append({"type": "scatter", "mode": "markers", "marker": marker, **here})
    return Drawing(layout, *traces)


def _steps(names: Sequence[str]) -> dict[str, Any]:
    ends = {"range": [-0.5, len(names) - 0.5]}
    return {"tickvals": list(range(len(names))), "ticktext": [f"{name} " for name in names], "zeroline": False, **ends}
