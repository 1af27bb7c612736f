"""The charts of layers: noise, movement of the logits, spread of the signal. Imports no streamlit."""

import math
from collections.abc import Sequence
from typing import Any

from compression.inside.layers import LayerReport
from pages.ui import wording
from pages.ui.charts.style import (
    COMPRESSED,
    COMPRESSED_OTHERWISE,
    FLOAT,
    GAIN,
    TWO_ROWS,
    Drawing,
    label_pixels,
    layer_axis,
    live_layout,
)

HEIGHT = 240  # without the names of layers


def noise(report: LayerReport, ink: str) -> Drawing:
    """Returns the signal-to-noise ratio of each layer's output, compressed alone and with all layers before it."""
    layout = _layout(report, "Noise in the output of each layer", {"title": "SQNR (dB)"}, ink)
    return Drawing(
        layout,
        _line("this layer alone", report, [each.alone_db for each in report.layers], COMPRESSED, wording.decibels),
        _line(
            "with all layers before it",
            report,
            [each.accumulated_db for each in report.layers],
            COMPRESSED_OTHERWISE,
            wording.decibels,
        ),
    )


def movement(report: LayerReport, ink: str) -> Drawing:
    """Returns how far the logits move if each layer is compressed alone, and with all layers before it."""
    layout = _layout(
        report, "How far the logits move", {"title": "root mean square (logits)", "rangemode": "tozero"}, ink
    )
    images = report.layers[0].images
    changes = [
        ("this layer alone", COMPRESSED, [(each.alone_change, each.alone_flips) for each in report.layers]),
        (
            "with all layers before it",
            COMPRESSED_OTHERWISE,
            [(each.accumulated_change, each.accumulated_flips) for each in report.layers],
        ),
    ]
    traces = []
    for name, colour, values in changes:
        trace = _line(name, report, [change for change, _ in values], colour, "{:.2f} logits".format)
        trace["customdata"] = [
            f"{text}, {flips} of {images} predictions change"
            for text, (_, flips) in zip(trace["customdata"], values, strict=True)
        ]
        traces.append(trace)
    return Drawing(layout, *traces)


def spread(report: LayerReport, ink: str) -> Drawing:
    """Returns the spread of the signal relative to the float network, also with re-estimated batch norm."""
    layout = _layout(report, "Spread of the signal", {"title": "relative to float", "rangemode": "tozero"}, ink)
    layout["shapes"] = [
        {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 1, "y1": 1, "line": {"color": FLOAT, "dash": "dot"}}
    ]
    lines = [("compressed", COMPRESSED, {each.name: each.spread for each in report.layers})]
    if report.reestimated:
        lines.append(("batch norm re-estimated", GAIN, report.reestimated))
    floats = [(each.name, each.float_spread) for each in report.layers]
    traces = []
    for name, colour, values in lines:
        ratios = [values.get(layer, math.nan) / spread if spread else math.nan for layer, spread in floats]
        traces.append(_line(name, report, ratios, colour, "{:.2f} of float".format))
    return Drawing(layout, *traces)


def _layout(report: LayerReport, title: str, y: dict[str, Any], ink: str) -> dict[str, Any]:
    names = [each.name for each in report.layers]
    below = label_pixels(names)
    layout = live_layout(title, layer_axis(names), y, below=below, ink=ink, height=HEIGHT + below)
    layout["margin"] |= {"t": TWO_ROWS}
    return layout


def _line(name: str, report: LayerReport, values: Sequence[float], colour: str, words: Any) -> dict[str, Any]:
    """Returns a line with a value for each layer; those that are not finite leave a gap."""
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": name,
        "x": [each.name for each in report.layers],
        "y": [value if math.isfinite(value) else None for value in values],
        "line": {"color": colour, "width": 2},
        "marker": {"size": 6},
        "customdata": [f"{each.name}: {words(value)}" for each, value in zip(report.layers, values, strict=True)],
        "hovertemplate": "%{customdata}<extra>%{fullData.name}</extra>",
    }
