"""The heat map of sensitivity; imports no streamlit."""

from compression.evaluate import Evaluation
from compression.scanning import ScanReading
from compression.spec import CompressionSpec
from pages.ui import format
from pages.ui.charts import INK, LOSS, Drawing

ROW_PIXELS = 17
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
            "height": 40 + ROW_PIXELS * len(scan.layers),
            "margin": {"l": 8, "r": 8, "t": 30, "b": 8},
            "font": {"family": "Source Sans, sans-serif", "color": ink},
            "paper_bgcolor": "rgba(0, 0, 0, 0)",
            "plot_bgcolor": "rgba(0, 0, 0, 0)",
            "xaxis": {"type": "category", "side": "top", "showgrid": False, "tickfont": {"size": 11}},
            "yaxis": {
                "type": "category",
                "autorange": "reversed",
                "showgrid": False,
                "tickfont": {"size": 10},
                "dtick": 1,
                "automargin": True,
                "ticksuffix": " ",
            },
            "datarevision": 0,
        },
        {
            "type": "heatmap",
            "x": settings,
            "y": list(scan.layers),
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
            "hovertemplate": "%{y} at %{x}: %{text} points lost<extra></extra>",
            "hoverongaps": False,
        },
    )


def label(spec: CompressionSpec) -> str:
    """ "4 bits", "50 %"."""
    if spec.weights:
        return f"{spec.weights.bits} bit{'s' * (spec.weights.bits > 1)}"
    return format.percent(spec.prune.sparsity or 0.0, 0) if spec.prune else "float"


def _drop(before: Evaluation | None, after: Evaluation | None) -> float | None:
    return None if before is None or after is None else before.accuracy - after.accuracy
