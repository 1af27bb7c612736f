"""The charts of the page Pruning: the threshold curve, filters by score, filters by layer. Imports no streamlit."""

from math import log10
from typing import Any

from compression.inspect.ranking import Ranking
from compression.inspect.scores import Cut
from compression.inspect.threshold_curve import Curve
from compression.pruning.proof import SmallerNetwork
from pages.ui import wording
from pages.ui.charts.cells import HEIGHT, TALL
from pages.ui.charts.style import (
    COMPRESSED,
    FLOAT,
    REMOVED,
    SHARE,
    TWO_ROWS,
    Drawing,
    label_pixels,
    layer_axis,
    live_layout,
)

MOST_TICKS = 5  # about, of a log axis


def curve(whole: Curve, layer: Curve | None, cut: Cut | None, axis: str, ink: str) -> Drawing:
    """Returns the share of scores below each threshold, of the network and of one layer, with the threshold in use."""
    kind = "log" if whole.logarithmic else "linear"
    layout = live_layout(
        "Share of scores below a threshold",
        {
            "title": f"{axis} ({kind})" if whole.logarithmic else axis,
            "type": kind,
            "exponentformat": "power",
            "dtick": _decades_apart(whole) if whole.logarithmic else None,
        },
        {"title": "share below", **SHARE, "range": [0, 1.02], "dtick": 0.25},
        below=40,
        ink=ink,
        height=HEIGHT,
        shapes=_cut(cut, whole.thresholds[0]) if cut else [],
    )
    layout["margin"] |= {"t": TWO_ROWS}
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
                "name": f"{wording.percent(cut.share)} below {cut.low:.3g}",
                "hovertemplate": f"{wording.percent(cut.share)} below {cut.low:.4g}<extra></extra>",
            }
        )
    return Drawing(layout, *traces)


def _decades_apart(of: Curve) -> int:
    """Returns how many powers of ten lie between two ticks, so that there is room for each label."""
    return max(1, round(log10(of.thresholds[-1] / of.thresholds[0]) / MOST_TICKS))


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
    """Returns a grey band up to the lowest threshold of a layer, and a lighter one from there to the highest."""
    low, high = max(first, cut.low), max(first, cut.high)
    band = {"type": "rect", "xref": "x", "yref": "paper", "y0": 0, "y1": 1, "fillcolor": REMOVED, "line": {"width": 0}}
    line = {"type": "line", "yref": "paper", "y0": 0, "y1": 1, "line": {"color": REMOVED, "width": 1.5, "dash": "dash"}}
    return [
        {**band, "x0": first, "x1": low, "opacity": 0.25, "layer": "below"},
        {**band, "x0": low, "x1": high, "opacity": 0.12, "layer": "below"},
        *({**line, "x0": at, "x1": at} for at in {low, high}),
    ]


def ranking(view: Ranking, axis: str, ink: str) -> Drawing:
    """Returns the filters by score, highest first: nonzero weights in orange, zeros in grey."""
    layout = live_layout(
        "Filters by score",
        {"title": "rank" if view.filters_per_bar == 1 else f"rank, {view.filters_per_bar} filters per bar"},
        {"title": axis, "nticks": 5},
        below=40,
        ink=ink,
        height=TALL,
        barmode="stack",
    )
    layout["bargap"] = 0
    ranks = [1 + view.filters_per_bar * bar for bar in range(len(view.scores))]
    shares = (("nonzero", COMPRESSED, view.densities), ("zero", REMOVED, [1 - density for density in view.densities]))
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
    """Returns the filters of each layer, before and after the removal of those that are zero."""
    names = [layer.layer for layer in smaller.layers]
    layout = live_layout(
        "Filters by layer",
        layer_axis(names),
        {"title": "filters", "nticks": 5},
        label_pixels(names),
        ink,
        height=HEIGHT,
    )
    counts = (
        ("float", FLOAT, [layer.before for layer in smaller.layers]),
        ("kept after removal", COMPRESSED, [layer.after for layer in smaller.layers]),
    )
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
