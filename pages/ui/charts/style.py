"""Values -> Plotly figures. One colour per meaning on every page; imports no streamlit."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import plotly.graph_objects as go
from plotly.basedatatypes import BaseFigure

from compression.core.record import LayerFacts
from compression.evaluation.evaluation import Evaluation
from compression.evaluation.sampling import Estimate
from compression.files.size import LayerSize
from compression.inspect.card import ChannelRanges
from compression.inspect.histogram import WeightView
from pages.ui import format

FLOAT = "#0072B2"
COMPRESSED = "#E69F00"
COMPRESSED_OTHERWISE = "#D55E00"  # where two ways stand side by side
REMOVED = "#999999"
INK = {"light": "#555962", "dark": "#b3b7bf"}  # each can still be read on the other ground, until the next move
LOSS = "#CC79A7"
HEIGHT = 225
LAYERS_HEIGHT = 250
MOST_TICKS = 40
LOWEST = -0.4  # the foot of a log axis: a bin that holds one weight is still seen
SHARE = {"range": [0, 1], "tickformat": ".0%"}
CONFIG = {"displaylogo": False, "displayModeBar": False}


def _layout(title: str, x: dict[str, Any], y: dict[str, Any], **more: Any) -> dict[str, Any]:
    """`x` and `y` are axes, `title` among them."""
    text = {"standoff": 4, "font": {"size": 12}}
    return {
        "title": {"text": title, "font": {"size": 14}, "x": 0, "y": 0.98, "yanchor": "top", "pad": {"l": 4}},
        "height": HEIGHT,
        "margin": {"l": 8, "r": 8, "t": 46, "b": 8},
        "legend": {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom", "font": {"size": 11}, "itemwidth": 30},
        "bargap": 0.15,
        "hoverlabel": {"namelength": -1},
        "xaxis": {"tickfont": {"size": 11}, **x, "title": {"text": x.get("title", ""), **text}},
        "yaxis": {"tickfont": {"size": 11}, **y, "title": {"text": y.get("title", ""), **text}},
        **more,
    }


def _figure(title: str, x: dict[str, Any], y: dict[str, Any], **more: Any) -> go.Figure:
    """An empty figure. One call, for Plotly's updates take 15 ms."""
    return go.Figure(layout=_layout(title, x, y, **more))


def panel(title: str, x: dict[str, Any], y: dict[str, Any], below: int, ink: str, **more: Any) -> dict[str, Any]:
    """The layout of a chart that comes anew with every move. Nothing in it makes a browser draw it again.

    Margins are known, `below` among them; to find them takes a second drawing. Streamlit hands each figure to Plotly
    twice, copied, and Plotly draws a copy again where it has a template, no `datarevision`, or another width. So there
    is no template, but `ink`, and the columns of the page have widths that Plotly, which rounds, takes as they are.
    """
    return _layout(
        f"<b>{title}</b>",
        {"automargin": False, "showgrid": False, "zeroline": False, **x},
        {"automargin": False, "gridcolor": "rgba(128, 128, 128, 0.25)", "zeroline": False, **y},
        margin={"l": 54, "r": 8, "t": 46, "b": below},
        font={"family": "Source Sans, sans-serif", "color": ink},
        paper_bgcolor="rgba(0, 0, 0, 0)",
        plot_bgcolor="rgba(0, 0, 0, 0)",
        datarevision=0,
        **more,
    )


def ink(theme: str | None) -> str:
    """The colour of what is written, on the ground of a theme."""
    return INK[theme or "light"]


class Drawing(BaseFigure):
    """A figure given as Plotly's own dicts. Plotly's classes check every value, in 6 ms a move; here the tests do."""

    def __init__(self, layout: dict[str, Any], *traces: dict[str, Any]) -> None:
        self._figure = {"data": list(traces), "layout": layout}

    def to_dict(self) -> dict[str, Any]:
        return self._figure


