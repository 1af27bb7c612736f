"""What pruning takes, as Plotly's own dicts: the cumulative curve, mosaics, ranked filters, work by layer."""

import math
from collections.abc import Sequence
from typing import Any

from compression.inspect.mosaic import Mosaic, Overlap
from compression.inspect.ranking import Ranking
from compression.inspect.scores import Cut
from compression.inspect.threshold_curve import Curve
from compression.pruning.proof import SmallerNetwork
from pages.ui import format
from pages.ui.charts.style import COMPRESSED, FLOAT, REMOVED, SHARE, Drawing, layer_axis, panel, room, short_name

HEIGHT = 270
TALL = 355  # as high as a chart of HEIGHT with a widget above or below it
ORANGE, SKY, GREY = (230, 159, 0), (86, 180, 233), (153, 153, 153)
TAKEN_BY_OTHER = "#56B4E9"
MARGIN_OF_LAYERS = 72
MOST_NAMES = 26


def curve(whole: Curve, layer: Curve | None, cut: Cut | None, axis: str, ink: str) -> Drawing:
    """The share of scores below each threshold, of the network and of one layer, and where the cut is."""
    kind = "log" if whole.logarithmic else "linear"
    layout = panel(
        "How much lies below a threshold",
        {
            "title": f"{axis} ({kind})" if whole.logarithmic else axis,
            "type": kind,
            "exponentformat": "power",
            "dtick": 1 if whole.logarithmic else None,
        },
        {"title": "share below", **SHARE, "range": [0, 1.02], "dtick": 0.25},
        below=40,
        ink=ink,
        height=HEIGHT,
        shapes=_cut(cut, whole.thresholds[0]) if cut else [],
    )
    traces = [_line("whole network", whole, FLOAT)]
    if layer:
        traces.append(_line("this layer", layer, COMPRESSED))
    if cut and cut.low == cut.high:
        traces.append(
            {
                "type": "scatter",
                "x": [max(cut.low, whole.thresholds[0])],
                "y": [cut.share],
                "mode": "markers",
                "marker": {"color": REMOVED, "size": 11, "line": {"color": ink, "width": 1.5}},
                "name": f"{format.percent(cut.share)} below {cut.low:.3g}",
                "hovertemplate": f"{format.percent(cut.share)} below {cut.low:.4g}<extra></extra>",
            }
        )
    return Drawing(layout, *traces)


def _line(name: str, of: Curve, colour: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "name": name,
        "x": [float(f"{threshold:.4g}") for threshold in of.thresholds],
        "y": [round(share, 5) for share in of.shares],
        "mode": "lines",
        "line": {"color": colour, "width": 2.5},
        "hovertemplate": "%{y:.1%} below %{x:.3g}",
    }


def _cut(cut: Cut, first: float) -> list[dict[str, Any]]:
    """What goes, in grey up to the lowest threshold, and lighter up to the highest."""
    low, high = max(first, cut.low), max(first, cut.high)
    band = {"type": "rect", "xref": "x", "yref": "paper", "y0": 0, "y1": 1, "fillcolor": REMOVED, "line": {"width": 0}}
    line = {"type": "line", "yref": "paper", "y0": 0, "y1": 1, "line": {"color": REMOVED, "width": 1.5, "dash": "dash"}}
    return [
        {**band, "x0": first, "x1": low, "opacity": 0.25, "layer": "below"},
        {**band, "x0": low, "x1": high, "opacity": 0.12, "layer": "below"},
        *({**line, "x0": at, "x1": at} for at in {low, high}),
    ]


def mosaic(view: Mosaic, of: str, layers: Sequence[str], ink: str) -> Drawing:
    """The share left in each cell: grey where nothing is, orange where all is. `layers`: names of the rows, or none."""
    shares = [
        [round(left / weights, 3) if weights else None for left, weights in zip(*row, strict=True)]
        for row in zip(view.left, view.weights, strict=True)
    ]
    cells = {
        "type": "heatmap",
        **_places(view.tall, view.wide),
        "z": shares,
        "zmin": 0,
        "zmax": 1,
        "colorscale": [[0, REMOVED], [1, COMPRESSED]],
        "colorbar": {"thickness": 8, "tickformat": ".0%", "dtick": 0.5, "title": {"text": "left"}, "outlinewidth": 0},
        "hoverongaps": False,
        "hovertemplate": "%{z:.0%} left<extra></extra>",
    }
    return Drawing(
        _tiles(f"What is left of {of}", view.tall, view.wide, len(shares), len(shares[0]), layers, TALL, ink), cells
    )


