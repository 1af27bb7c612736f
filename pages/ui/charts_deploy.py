"""Latencies as bars; imports no streamlit."""

from collections.abc import Mapping, Sequence

from compression.latency import Latency
from compression.variants import Kind
from pages.ui.charts import COMPRESSED, FLOAT, Drawing, panel

ROW_PIXELS = 24


def latencies(found: Sequence[Latency], names: Mapping[str, str], ink: str) -> Drawing:
    """A bar a file, the median, with a whisker to the 90th percentile."""
    batch, threads = found[0].batch, found[0].threads
    images = "One image" if batch == 1 else f"{batch} images at once"
    layout = panel(
        f"{images}, {threads} thread{'s' * (threads > 1)}",
        {"title": "milliseconds, median and 90th percentile", "rangemode": "tozero"},
        {"title": "", "range": [len(found) - 0.5, -0.5], "showgrid": False},
        below=40,
        ink=ink,
        showlegend=False,
    )
    layout["margin"] = {"l": 118, "r": 40, "t": 30, "b": 40}
    layout["height"] = 70 + ROW_PIXELS * len(found)
    layout["yaxis"] |= {"tickvals": list(range(len(found))), "ticktext": [f"{names[each.name]} " for each in found]}
    bars = {
        "type": "bar",
        "orientation": "h",
        "x": [each.median_ms for each in found],
        "y": list(range(len(found))),
        "marker": {"color": [FLOAT if each.name == Kind.FLOAT else COMPRESSED for each in found]},
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [each.p90_ms - each.median_ms for each in found],
            "arrayminus": [0.0] * len(found),
            "color": ink,
            "thickness": 1,
            "width": 3,
        },
        "text": [f"{each.median_ms:.2f}" for each in found],
        "textposition": "inside",
        "textangle": 0,
        "constraintext": "none",
        "insidetextanchor": "start",
        "customdata": [[names[each.name], each.p90_ms, each.runs] for each in found],
        "hovertemplate": "%{customdata[0]}: %{x:.3g} ms, 90 % of %{customdata[2]} runs within %{customdata[1]:.3g} ms"
        "<extra></extra>",
    }
    return Drawing(layout, bars)
