"""Colours, layouts and axes that all charts share: one colour per meaning on every page. Imports no streamlit."""

import math
from collections.abc import Sequence
from typing import Any

from plotly.basedatatypes import BaseFigure

FLOAT = "#0072B2"
COMPRESSED = "#E69F00"
COMPRESSED_OTHERWISE = "#D55E00"  # where two ways stand side by side
REMOVED = "#999999"
INK = {"light": "#555962", "dark": "#b3b7bf"}  # each can still be read on the other ground, until the next move
LOSS = "#CC79A7"
GAIN = "#009E73"
NO_LOSS = {INK["light"]: "#ffffff", INK["dark"]: "#262730"}
WORST = {INK["light"]: "#6b2a4f", INK["dark"]: "#ffd9ee"}
HEIGHT = 225
LAYERS_HEIGHT = 250
MOST_TICKS = 40
LOWEST = -0.4  # the foot of a log axis: a bin that holds one weight is still seen
SHARE = {"range": [0, 1], "tickformat": ".0%"}
CONFIG = {"displaylogo": False, "displayModeBar": False}


def base_layout(title: str, x: dict[str, Any], y: dict[str, Any], **more: Any) -> dict[str, Any]:
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


def live_layout(title: str, x: dict[str, Any], y: dict[str, Any], below: int, ink: str, **more: Any) -> dict[str, Any]:
    """The layout of a chart that comes anew with every move. Nothing in it makes a browser draw it again.

    Margins are known, `below` among them; to find them takes a second drawing. Streamlit hands each figure to Plotly
    twice, copied, and Plotly draws a copy again where it has a template, no `datarevision`, or another width. So there
    is no template, but `ink`, and the columns of the page have widths that Plotly, which rounds, takes as they are.
    """
    return base_layout(
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


def step_trace(name: str, centres: Sequence[float], counts: Sequence[int], colour: str, words: str) -> dict[str, Any]:
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


def layer_axis(names: Sequence[str]) -> dict[str, Any]:
    """Ticks with a short form of the layers' names, as many as can be read; the whole name is in the hover text."""
    shown = names[:: math.ceil(len(names) / MOST_TICKS)]
    short = [short_name(name) for name in shown]
    return {"tickangle": -90, "tickfont": {"size": 9}, "type": "category", "tickvals": shown, "ticktext": short}


def label_pixels(names: Sequence[str]) -> int:
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


def lower_title(text: str, top: float, ink: str) -> dict[str, Any]:
    """The title of a lower panel: above its `top` (0..1 of the plot), and flush left with the title of the chart."""
    font = {"size": 14, "color": ink}
    place = {"x": 0, "y": top, "xref": "paper", "yref": "paper", "xanchor": "left", "yanchor": "bottom"}
    return {"text": f"<b>{text}</b>", "font": font, "showarrow": False, "xshift": -52, "yshift": 4, **place}
