"""The charts of flipped bits: accuracy by their number and by their position. Imports no streamlit."""

from collections.abc import Sequence

from compression.inside.bits.report import AT_ONE_POSITION, StorageReport
from pages.ui import wording
from pages.ui.charts.style import COMPRESSED, COMPRESSED_OTHERWISE, FLOAT, GAIN, PERCENT, TWO_ROWS, Drawing, live_layout

HEIGHT = 350
COLOURS = (FLOAT, COMPRESSED, COMPRESSED_OTHERWISE, GAIN)  # float32, 8-bit codes, 4-bit codes, settings of now
ACCURACY = {"title": "accuracy", "range": [0, 1], "tickformat": PERCENT}


def by_count(reports: Sequence[StorageReport], ink: str) -> Drawing:
    """Returns the accuracy by the number of flipped bits: the mean over the seeds, and their range."""
    counts = list(reports[0].by_count)
    layout = live_layout(
        "Accuracy by the number of flipped bits",
        {"title": "flipped bits", "type": "log", "tickvals": counts, "ticktext": [f"{each:,}" for each in counts]},
        ACCURACY,
        below=44,
        ink=ink,
        height=HEIGHT,
    )
    layout["margin"] |= {"t": TWO_ROWS}
    traces = []
    for colour, report in zip(COLOURS, reports, strict=False):
        rows = [[correct / report.images for correct in counts] for counts in report.by_count.values()]
        means = [sum(row) / len(row) for row in rows]
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": report.name,
                "x": counts,
                "y": means,
                "error_y": {
                    "type": "data",
                    "symmetric": False,
                    "array": [max(row) - mean for row, mean in zip(rows, means, strict=True)],
                    "arrayminus": [mean - min(row) for row, mean in zip(rows, means, strict=True)],
                    "thickness": 1,
                },
                "line": {"color": colour, "width": 2},
                "marker": {"size": 6},
                "customdata": [
                    f"{count:,} bits: {wording.percent(mean)} in the mean of {len(row)} draws, "
                    f"{wording.percent(min(row))} to {wording.percent(max(row))}"
                    for count, row, mean in zip(counts, rows, means, strict=True)
                ],
                "hovertemplate": "%{customdata}<extra>%{fullData.name}</extra>",
            }
        )
    return Drawing(layout, *traces)


def by_position(reports: Sequence[StorageReport], ink: str) -> Drawing:
    """Returns the accuracy after AT_ONE_POSITION flips at one position of the words, for each position."""
    layout = live_layout(
        f"Accuracy after {AT_ONE_POSITION} flips at one position",
        {"title": "position of the bit, 0 is the lowest", "dtick": 4},
        ACCURACY,
        below=44,
        ink=ink,
        height=HEIGHT,
    )
    layout["margin"] |= {"t": TWO_ROWS}
    traces = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": report.name,
            "x": [*range(len(report.by_position))],
            "y": [correct / report.images for correct in report.by_position],
            "line": {"color": colour, "width": 2},
            "marker": {"size": 6},
            "hovertemplate": "bit %{x}: %{y:.1%}<extra>%{fullData.name}</extra>",
        }
        for colour, report in zip(COLOURS, reports, strict=False)
    ]
    return Drawing(layout, *traces)
