"""Colours, layouts and axes that all charts share: one colour per meaning on every page. Imports no streamlit."""

import math
from collections.abc import Sequence
from typing import Any

from plotly.basedatatypes import BaseFigure

from compression.spec import Scheme

FLOAT = "#0072B2"
COMPRESSED = "#E69F00"
COMPRESSED_OTHERWISE = "#D55E00"  # the second of two compressed networks side by side
REMOVED = "#999999"
INK = {"light": "#555962", "dark": "#b3b7bf"}  # each is legible on the other background too, until the chart is redrawn
LOSS = "#CC79A7"
GAIN = "#009E73"
FLOAT_WEIGHTS = "float weights"
SCHEMES = {  # the colours of schemes and of float weights
    FLOAT_WEIGHTS: FLOAT,
    Scheme.SYMMETRIC: COMPRESSED,
    Scheme.AFFINE: COMPRESSED_OTHERWISE,
    Scheme.MIN_MAX: LOSS,
    Scheme.POWER_OF_TWO: GAIN,
    Scheme.K_MEANS: "#56B4E9",
    Scheme.TERNARY: "#F0E442",
    Scheme.BINARY: REMOVED,
    Scheme.STEP: "#7A5FB5",
}
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "pentagon", "cross", "hexagon", "triangle-down", "x")
NO_LOSS = {INK["light"]: "#ffffff", INK["dark"]: "#262730"}
WORST = {INK["light"]: "#6b2a4f", INK["dark"]: "#ffd9ee"}
HEIGHT = 225
TWO_ROWS = 64  # pixels above the plot for the title and two rows of the legend
LAYERS_HEIGHT = 228  # of the two panels by layer, without the names below them
MOST_TICKS = 40
SMALL = 12  # pixels of the smallest text in a chart; what is smaller cannot be read on a projector
LARGER = 4 / 3  # how much larger text is in a presentation
LOWEST = -0.4  # where a log axis begins, so that a bin that holds one weight is visible
PERCENT = ".1~%"  # of ticks, with a digit only where it is needed: 92.5 % and 93 %
SHARE = {"range": [0, 1], "tickformat": PERCENT}
# Of Plotly's buttons, the one that enlarges a chart remains, which Streamlit adds.
UNUSED_BUTTONS = ("zoom", "pan", "select", "lasso", "zoomIn", "zoomOut", "autoScale", "resetScale", "toImage")
CONFIG = {"displaylogo": False, "modeBarButtonsToRemove": UNUSED_BUTTONS}


def base_layout(title: str, x: dict[str, Any], y: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Returns the layout of a chart. `x` and `y` are Plotly's settings of the axes, with `title` as plain text."""
    text = {"standoff": 4, "font": {"size": SMALL}}
    return {
        "title": {"text": title, "font": {"size": 14}, "x": 0, "y": 0.98, "yanchor": "top", "pad": {"l": 4}},
        "height": HEIGHT,
        "margin": {"l": 8, "r": 8, "t": 46, "b": 8},
        "legend": {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom", "font": {"size": SMALL}, "itemwidth": 30},
        "bargap": 0.15,
        "hoverlabel": {"namelength": -1},
        "xaxis": {"tickfont": {"size": SMALL}, **x, "title": {"text": x.get("title", ""), **text}},
        "yaxis": {"tickfont": {"size": SMALL}, **y, "title": {"text": y.get("title", ""), **text}},
        **more,
    }


def live_layout(title: str, x: dict[str, Any], y: dict[str, Any], below: int, ink: str, **more: Any) -> dict[str, Any]:
    """Returns the layout of a chart that is replaced with every move of a slider, and that a browser draws only once.

    The margins are given, `below` among them, because finding them takes a second drawing. Streamlit hands each figure
    to Plotly twice, as copies, and Plotly redraws a copy that has a template, no `datarevision`, or another width. So
    there is no template: `ink` is the colour of the text. And the columns of the pages have widths that need no
    rounding by Plotly.
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


def change_layout(title: str, names: Sequence[str], height: int, left: int, ink: str, **more: Any) -> dict[str, Any]:
    """Returns the layout of a chart of changes in percentage points, with a row for each name, the first one on top.

    `left`: the pixels for the names.
    """
    layout = live_layout(
        title,
        {"title": "percentage points", "zeroline": True, "zerolinecolor": ink},
        {"type": "category", "categoryorder": "array", "categoryarray": [*names][::-1], "ticksuffix": " "},
        below=44,
        ink=ink,
        height=height,
        showlegend=False,
        **more,
    )
    layout["margin"] |= {"l": left}
    return layout


def ink(theme: str | None) -> str:
    """Returns the colour of text for a theme of Streamlit, "light" or "dark"; None means light."""
    return INK[theme or "light"]


class Drawing(BaseFigure):
    """A figure made of Plotly's own dicts. Plotly's classes would check every value, 6 ms per move; the tests do so."""

    def __init__(self, layout: dict[str, Any], *traces: dict[str, Any]) -> None:
        self._figure = {"data": list(traces), "layout": layout}

    @classmethod
    def of(cls, figure: dict[str, Any]) -> "Drawing":
        """Returns the figure that `to_dict` has returned."""
        return cls(figure["layout"], *figure["data"])

    def to_dict(self) -> dict[str, Any]:
        return self._figure


def enlarged(part: Any) -> Any:
    """Returns a figure, or a part of one, with text, height and margins LARGER, for a projector."""
    if isinstance(part, dict):
        return {key: _larger(key, value) for key, value in part.items()}
    return [enlarged(each) for each in part] if isinstance(part, list) and any(map(_is_part, part)) else part


def _larger(key: str, value: Any) -> Any:
    if key in ("font", "tickfont", "textfont"):
        return {**value, "size": LARGER * value.get("size", SMALL)}
    if key == "margin":
        return {side: LARGER * pixels for side, pixels in value.items()}
    return LARGER * value if key == "height" else enlarged(value)


def _is_part(each: object) -> bool:
    return isinstance(each, (dict, list))


def step_trace(name: str, centres: Sequence[float], counts: Sequence[int], colour: str, hover: str) -> dict[str, Any]:
    """Returns a histogram as one filled path, which a browser draws much faster than one bar per bin."""
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
        "hovertemplate": hover,
    }


def layer_axis(names: Sequence[str]) -> dict[str, Any]:
    """Returns an axis with short names of layers, as many as are legible. The hover text has the full names."""
    labelled = names[:: math.ceil(len(names) / MOST_TICKS)]
    short = [short_name(name) for name in labelled]
    return {"tickangle": -90, "tickfont": {"size": SMALL}, "type": "category", "tickvals": labelled, "ticktext": short}


def label_pixels(names: Sequence[str]) -> int:
    """Returns the pixels that the upright names of layers need below the axis, limited so that the bars keep room."""
    return min(100, 16 + 6 * max(len(short_name(name)) for name in names))


def short_name(name: str) -> str:
    """Returns a short form: "layer2.0.downsample.0" -> "2.0.down", "features.3.conv.1.0" -> "3.1.0"."""
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
    """Returns the title of a lower panel, above its `top` (0..1 of the plot) and flush left with the chart's title."""
    font = {"size": 14, "color": ink}
    position = {"x": 0, "y": top, "xref": "paper", "yref": "paper", "xanchor": "left", "yanchor": "bottom"}
    return {"text": f"<b>{text}</b>", "font": font, "showarrow": False, "xshift": -52, "yshift": 4, **position}
