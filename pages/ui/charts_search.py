"""What a search has tried; imports no streamlit."""

import math
from collections.abc import Sequence
from typing import Any

from compression.outcome import SearchReading
from compression.search import Tried
from compression.titles import title
from pages.ui import format
from pages.ui.charts import COMPRESSED, REMOVED, Drawing, panel
from pages.ui.charts_tradeoffs import GAIN, TICKS

HEIGHT = 330
MOST_LOST = 0.12  # what loses more is not on the picture


def search(reading: SearchReading, ink: str) -> Drawing:
    """Bytes against what is lost: uniform networks, what was tried, and the best of each."""
    everything = [*reading.uniform, *reading.tried]
    shown = [each for each in everything if each.found.drop <= MOST_LOST] or everything
    first, last = min(each.file for each in shown), max(each.file for each in shown)
    ticks = [size for size in TICKS if first / 2 <= size <= 2 * last]
    layout = panel(
        "",
        {
            "title": "bytes of the file (log)",
            "type": "log",
            "range": [math.log10(first) - 0.05, math.log10(last) + 0.05],
            "tickvals": ticks,
            "ticktext": [format.round_size(size) for size in ticks],
        },
        {"title": "points lost on the search half", "range": [100 * MOST_LOST, -2]},
        below=40,
        ink=ink,
        hovermode="closest",
        shapes=_goal(reading),
    )
    layout["height"] = HEIGHT
    layout["margin"] |= {"t": 30}
    traces = [_cloud("uniform", reading.uniform, REMOVED), _cloud("tried by the search", reading.tried, COMPRESSED)]
    for name, each, colour in (("best uniform", reading.chosen_uniform, ink), ("best found", reading.chosen, GAIN)):
        if each:
            traces.append(_ring(name, each, colour))
    return Drawing(layout, *traces)


def _goal(reading: SearchReading) -> list[dict[str, Any]]:
    line = {"color": GAIN, "width": 2, "dash": "dash"}
    goal = reading.goal
    if goal.drop is not None:
        return [
            {
                "type": "line",
                "x0": 0,
                "x1": 1,
                "xref": "paper",
                "y0": 100 * goal.drop,
                "y1": 100 * goal.drop,
                "line": line,
            }
        ]
    return [{"type": "line", "x0": goal.nbytes, "x1": goal.nbytes, "y0": 0, "y1": 1, "yref": "paper", "line": line}]


def _cloud(name: str, tried: Sequence[Tried], colour: str) -> dict[str, Any]:
    """What was tried on few images alone is small."""
    most = max((each.found.images for each in tried), default=1)
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [each.file for each in tried],
        "y": [100 * each.found.drop for each in tried],
        "marker": {"color": colour, "size": [9 if each.found.images == most else 5 for each in tried], "opacity": 0.8},
        "customdata": [[title(each.spec), each.found.images] for each in tried],
        "hovertemplate": "%{customdata[0]}<br>%{x:,} bytes, %{y:.2f} points lost on %{customdata[1]:,} images"
        "<extra></extra>",
    }


def _ring(name: str, tried: Tried, colour: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [tried.file],
        "y": [100 * tried.found.drop],
        "marker": {"symbol": "circle-open", "size": 17, "color": colour, "line": {"width": 3}},
        "hoverinfo": "skip",
    }
