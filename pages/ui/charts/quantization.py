"""The charts of the page Quantization: levels, staircase, SQNR by layer. Imports no streamlit."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from compression.core.record import LayerFacts
from compression.inspect.staircase import Staircase
from pages.ui.charts.style import (
    FLOAT,
    LAYERS_HEIGHT,
    LOWEST,
    PERCENT,
    REMOVED,
    TWO_ROWS,
    Drawing,
    label_pixels,
    layer_axis,
    live_layout,
    lower_title,
    step_trace,
)

STAIRS_HEIGHT = 320
MARGIN = 1.04  # makes marks at the ends of the axis visible
FLOAT_FILL = "rgba(0, 114, 178, 0.6)"


def levels(stairs: Staircase, title: str, colour: str, top: int, ink: str) -> Drawing:
    """Returns the histogram of the float weights, with a stem on each level for the weights that are rounded to it.

    The log axis goes up to `top` weights.
    """
    edges = stairs.weights.edges
    layout = live_layout(
        title,
        {"title": "weight", "range": [MARGIN * edges[0], MARGIN * edges[-1]]},
        {"title": "weights (log)", "type": "log", "range": [LOWEST, len(str(top))], "dtick": 1, "exponentformat": "SI"},
        below=40,
        ink=ink,
    )
    layout["margin"] |= {"t": TWO_ROWS}
    used = [(level, count) for level, count in zip(stairs.levels, stairs.counts, strict=True) if count]
    foot = 10**LOWEST / 2
    stems = {
        "type": "scatter",
        "mode": "lines",
        "x": [x for level, _ in used for x in (level, level, None)],
        "y": [y for _, count in used for y in (foot, count, None)],
        "line": {"color": colour, "width": 1.5},
        "hoverinfo": "skip",
        "showlegend": False,
    }
    heads = _markers(
        "weights per level", [level for level, _ in used], [count for _, count in used], {"color": colour, "size": 7}
    )
    heads["hovertemplate"] = "%{y:,} weights are rounded to %{x:.4f}<extra></extra>"
    empty = [level for level, count in zip(stairs.levels, stairs.counts, strict=True) if not count]
    cross = {"color": colour, "size": 7, "symbol": "x-thin-open", "line": {"width": 1.5}}
    unused = _markers("unused level", empty, [10**LOWEST * 1.15] * len(empty), cross)
    unused["hovertemplate"] = "no weight is rounded to %{x:.4f}<extra></extra>"
    in_bins = step_trace(
        "float weights per bin",
        _centres(edges),
        stairs.weights.counts,
        FLOAT_FILL,
        "%{customdata:,} weights near %{x:.4f}",
    )
    return Drawing(layout, in_bins, stems, heads, *([unused] if empty else []))


def _markers(name: str, x: Sequence[float], y: Sequence[float], marker: dict[str, Any]) -> dict[str, Any]:
    return {"type": "scatter", "mode": "markers", "name": name, "x": x, "y": y, "marker": marker}


def staircase(stairs: Staircase, colour: str, ink: str) -> Drawing:
    """Returns the staircase w -> Q(w) with its error, and below it the share of the squared error by w."""
    edges = stairs.weights.edges
    low, high = edges[0], edges[-1]
    x, y = stairs.polyline(low, high)
    fill = f"rgba({int(colour[1:3], 16)}, {int(colour[3:5], 16)}, {int(colour[5:7], 16)}, 0.3)"
    band = _curve("error", [*x, high, low], [*y, high, low], {"width": 0})
    band |= {"fill": "toself", "fillcolor": fill, "hoverinfo": "skip"}
    exact = _curve("float", [low, high], [low, high], {"color": FLOAT, "width": 2, "dash": "dot"})
    exact |= {"hoverinfo": "skip"}
    walk = _curve("quantized", x, y, {"color": colour, "width": 2})
    walk |= {"hovertemplate": "%{x:.4f} is rounded to %{y:.4f}<extra></extra>"}
    noise = _curve("share of the squared error", _centres(edges), stairs.noise, {"shape": "hvh", "width": 0})
    noise |= {
        "yaxis": "y2",
        "fill": "tozeroy",
        "fillcolor": colour,
        "showlegend": False,
        "hovertemplate": "%{y:.1%} of the squared error comes from weights near %{x:.4f}<extra></extra>",
    }
    return Drawing(_staircase_layout(low, high, max(stairs.noise) or 1, ink), band, exact, walk, noise)


def _staircase_layout(low: float, high: float, most_noise: float, ink: str) -> dict[str, Any]:
    """Returns the layout of two panels on one axis of weights, from `low` to `high`.

    The lower panel goes up to `most_noise`, 0..1.
    """
    reach = [MARGIN * low, MARGIN * high]
    layout = live_layout(
        "Quantized weight by float weight",
        {"title": "float weight w", "range": reach, "anchor": "y2"},
        {"title": "quantized Q(w)", "range": reach, "nticks": 5, "domain": [0.42, 1]},
        below=40,
        ink=ink,
        height=STAIRS_HEIGHT,
        annotations=[lower_title("Squared error by weight", 0.26, ink)],
    )
    layout["yaxis2"] = layout["yaxis"] | {
        "title": layout["yaxis"]["title"] | {"text": "share"},
        "range": [0, 1.05 * most_noise],
        "domain": [0, 0.26],
        "nticks": 3,
        "tickformat": PERCENT,
    }
    return layout


def _curve(name: str, x: Sequence[float], y: Sequence[float], line: dict[str, Any]) -> dict[str, Any]:
    return {"type": "scatter", "mode": "lines", "name": name, "x": x, "y": y, "line": line}


def sqnr(sides: Sequence[tuple[str, str, Sequence[LayerFacts]]], shown: str, ink: str) -> Drawing:
    """Returns the SQNR of each layer. A side is its name, colour and layers; the layer `shown` has a grey band."""
    names = [layer.name for layer in sides[0][2]]
    place = names.index(shown)
    layout = live_layout(
        "SQNR by layer: ratio of weights to quantization error",
        layer_axis(names),
        {"title": "SQNR in dB", "nticks": 5, "zeroline": True},
        label_pixels(names),
        ink,
        height=LAYERS_HEIGHT + label_pixels(names),
        shapes=[_behind(place)],
    )
    return Drawing(
        layout,
        *(
            {
                "type": "bar",
                "name": name,
                "x": names,
                "y": [layer.sqnr_db for layer in layers],
                "marker": {"color": colour},
                "hovertemplate": "%{x}: %{y:.1f} dB",
            }
            for name, colour, layers in sides
        ),
    )


def _centres(edges: Sequence[float]) -> list[float]:
    return [float(f"{(a + b) / 2:.5g}") for a, b in pairwise(edges)]


def _behind(place: int) -> dict[str, Any]:
    band = {"type": "rect", "x0": place - 0.5, "x1": place + 0.5, "y0": 0, "y1": 1, "yref": "paper"}
    return {**band, "fillcolor": REMOVED, "opacity": 0.3, "line": {"width": 0}, "layer": "below"}
