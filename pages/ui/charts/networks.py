"""The chart of the page Networks: the range of the weights of each channel. Imports no streamlit."""

from typing import Any

import plotly.graph_objects as go

from compression.inspect.card import ChannelRanges
from pages.ui.charts.style import FLOAT, LOSS, REMOVED, TWO_ROWS, base_layout, short_name


def _figure(title: str, x: dict[str, Any], y: dict[str, Any], **more: Any) -> go.Figure:
    """Returns an empty figure with a layout. It is made in one call, because each update in Plotly takes 15 ms."""
    return go.Figure(layout=base_layout(title, x, y, **more))


def channel_ranges(ranges: ChannelRanges, layer: str, bits: int) -> go.Figure:
    """Returns a box for each output channel, widest first: smallest weight, quartiles, largest weight.

    The band shows the weights that one scale per tensor rounds to zero.
    """
    figure = _figure(
        f"Weights of {short_name(layer)} by channel",
        {"title": "output channel, widest first", "showticklabels": False},
        {"title": "weight", "zeroline": False},
        height=315,
        shapes=[_band(ranges.half_step)],
    )
    figure.update_layout(margin_t=TWO_ROWS)
    widest_first = sorted(range(len(ranges.low)), key=lambda i: min(ranges.low[i], -ranges.high[i]))
    rank = {channel: position for position, channel in enumerate(widest_first)}
    for name, colour, lost in (("some nonzero", FLOAT, False), ("all zero", LOSS, True)):
        own = [i for i in widest_first if ranges.all_zero[i] is lost]
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
    figure.add_scatter(x=[None], y=[None], mode="markers", marker=band, name=f"becomes zero with {bits} bits")
    return figure


def _band(half_height: float) -> dict[str, Any]:
    band = {"type": "rect", "x0": 0, "x1": 1, "xref": "paper", "y0": -half_height, "y1": half_height}
    return {**band, "fillcolor": REMOVED, "opacity": 0.3, "line": {"width": 0}, "layer": "below"}
