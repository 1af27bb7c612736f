"""The charts of confidence: margins of images that change sides, and the reliability diagram. Imports no streamlit."""

from collections.abc import Sequence
from typing import Any

from compression.inside.calibration import Calibration, CurvePoint, Reliability, margin_shares
from compression.inside.flips import Change, Comparison
from compression.spec import FLOAT_BITS
from pages.ui import wording
from pages.ui.charts.style import COMPRESSED, FLOAT, GAIN, LOSS, PERCENT, REMOVED, TWO_ROWS, Drawing, live_layout

HEIGHT = 330
CHANGES = {Change.SAME: REMOVED, Change.WON: GAIN, Change.LOST: LOSS}


def margins(comparison: Comparison, ink: str) -> Drawing:
    """Returns how the margins of the float network are distributed, among images of each change."""
    layout = live_layout(
        "How sure float is of the images",
        {"title": "margin of the float network (logits)"},
        {"title": "share of these images", "tickformat": PERCENT, "rangemode": "tozero"},
        below=44,
        ink=ink,
        height=HEIGHT,
    )
    layout["margin"] |= {"t": TWO_ROWS}
    traces = []
    for change, colour in CHANGES.items():
        centres, shares = margin_shares(comparison, change)
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": f"{change.lower()} ({comparison.counts[change]:,})",
                "x": centres,
                "y": shares,
                "line": {"color": colour, "width": 2, "shape": "hvh"},
                "hovertemplate": "margin about %{x:.1f}: %{y:.1%}<extra>%{fullData.name}</extra>",
            }
        )
    return Drawing(layout, *traces)


def reliability(before: Calibration, after: Calibration, ink: str) -> Drawing:
    """Returns the reliability diagram of both networks, dashed after temperature scaling."""
    layout = live_layout(
        "Reliability on the held-out half",
        {"title": "probability of the predicted class", "range": [0, 1.02], "tickformat": PERCENT},
        {"title": "accuracy", "range": [0, 1.02], "tickformat": PERCENT},
        below=44,
        ink=ink,
        height=HEIGHT,
    )
    layout["margin"] |= {"t": TWO_ROWS}
    ideal = {
        "type": "scatter",
        "mode": "lines",
        "name": "calibrated",
        "x": [0, 1],
        "y": [0, 1],
        "line": {"color": ink, "width": 1, "dash": "dot"},
        "hoverinfo": "skip",
    }
    return Drawing(
        layout,
        ideal,
        _line("float", before.plain, FLOAT, "solid"),
        _line("float, scaled", before.scaled, FLOAT, "dash"),
        _line("compressed", after.plain, COMPRESSED, "solid"),
        _line("compressed, scaled", after.scaled, COMPRESSED, "dash"),
    )


def _line(name: str, each: Reliability, colour: str, dash: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": name,
        "x": [part.confidence for part in each.bins],
        "y": [part.accuracy for part in each.bins],
        "line": {"color": colour, "width": 2, "dash": dash},
        "showlegend": dash == "solid",
        "marker": {"size": 6},
        "customdata": [
            f"{name}: {wording.percent(part.confidence)} sure, {wording.percent(part.accuracy)} correct, "
            f"{part.images:,} images"
            for part in each.bins
        ],
        "hovertemplate": "%{customdata}<extra></extra>",
    }


def curve(points: Sequence[CurvePoint], ink: str) -> Drawing:
    """Returns the expected calibration error by bits or by sparsity, dashed after temperature scaling."""
    by_bits = points[0].at.bits is not None
    bits = ["float" if each.at.bits == FLOAT_BITS else str(each.at.bits) for each in points]
    layout = live_layout(
        f"Calibration error by {'bits per weight' if by_bits else 'sparsity'}",
        {"title": "bits per weight", "type": "category"} if by_bits else {"title": "sparsity", "tickformat": PERCENT},
        {"title": "expected calibration error", "tickformat": PERCENT, "rangemode": "tozero"},
        below=44,
        ink=ink,
        height=HEIGHT,
    )
    layout["margin"] |= {"t": TWO_ROWS}
    places = bits if by_bits else [each.at.sparsity for each in points]
    kinds: list[tuple[str, str, list[Reliability | None]]] = [
        ("as it is", "solid", [each.plain for each in points]),
        ("scaled on training images", "dash", [each.scaled for each in points]),
    ]
    return Drawing(
        layout,
        *(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": name,
                "x": places,
                "y": [each.expected_error if each else None for each in values],
                "line": {"color": COMPRESSED, "width": 2, "dash": dash},
                "marker": {"size": 6},
                "customdata": [
                    f"error {wording.percent(each.expected_error)}: {wording.percent(each.confidence)} sure, "
                    f"{wording.percent(each.accuracy)} correct"
                    if each
                    else ""
                    for each in values
                ],
                "hovertemplate": "%{customdata}<extra>%{fullData.name}</extra>",
            }
            for name, dash, values in kinds
            if any(values)
        ),
    )
