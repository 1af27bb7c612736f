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
    REMOVED,
    Drawing,
    label_pixels,
    layer_axis,
    live_layout,
    lower_title,
    step_trace,
)

STAIRS_HEIGHT = 320
MARGIN = 1.04  # so that what stands at the ends is seen
FLOAT_FILL = "rgba(0, 114, 178, 0.6)"


def levels(stairs: Staircase, words: str, colour: str, top: int, ink: str) -> Drawing:
    """The float weights in bins, and a stem on each level as high as the weights that get it; up to `top`, log."""
    edges = stairs.weights.edges
    layout = live_layout(
        words,
        {"title": "weight", "range": [MARGIN * edges[0], MARGIN * edges[-1]]},
        {"title": "weights (log)", "type": "log", "range": [LOWEST, len(str(top))], "dtick": 1, "exponentformat": "SI"},
        below=40,
        ink=ink,
    )
    held = [(level, count) for level, count in zip(stairs.levels, stairs.counts, strict=True) if count]
    foot = 10**LOWEST / 2
    stems = {
        "type": "scatter",
        "mode": "lines",
        "x": [x for level, _ in held for x in (level, level, None)],
        "y": [y for _, count in held for y in (foot, count, None)],
        "line": {"color": colour, "width": 1.5},
        "hoverinfo": "skip",
        "showlegend": False,
    }
    heads = _markers(
        "weights on a level", [level for level, _ in held], [count for _, count in held], {"color": colour, "size": 7}
    )
    heads["hovertemplate"] = "%{y:,} weights get %{x:.4f}<extra></extra>"
    empty = [level for level, count in zip(stairs.levels, stairs.counts, strict=True) if not count]
    cross = {"color": colour, "size": 7, "symbol": "x-thin-open", "line": {"width": 1.5}}
    unused = _markers("unused level", empty, [10**LOWEST * 1.15] * len(empty), cross)
    unused["hovertemplate"] = "no weight gets %{x:.4f}<extra></extra>"
    in_bins = step_trace(
        "float weights in a bin",
        _centres(edges),
        stairs.weights.counts,
        FLOAT_FILL,
        "%{customdata:,} weights near %{x:.4f}",
    )
    return Drawing(layout, in_bins, stems, heads, *([unused] if empty else []))


def _markers(name: str, x: Sequence[float], y: Sequence[float], marker: dict[str, Any]) -> dict[str, Any]:
    return {"type": "scatter", "mode": "markers", "name": name, "x": x, "y": y, "marker": marker}


def staircase(stairs: Staircase, colour: str, ink: str) -> Drawing:
    """w -> Q(w) with the error between it and w; below, the share of the squared error by w."""
    edges = stairs.weights.edges
    low, high = edges[0], edges[-1]
    x, y = stairs.polyline(low, high)
    fill = f"rgba({int(colour[1:3], 16)}, {int(colour[3:5], 16)}, {int(colour[5:7], 16)}, 0.3)"
    band = _curve("error", [*x, high, low], [*y, high, low], {"width": 0})
    band |= {"fill": "toself", "fillcolor": fill, "hoverinfo": "skip"}
    exact = _curve("float", [low, high], [low, high], {"color": FLOAT, "width": 2, "dash": "dot"})
    exact |= {"hoverinfo": "skip"}
    walk = _curve("quantized", x, y, {"color": colour, "width": 2})
    walk |= {"hovertemplate": "%{x:.4f} becomes %{y:.4f}<extra></extra>"}
    noise = _curve("share of the squared error", _centres(edges), stairs.noise, {"shape": "hvh", "width": 0})
    noise |= {
        "yaxis": "y2",
        "fill": "tozeroy",
        "fillcolor": colour,
        "showlegend": False,
        "hovertemplate": "%{y:.1%} of the squared error arises near %{x:.4f}<extra></extra>",
    }
    return Drawing(_staircase_layout(low, high, max(stairs.noise) or 1, ink), band, exact, walk, noise)


def _staircase_layout(low: float, high: float, most_noise: float, ink: str) -> dict[str, Any]:
    """Two panels above one axis of weights, from `low` to `high`; the lower one goes up to `most_noise`, 0..1."""
    reach = [MARGIN * low, MARGIN * high]
    layout = live_layout(
        "What becomes of a weight",
        {"title": "float weight w", "range": reach, "anchor": "y2"},
        {"title": "quantized Q(w)", "range": reach, "nticks": 5, "domain": [0.42, 1]},
        below=40,
        ink=ink,
        height=STAIRS_HEIGHT,
        annotations=[lower_title("Where the squared error arises", 0.26, ink)],
    )
    layout["yaxis2"] = layout["yaxis"] | {
        "title": layout["yaxis"]["title"] | {"text": "share"},
        "range": [0, 1.05 * most_noise],
        "domain": [0, 0.26],
        "nticks": 3,
        "tickformat": ".0%",
    }
    return layout


def _curve(name: str, x: Sequence[float], y: Sequence[float], line: dict[str, Any]) -> dict[str, Any]:
    return {"type": "scatter", "mode": "lines", "name": name, "x": x, "y": y, "line": line}


def sqnr(sides: Sequence[tuple[str, str, Sequence[LayerFacts]]], shown: str, ink: str) -> Drawing:
    """Each side is its name, its colour and its layers; the layer `shown` elsewhere on the page stands on grey."""
    names = [layer.name for layer in sides[0][2]]
    place = names.index(shown)
    layout = live_layout(
        "SQNR by layer: how far the weights stand above their error",
        layer_axis(names),
        {"title": "SQNR in dB", "nticks": 5, "zeroline": True},
        label_pixels(names),
        ink,
        height=LAYERS_HEIGHT,
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