def weights(view: WeightView, of: str, ink: str) -> Drawing:
    """Counts on a log axis: outliers, which stretch the range of a quantizer, stay visible."""
    edges = view.before.edges
    top = max(*view.before.counts, *view.after.counts, view.zeros)
    layout = panel(
        f"Weights of {of}",
        {"title": "weight", "range": [edges[0], edges[-1]]},
        {
            "title": "weights in bin (log)",
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
        steps("float", centres, view.before.counts, "rgba(0, 114, 178, 0.6)", near),
        steps("compressed", centres, view.after.counts, "rgba(230, 159, 0, 0.85)", near),
    ]
    if view.zeros:
        half = (edges[1] - edges[0]) / 2
        words = f"%{{customdata:,}} of {view.weights:,} weights are zero"
        traces.append(steps("zero", [-half, half], [view.zeros] * 2, REMOVED, words))
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


def steps(name: str, centres: Sequence[float], counts: Sequence[int], colour: str, words: str) -> dict[str, Any]:
    """A histogram as one filled path: a browser draws it in a fraction of the time of one bar a bin."""
    return {
        "type": "scatter",
        "name": name,
        "x": centres,
        "y": [count or 10**LOWEST / 2 for count in counts],
        "customdata": counts,
        "mode": "lines",
        "line": {"shape": "hvh", "width": 0},
        "fill": "tozeroy",
        "fillcolor": colour,
        "hovertemplate": words,
    }


def _line(at: float) -> dict[str, Any]:
    line = {"color": REMOVED, "width": 1.5, "dash": "dash"}
    return {"type": "line", "x0": at, "x1": at, "y0": 0, "y1": 1, "yref": "paper", "line": line}


def layer_axis(names: Sequence[str]) -> dict[str, Any]:
    """Ticks with a short form of the layers' names, as many as can be read; the whole name is in the hover text."""
    shown = names[:: math.ceil(len(names) / MOST_TICKS)]
    short = [short_name(name) for name in shown]
    return {"tickangle": -90, "tickfont": {"size": 9}, "type": "category", "tickvals": shown, "ticktext": short}


def room(names: Sequence[str]) -> int:
    """Pixels below the axis for the upright names of layers, up to where they would take more room than the bars."""
    return min(90, 16 + 5 * max(len(short_name(name)) for name in names))


def short_name(name: str) -> str:
    """ "layer2.0.downsample.0" -> "2.0.down", "features.3.conv.1.0" -> "3.1.0"."""
    for long, brief in (
        ("layer", ""),
        ("features.", ""),
        ("downsample.0", "down"),
        (".conv.", "."),
        ("classifier", "fc"),
    ):
        name = name.replace(long, brief)
    return name


def layers(sizes: Sequence[LayerSize], best_name: str, facts: Sequence[LayerFacts], ink: str) -> Drawing:
    """Bytes of the weight of each layer before and after, and below them the share of its zeros.

    One chart for both, with the layers' names once: a browser draws it faster than two.
    """
    names = [layer.name for layer in sizes]
    after = [getattr(layer, best_name).total for layer in sizes]
    below = room(names)
    layout = panel(
        "Bytes by layer",
        {**layer_axis(names), "anchor": "y2"},
        {"title": "kB", "nticks": 4, "domain": [0.6, 1]},
        below,
        ink,
        height=LAYERS_HEIGHT,
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
                "hovertemplate": "%{x}: %{customdata:,} bytes",
            }
            for name, counts, colour in (
                ("float32", [layer.float32 for layer in sizes], FLOAT),
                (f"compressed ({best_name})", after, COMPRESSED),
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


def lower_title(text: str, top: float, ink: str) -> dict[str, Any]:
    """The title of a lower panel: above its `top` (0..1 of the plot), and flush left with the title of the chart."""
    font = {"size": 14, "color": ink}
    place = {"x": 0, "y": top, "xref": "paper", "yref": "paper", "xanchor": "left", "yanchor": "bottom"}
    return {"text": f"<b>{text}</b>", "font": font, "showarrow": False, "xshift": -52, "yshift": 4, **place}


def accuracy(before: Evaluation | None, now: Estimate, ink: str) -> Drawing:
    """Float, once it is evaluated, and compressed, with its 95 % interval as long as it is an estimate."""
    bars = [
        _bar("compressed", now.accuracy, COMPRESSED, 2 if now.exact else 1)
        | ({} if now.exact else {"error_x": _error([now])})
        | {"hovertemplate": f"{'counted' if now.exact else 'estimated'} from {now.images:,} of {now.total:,} images"}
    ]
    if before:
        words = {"hovertemplate": f"{before.correct:,} of {before.total:,} correct"}
        bars.append(_bar("float", before.accuracy, FLOAT, 2) | words)
    layout = panel(
        f"Accuracy on all {now.total:,} test images",
        {"title": "classified correctly", **SHARE, "range": [0, 1.02], "dtick": 0.25},
        {"type": "category", "categoryorder": "array", "categoryarray": ["compressed", "float"], "ticksuffix": " "},
        below=40,
        ink=ink,
        showlegend=False,
        bargap=0.35,
    )
    layout["margin"] |= {"l": 88, "r": 24}
    return Drawing(layout, *bars)


def _bar(name: str, share: float, colour: str, digits: int) -> dict[str, Any]:
    return {
        "type": "bar",
        "orientation": "h",
        "x": [share],
        "y": [name],
        "name": name,
        "marker": {"color": colour},
        "text": [format.percent(share, digits)],
        "textposition": "inside",
        "insidetextanchor": "start",
    }


def class_accuracy(before: Evaluation, now: dict[str, Estimate], ink: str) -> Drawing:
    """Float and compressed, class by class, with 95 % intervals as long as these are estimates."""
    classes = before.per_class
    estimates = list(now.values())
    as_float = {
        "type": "bar",
        "x": list(classes),
        "y": [correct / total if total else None for correct, total in classes.values()],
        "name": "float",
        "marker": {"color": FLOAT},
        "customdata": list(classes.values()),
        "hovertemplate": "%{x}: %{customdata[0]:,} of %{customdata[1]:,}",
    }
    compressed = {
        "type": "bar",
        "x": list(now),
        "y": [estimate.accuracy for estimate in estimates],
        "name": "compressed",
        "marker": {"color": COMPRESSED},
        "customdata": [(estimate.images, estimate.total) for estimate in estimates],
        "hovertemplate": "%{x}: %{y:.1%}, from %{customdata[0]:,} of %{customdata[1]:,}",
    }
    if not all(estimate.exact for estimate in estimates):
        compressed["error_y"] = _error(estimates)
    y = {"title": "classified correctly", **SHARE}
    return Drawing(panel("Accuracy by class", {"tickangle": -45}, y, below=70, ink=ink), as_float, compressed)


def _error(estimates: Sequence[Estimate]) -> dict[str, Any]:
    return {
        "array": [estimate.high - estimate.accuracy for estimate in estimates],
        "arrayminus": [estimate.accuracy - estimate.low for estimate in estimates],
        "width": 4,
        "thickness": 2,
        "color": "#777777",
    }


def channel_ranges(ranges: ChannelRanges, layer: str, bits: int) -> go.Figure:
    """A box for each output channel, the widest first: from its smallest to its largest weight, with quartiles.

    The band holds the weights that one scale for the whole tensor rounds to zero.
    """
    figure = _figure(
        f"{layer}, channel by channel",
        {"title": "output channels, the widest first", "showticklabels": False},
        {"title": "weight", "zeroline": False},
        height=315,
        shapes=[_band(ranges.half_step)],
    )
    widest_first = sorted(range(len(ranges.low)), key=lambda i: min(ranges.low[i], -ranges.high[i]))
    rank = {channel: position for position, channel in enumerate(widest_first)}
    for name, colour, lost in (("keeps weights", FLOAT, False), ("all zero", LOSS, True)):
        own = [i for i in widest_first if ranges.lost[i] is lost]
        if own:
            figure.add_box(
                x=[rank[i] for i in own],
                lowerfence=[ranges.low[i] for i in own],
                q1=[ranges.lower_quartile[i] for i in own],
                median=[ranges.median[i] for i in own],
                q3=[ranges.upper_quartile[i] for i in own],
                upperfence=[ranges.high[i] for i in own],
                name=name,
                marker={"color": colour},
                line={"width": 1},
                whiskerwidth=0,
            )
    band = {"color": REMOVED, "size": 11, "symbol": "square", "opacity": 0.4}
    figure.add_scatter(x=[None], y=[None], mode="markers", marker=band, name=f"zero with one {bits}-bit scale")
    return figure


def _band(half_height: float) -> dict[str, Any]:
    band = {"type": "rect", "x0": 0, "x1": 1, "xref": "paper", "y0": -half_height, "y1": half_height}
    return {**band, "fillcolor": REMOVED, "opacity": 0.3, "line": {"width": 0}, "layer": "below"}