def overlap(view: Overlap, layers: Sequence[str], ink: str) -> Drawing:
    """Who takes what: a cell mixes the colours of its weights, and the more of them both keep, the paler it is."""
    pixels = [
        [_mixed(*cell) for cell in zip(*row, strict=True)]
        for row in zip(view.kept, view.only_first, view.only_second, view.taken, strict=True)
    ]
    layout = _tiles("Who takes what", view.tall, view.wide, len(pixels), len(pixels[0]), layers, HEIGHT, ink)
    layout["yaxis"]["scaleanchor"] = False
    swatches = (
        ("both", REMOVED),
        ("this way", COMPRESSED),
        ("the other", TAKEN_BY_OTHER),
        ("neither", "rgba(128, 128, 128, 0.2)"),
    )
    image = {"type": "image", **_places(view.tall, view.wide), "colormodel": "rgba", "z": pixels, "hoverinfo": "skip"}
    return Drawing(layout, image, *(_swatch(name, colour) for name, colour in swatches))


def _mixed(kept: int, first: int, second: int, taken: int) -> tuple[float, ...]:
    """Red, green and blue (0..255) and opacity (0..1) of a cell."""
    gone = first + second + taken
    if not gone:
        return (128, 128, 128, 0.1 if kept else 0)
    mix = (
        (first * one + second * other + taken * both) // gone
        for one, other, both in zip(ORANGE, SKY, GREY, strict=True)
    )
    return (*mix, round(0.1 + 0.9 * gone / (gone + kept), 2))


def _swatch(name: str, colour: str) -> dict[str, Any]:
    marker = {"symbol": "square", "size": 11, "color": colour}
    return {"type": "scatter", "x": [None], "y": [None], "mode": "markers", "marker": marker, "name": name}


def _places(tall: int, wide: int) -> dict[str, float]:
    """Where cells lie, so that axes count filters and weights."""
    return {"x0": (wide - 1) / 2, "dx": wide, "y0": (tall - 1) / 2, "dy": tall}


def _tiles(
    title: str, tall: int, wide: int, rows: int, columns: int, layers: Sequence[str], height: int, ink: str
) -> dict[str, Any]:
    """The layout of a table of cells, the first row on top."""
    if layers:
        named = range(0, rows, math.ceil(rows / MOST_NAMES))
        y = {"tickvals": [*named], "ticktext": [short_name(layers[row]) for row in named], "tickfont": {"size": 8}}
    else:
        y = {"title": _counted("filter", tall), "nticks": 6}
    x = {"title": _counted("filter" if layers else "weight of the filter", wide), "nticks": 6}
    layout = panel(
        title,
        {**x, "range": [-0.5, columns * wide - 0.5]},
        {"showgrid": False, **y, "range": [rows * tall - 0.5, -0.5]},
        below=40,
        ink=ink,
        height=height,
    )
    if layers:
        layout["margin"] |= {"l": MARGIN_OF_LAYERS}
    return layout


def _counted(what: str, in_cell: int) -> str:
    return what if in_cell == 1 else f"{what}, {in_cell} in a cell"


def ranking(view: Ranking, axis: str, ink: str) -> Drawing:
    """Filters by score, the best first; of each bar the share that is left in orange, the zeros in grey."""
    layout = panel(
        "Filters by score",
        {"title": "rank" if view.each == 1 else f"rank, {view.each} filters in a bar"},
        {"title": axis, "nticks": 5},
        below=40,
        ink=ink,
        height=TALL,
        barmode="stack",
    )
    layout["bargap"] = 0
    ranks = [1 + view.each * bar for bar in range(len(view.scores))]
    shares = (("left", COMPRESSED, view.left), ("zero", REMOVED, [1 - left for left in view.left]))
    return Drawing(
        layout,
        *(
            {
                "type": "bar",
                "x": ranks,
                "y": [float(f"{score * part:.4g}") for score, part in zip(view.scores, parts, strict=True)],
                "customdata": list(zip(view.scores, parts, strict=True)),
                "hovertemplate": f"rank %{{x}}, score %{{customdata[0]:.3g}}: %{{customdata[1]:.0%}} {name}",
                "name": name,
                "marker": {"color": colour, "line": {"width": 0}},
            }
            for name, colour, parts in shares
        ),
    )


def channels(smaller: SmallerNetwork, ink: str) -> Drawing:
    """Output channels of each layer, before and after those that are zero were taken out."""
    names = [layer.layer for layer in smaller.layers]
    layout = panel(
        "Filters by layer", layer_axis(names), {"title": "filters", "nticks": 5}, room(names), ink, height=HEIGHT
    )
    counts = (("float", FLOAT, [layer.before for layer in smaller.layers]),)
    counts += (("removed for good", COMPRESSED, [layer.after for layer in smaller.layers]),)
    return Drawing(
        layout,
        *(
            {
                "type": "bar",
                "x": names,
                "y": count,
                "name": name,
                "marker": {"color": colour},
                "hovertemplate": "%{x}: %{y}",
            }
            for name, colour, count in counts
        ),
    )
