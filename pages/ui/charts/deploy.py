"""The bytes of a file as a waterfall chart, and latencies as bars. Imports no streamlit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from compression.deploy.latency import Latency
from compression.deploy.variants import VariantKind
from compression.files.ledger import FileLedger
from pages.ui import wording
from pages.ui.charts.style import COMPRESSED, FLOAT, REMOVED, SMALL, Drawing, live_layout, lower_title

ROW_PIXELS = 24
ADDED = "rgba(230, 159, 0, 0.55)"
HOLLOW = "rgba(0, 0, 0, 0)"
HALVES = (0.0, 0.4), (0.48, 1.0)  # of the width
HEADROOM = 1.15  # for the numbers above the columns
OFF = {
    "float32": "weights,<br>float32",
    "fewer bits": "fewer<br>bits",
    "pruned": "pruned",
    "entropy coding": "entropy<br>coding",
    "contexts": "contexts",
}
INTO = {"places": "nonzero<br>mask", "scales": "scales", "rest": "biases,<br>batch norm", "container": "header"}


@dataclass(frozen=True)
class Column:
    """A column of a waterfall chart. `nbytes` are added to `base`; if they are negative, subtracted."""

    name: str
    nbytes: int
    colour: str
    base: int = 0

    @property
    def text(self) -> str:
        sign = "" if self.base == 0 else "+" if self.nbytes > 0 else "\N{MINUS SIGN}" * (self.nbytes < 0)
        return f"{sign}{wording.size(abs(self.nbytes))}"


def waterfall(ledger: FileLedger, ink: str) -> Drawing:
    """Returns two charts side by side: from float32 down to the codes, and from the codes up to the whole file.

    The second has a scale of its own, and the order-0 bound of codes and positions as its last column.
    """
    steps = ledger.steps
    off, into = [], []
    level = 0
    for name, label in OFF.items():
        off.append(Column(label, steps[name], REMOVED if level else FLOAT, level))
        level += steps[name]
    into.append(Column("codes", level, COMPRESSED))
    for name, label in INTO.items():
        into.append(Column(label, steps[name], ADDED, level))
        level += steps[name]
    into += [Column("on<br>disk", level, COMPRESSED), Column("order-0<br>bound", round(ledger.bound), HOLLOW)]
    layout = live_layout("", _names(off, HALVES[0]), _scale(off), below=44, ink=ink, showlegend=False)
    layout["xaxis2"] = layout["xaxis"] | _names(into, HALVES[1]) | {"anchor": "y2"}
    layout["yaxis2"] = layout["yaxis"] | _scale(into) | {"anchor": "x2"}
    layout["annotations"] = [
        lower_title(title, 1, ink) | {"x": begin, "yshift": 14}
        for title, (begin, _) in zip(("Savings on the weights", "Contents of the file"), HALVES, strict=True)
    ]
    axes = {"xaxis": "x2", "yaxis": "y2"}
    return Drawing(layout, _bars(off, ink), _numbers(off), _bars(into, ink) | axes, _numbers(into) | axes)


def _names(columns: Sequence[Column], domain: tuple[float, float]) -> dict[str, Any]:
    ticks = {"tickvals": list(range(len(columns))), "ticktext": [each.name for each in columns], "tickangle": 0}
    return {**ticks, "domain": domain, "range": [-0.5, len(columns) - 0.5]}


def _scale(columns: Sequence[Column]) -> dict[str, Any]:
    top = max(each.base + each.nbytes for each in columns)
    return {"range": [0, HEADROOM * top], "tickformat": "~s", "ticksuffix": "B", "nticks": 4}


def _bars(columns: Sequence[Column], ink: str) -> dict[str, Any]:
    return {
        "type": "bar",
        "x": list(range(len(columns))),
        "y": [each.nbytes for each in columns],
        "base": [each.base for each in columns],
        "marker": {
            "color": [each.colour for each in columns],
            "line": {"color": ink, "width": [1 if each.colour == HOLLOW else 0 for each in columns]},
        },
        "customdata": [each.name.replace("<br>", " ") for each in columns],
        "hovertemplate": "%{customdata}: %{y:,} bytes<extra></extra>",
    }


def _numbers(columns: Sequence[Column]) -> dict[str, Any]:
    """Returns the numbers above the columns."""
    return {
        "type": "scatter",
        "mode": "text",
        "x": list(range(len(columns))),
        "y": [each.base + max(each.nbytes, 0) for each in columns],
        "text": [each.text for each in columns],
        "textposition": "top center",
        "textfont": {"size": SMALL},
        "hoverinfo": "skip",
    }


def latencies(found: Sequence[Latency], names: Mapping[str, str], ink: str) -> Drawing:
    """Returns one bar per file: the median, with a whisker to the 90th percentile."""
    batch, threads = found[0].batch, found[0].threads
    images = "One image" if batch == 1 else f"{batch} images at once"
    layout = live_layout(
        f"{images}, {threads} thread{'s' * (threads > 1)}",
        {"title": "milliseconds, median and 90th percentile", "rangemode": "tozero"},
        {"title": "", "range": [len(found) - 0.5, -0.5], "showgrid": False},
        below=40,
        ink=ink,
        showlegend=False,
    )
    layout["margin"] = {"l": 134, "r": 40, "t": 30, "b": 40}
    layout["height"] = 70 + ROW_PIXELS * len(found)
    named = [f"{names[each.name]}  <b>{each.median_ms:.2f}</b> " for each in found]
    layout["yaxis"] |= {"tickvals": list(range(len(found))), "ticktext": named}
    bars = {
        "type": "bar",
        "orientation": "h",
        "x": [each.median_ms for each in found],
        "y": list(range(len(found))),
        "marker": {"color": [FLOAT if each.name == VariantKind.FLOAT else COMPRESSED for each in found]},
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [each.p90_ms - each.median_ms for each in found],
            "arrayminus": [0.0] * len(found),
            "color": ink,
            "thickness": 1,
            "width": 3,
        },
        "customdata": [[names[each.name], each.p90_ms, each.runs] for each in found],
        "hovertemplate": "%{customdata[0]}: %{x:.3g} ms, 90 % of %{customdata[2]} runs within %{customdata[1]:.3g} ms"
        "<extra></extra>",
    }
    return Drawing(layout, bars)
