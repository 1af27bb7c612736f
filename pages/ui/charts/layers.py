"""The heat map of sensitivity; imports no streamlit."""

from collections.abc import Sequence
from typing import Any

from compression.evaluation.evaluation import Evaluation
from compression.experiments.scan import ScanReading
from compression.spec import CompressionSpec
from pages.ui import format
from pages.ui.charts.style import INK, LOSS, Drawing, short_name

ROW_PIXELS = 16
NO_LOSS = {INK["light"]: "#ffffff", INK["dark"]: "#262730"}
WORST = {INK["light"]: "#6b2a4f", INK["dark"]: "#ffd9ee"}


def sensitivity(reading: ScanReading, ink: str) -> Drawing:
    """Layers by settings, each cell with the drop of accuracy in points. Colours go with its square root: a drop of one
    point is seen beside one of eighty.
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
            "textfont": {"size": 11},
            "customdata": [[f"{layer} at {setting}" for setting in settings] for layer in scan.layers],
            "hovertemplate": "%{customdata}: %{text} points lost<extra></extra>",
            "hoverongaps": False,
        },
    )


def _axis(names: Sequence[str]) -> dict[str, Any]:
    """Names at 0, 1, 2 ..., also where no cell is known yet."""
    ticks = {"tickvals": list(range(len(names))), "ticktext": [f"{name} " for name in names], "tickfont": {"size": 10}}
    return {"showgrid": False, "zeroline": False, "ticks": "", **ticks}


def label(spec: CompressionSpec) -> str:
    """ "4 bits", "50 %"."""
    if spec.weights:
        return f"{spec.weights.bits} bit{'s' * (spec.weights.bits > 1)}"
    return format.percent(spec.prune.sparsity or 0.0, 0) if spec.prune else "float"


def _drop(before: Evaluation | None, after: Evaluation | None) -> float | None:
    return None if before is None or after is None else before.accuracy - after.accuracy
