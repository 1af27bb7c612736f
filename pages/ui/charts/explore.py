"""The charts of the page Explore: weights before and after, bytes and zeros of each layer. Imports no streamlit."""

from collections.abc import Sequence

from compression.core.record import LayerFacts
from compression.files.ledger import FileLedger
from compression.files.size import packed_bytes
from compression.spec import FLOAT_BITS
from pages.ui.charts.style import (
    COMPRESSED,
    FLOAT,
    LAYERS_HEIGHT,
    REMOVED,
    SHARE,
    Drawing,
    label_pixels,
    layer_axis,
    live_layout,
    lower_title,
)

ALIKE = {"marker": {"opacity": 1}}  # a click on one bar does not make the others pale


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
                "unselected": ALIKE,
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
            "unselected": ALIKE,
            "customdata": [(layer.weights - layer.nonzero, layer.weights, layer.sqnr_db) for layer in facts],
            "hovertemplate": "%{x}: %{y:.1%}, %{customdata[0]:,} of %{customdata[1]:,}; SQNR %{customdata[2]:.1f} dB",
            "name": "zero",
            "showlegend": False,
        },
    )
