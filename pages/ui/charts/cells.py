"""Charts with a cell per weight or per group of weights: mosaics of pruned weights, tiles of integer codes."""

import math
from collections.abc import Sequence
from typing import Any

from compression.inspect.mosaic import Mosaic, Overlap
from pages.ui.charts.style import (
    COMPRESSED,
    COMPRESSED_OTHERWISE,
    FLOAT,
    PERCENT,
    REMOVED,
    SMALL,
    TWO_ROWS,
    Drawing,
    live_layout,
    short_name,
)

HEIGHT = 270
TALL = 355  # as high as a chart of HEIGHT with a widget above or below it
ORANGE, SKY, GREY = (230, 159, 0), (86, 180, 233), (153, 153, 153)
PRUNED_BY_OTHER = "#56B4E9"
MARGIN_OF_LAYERS = 88
ROW_PIXELS = 13  # of a name, and the pixels above and below all rows:
AROUND_PIXELS = 86
CODES_HEIGHT = 260


def mosaic(view: Mosaic, of: str, layers: Sequence[str], ink: str) -> Drawing:
    """Returns the share of weights that remain in each cell, from grey (none) to orange (all).

    `layers`: the names of the rows, or none if the rows are filters.
    """
    shares = [
        [round(left / weights, 3) if weights else None for left, weights in zip(*row, strict=True)]
        for row in zip(view.nonzero, view.weights, strict=True)
    ]
    cells = {
        "type": "heatmap",
        **_places(view.rows_per_cell, view.columns_per_cell),
        "z": shares,
        "zmin": 0,
        "zmax": 1,
        "colorscale": [[0, REMOVED], [1, COMPRESSED]],
        "colorbar": {"thickness": 8, "tickformat": PERCENT, "dtick": 0.5, "title": {"text": "kept"}, "outlinewidth": 0},
        "hoverongaps": False,
        "hovertemplate": "%{z:.0%} of the weights kept<extra></extra>",
    }
    return Drawing(
        _tiles(
            f"Weights kept in {of}",
            view.rows_per_cell,
            view.columns_per_cell,
            len(shares),
            len(shares[0]),
            layers,
            TALL,
            ink,
        ),
        cells,
    )


def overlap(view: Overlap, layers: Sequence[str], ink: str) -> Drawing:
    """Returns the overlap of the weights that this criterion and the other one prune.

    A cell mixes the colours of its weights. It is the paler, the more of them both criteria keep.
    """
    pixels = [
        [_mixed(*cell) for cell in zip(*row, strict=True)]
        for row in zip(view.neither, view.only_first, view.only_second, view.both, strict=True)
    ]
    layout = _tiles(
        "Overlap of pruned weights",
        view.rows_per_cell,
        view.columns_per_cell,
        len(pixels),
        len(pixels[0]),
        layers,
        HEIGHT,
        ink,
    )
    layout["yaxis"]["scaleanchor"] = False
    layout["margin"] |= {"t": TWO_ROWS}
    swatches = (
        ("both", REMOVED),
        ("this only", COMPRESSED),
        ("other only", PRUNED_BY_OTHER),
        ("neither", "rgba(128, 128, 128, 0.2)"),
    )
    image = {
        "type": "image",
        **_places(view.rows_per_cell, view.columns_per_cell),
        "colormodel": "rgba",
        "z": pixels,
        "hoverinfo": "skip",
    }
    return Drawing(layout, image, *(_swatch(name, colour) for name, colour in swatches))


def _mixed(neither: int, first: int, second: int, both: int) -> tuple[float, ...]:
    """Returns red, green and blue (0..255) and opacity (0..1) of a cell."""
    pruned = first + second + both
    if not pruned:
        return (128, 128, 128, 0.1 if neither else 0)
    mix = (
        (first * orange + second * sky + both * grey) // pruned
        for orange, sky, grey in zip(ORANGE, SKY, GREY, strict=True)
    )
    return (*mix, round(0.1 + 0.9 * pruned / (pruned + neither), 2))


def _swatch(name: str, colour: str) -> dict[str, Any]:
    marker = {"symbol": "square", "size": 11, "color": colour}
    return {"type": "scatter", "x": [None], "y": [None], "mode": "markers", "marker": marker, "name": name}


def _places(tall: int, wide: int) -> dict[str, float]:
    """Returns the positions of the cells, so that the axes count filters and weights."""
    return {"x0": (wide - 1) / 2, "dx": wide, "y0": (tall - 1) / 2, "dy": tall}


def _tiles(
    title: str, tall: int, wide: int, rows: int, columns: int, layers: Sequence[str], height: int, ink: str
) -> dict[str, Any]:
    """Returns the layout of a table of cells, with the first row on top."""
    if layers:
        named = range(0, rows, math.ceil(rows * ROW_PIXELS / (height - AROUND_PIXELS)))
        y: dict[str, Any] = {
            "tickvals": [*named],
            "ticktext": [short_name(layers[row]) for row in named],
            "tickfont": {"size": SMALL},
        }
    else:
        y = {"title": _counted("filter", tall), "nticks": 6}
    x = {"title": _counted("filter" if layers else "weight of the filter", wide), "nticks": 6}
    layout = live_layout(
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
    return what if in_cell == 1 else f"{what}, {in_cell} per cell"


def codes(tiles: Sequence[Sequence[int | None]], zero_point: int, most: int, ink: str) -> Drawing:
    """Returns codes in tiles, with None between them. White is the zero point, full colour a code `most` away."""
    layout = live_layout(
        "Codes: one tile per input channel",
        {"visible": False},
        {"visible": False, "autorange": "reversed"},
        below=8,
        ink=ink,
        height=CODES_HEIGHT,
    )
    layout["margin"] |= {"l": 8, "t": 34}
    cells = {
        "type": "heatmap",
        "z": tiles,
        "text": [["" if code is None else str(code) for code in row] for row in tiles],
        "texttemplate": "%{text}",
        "textfont": {"size": SMALL},
        "zmin": zero_point - most,
        "zmax": zero_point + most,
        "colorscale": [[0, FLOAT], [0.5, "#f4f4f4"], [1, COMPRESSED_OTHERWISE]],
        "showscale": False,
        "xgap": 1,
        "ygap": 1,
        "hovertemplate": "code %{z}<extra></extra>",
    }
    return Drawing(layout, cells)
