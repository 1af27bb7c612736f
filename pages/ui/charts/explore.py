"""The charts of the page Explore: weights before and after, bytes and zeros of each layer. Imports no streamlit."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from compression.core.record import LayerFacts
from compression.files.ledger import FileLedger
from compression.files.size import packed_bytes
from compression.inspect.histogram import WeightView
from compression.spec import FLOAT_BITS
from pages.ui.charts.style import (
    COMPRESSED,
    FLOAT,
    LAYERS_HEIGHT,
    LOWEST,
    REMOVED,
    SHARE,
    Drawing,
    label_pixels,
    layer_axis,
    live_layout,
    lower_title,
    step_trace,
)


def weights(view: WeightView, of: str, ink: str) -> Drawing:
    """Returns the histograms of the weights before and after, on a log axis so that outliers are visible."""
    edges = view.before.edges
    top = max(*view.before.counts, *view.after.counts, view.zeros)
    layout = live_layout(
        f"Weights of {of}",
        {"title": "weight", "range": [edges[0], edges[-1]]},
        {
            "title": "weights per bin (log)",
            "type": "log",
            "range": [LOWEST, len(str(top))],
            "dtick": 1,
            "exponentformat": "SI",
        },
        below=40,
        ink=ink,
        shapes=[_line(side * view.threshold) for side in (-1, 1) if view.threshold],
    )
    centres = [float(f"{(a + b) / 2:.5g}") for a, b in pairwise(edges)]
    near = "%{customdata:,} weights near %{x:.4f}"
    traces = [
        step_trace("float", centres, view.before.counts, "rgba(0, 114, 178, 0.6)", near),
        step_trace("compressed", centres, view.after.counts, "rgba(230, 159, 0, 0.85)", near),
    ]
    if view.zeros:
        half = (edges[1] - edges[0]) / 2
        hover = f"%{{customdata:,}} of {view.weights:,} weights are zero"
        traces.append(step_trace("zero", [-half, half], [view.zeros] * 2, REMOVED, hover))
    if view.levels:
        traces.append(
            {
                "type": "scatter",
                "x": view.levels,
                "y": [0.6] * len(view.levels),
                "mode": "markers",
                "showlegend": False,
                "marker": {"symbol": "line-ns-open", "size": 9, "color": COMPRESSED, "line": {"width": 1.5}},
                "hovertemplate": "level %{x:.4f}<extra></extra>",
            }
        )
    return Drawing(layout, *traces)


def _line(at: float) -> dict[str, Any]:
    line = {"color": REMOVED, "width": 1.5, "dash": "dash"}
    return {"type": "line", "x0": at, "x1": at, "y0": 0, "y1": 1, "yref": "paper", "line": line}


def layers(file: FileLedger, facts: Sequence[LayerFacts], ink: str) -> Drawing:
    """Returns the bytes of each layer's weights as float32 and in the packed file, and below them its sparsity.

    Both share one chart, which a browser draws faster than two.
    """
    sizes, about = file.layers, "" if file.exact else "about "
    names = [layer.name for layer in sizes]
    below = label_pixels(names)
    layout = live_layout(
        "Bytes by layer",
        {**layer_axis(names), "anchor": "y2"},
        {"title": "kB", "nticks": 4, "domain": [0.6, 1]},
        below,
        ink,
        height=LAYERS_HEIGHT + below,
        annotations=[lower_title("Sparsity by layer", 0.4, ink)],
    )
    layout["yaxis2"] = layout["yaxis"] | SHARE | {"title": {}, "domain": [0, 0.4], "dtick": 0.5}
    return Drawing(
        layout,
        *(
            {
                "type": "bar",
                "x": names,
                "y": [count / 1000 for count in counts],
                "name": name,
                "marker": {"color": colour},
                "customdata": counts,
                "hovertemplate": f"%{{x}}: {words}%{{customdata:,}} bytes",
            }
            for name, counts, colour, words in (
                ("float32", [packed_bytes(layer.weights, FLOAT_BITS) for layer in sizes], FLOAT, ""),
                ("in the packed file", [layer.total for layer in sizes], COMPRESSED, about),
            )
        ),
        {
            "type": "bar",
            "x": names,
            "y": [1 - layer.nonzero / layer.weights for layer in facts],
            "yaxis": "y2",
            "marker": {"color": REMOVED},
            "customdata": [(layer.weights - layer.nonzero, layer.weights, layer.sqnr_db) for layer in facts],
            "hovertemplate": "%{x}: %{y:.1%}, %{customdata[0]:,} of %{customdata[1]:,}; SQNR %{customdata[2]:.1f} dB",
            "name": "zero",
            "showlegend": False,
        },
    )
