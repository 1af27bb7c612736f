"""The comparison as one HTML file that needs no other file: tables, and a chart as inline SVG."""

import math
from collections.abc import Mapping, Sequence
from datetime import date
from html import escape

import pandas as pd

from compression.evaluation.evaluation import Evaluation
from compression.results.result import Result
from pages.ui import wording
from pages.ui.charts.style import COMPRESSED, FLOAT
from pages.ui.tradeoffs import comparison_tables

WIDTH, HEIGHT, LEFT, BELOW = 720, 320, 60, 40
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; margin: 0 0 1.5rem } td, th { padding: .25rem .6rem; text-align: right }
th { border-bottom: 1px solid #999 } td:nth-child(-n+3) { text-align: left } svg { max-width: 100% }
"""


def html(results: Sequence[Result], before: Mapping[str, Evaluation]) -> str:
    """Returns the file. Names of networks come from strangers, so they are escaped."""
    total = results[0].evaluation.total
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Compressed networks compared</title><style>{STYLE}</style></head>
<body>
<h1>Compressed networks compared</h1>
<p>Each network was measured on all {total:,} test images of CIFAR-10, and its file size is that of
its packed file. Made with Squeezelab on {date.today():%d %B %Y}.</p>
{_table(comparison_tables.numbers(results, before))}
<h2>Accuracy against file size</h2>
{drawing(results)}
{_chance(results)}
<h2>Accuracy change per class</h2>
<p>In percentage points against the float network.</p>
{_table(comparison_tables.classes(results, before), index=True)}
</body></html>
"""


def _chance(results: Sequence[Result]) -> str:
    """Returns the p-values of all pairs, or "" for a single result."""
    if len(results) < 2:
        return ""
    words = escape(comparison_tables.chance_in_words(len(results)), quote=False)
    table = _table(comparison_tables.matrix(results), index=True)
    return f"<h2>Could the difference be chance?</h2>\n<p>{words}</p>\n{table}"


def _table(rows: pd.DataFrame, index: bool = False) -> str:
    heads = [""] * index + [str(name) for name in rows.columns]
    lines = [
        [str(name)] * index + [str(value) for value in row] for name, row in zip(rows.index, rows.values, strict=True)
    ]
    cells = "".join(f"<tr>{''.join(f'<td>{escape(value)}</td>' for value in line)}</tr>" for line in lines)
    return f"<table><tr>{''.join(f'<th>{escape(name)}</th>' for name in heads)}</tr>{cells}</table>"


def drawing(results: Sequence[Result]) -> str:
    """Returns an SVG: one numbered circle per result, with its 95 % interval as a line; bytes on a log axis."""
    sizes = [each.costs.file for each in results]
    ends = [end for each in results for end in each.evaluation.interval]
    low, high = min(ends) - 0.01, max(ends) + 0.01
    first, last = math.log10(min(sizes)) - 0.15, math.log10(max(sizes)) + 0.15

    def x(size: float) -> float:
        return LEFT + (WIDTH - LEFT - 10) * (math.log10(size) - first) / (last - first)

    def y(accuracy: float) -> float:
        return 10 + (HEIGHT - BELOW - 10) * (high - accuracy) / (high - low)

    parts = [
        _text(LEFT - 6, y(tick) + 4, wording.percent(tick, 1), "end")
        + _line(LEFT, y(tick), WIDTH - 10, y(tick), "#ddd")
        for tick in _ticks(low, high)
    ]
    parts += [_text(x(size), HEIGHT - BELOW + 18, wording.size(round(size))) for size in _sizes(first, last)]
    parts.append(_text((LEFT + WIDTH) / 2, HEIGHT - 4, "file size in bytes (log)"))
    for number, each in enumerate(results, 1):
        at, size = each.evaluation, each.costs.file
        parts.append(_line(x(size), y(at.interval[0]), x(size), y(at.interval[1]), "#555"))
        colour = COMPRESSED if each.spec.quantizes_weights else FLOAT
        parts.append(f'<circle cx="{x(size):.1f}" cy="{y(at.accuracy):.1f}" r="6" fill="{colour}"/>')
        parts.append(_text(x(size) + 10, y(at.accuracy) + 4, str(number), "start"))
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" font-size="12" role="img">{"".join(parts)}</svg>'


def _ticks(low: float, high: float) -> list[float]:
    """Returns five values from `low` to `high`, evenly spaced."""
    return [low + (high - low) * step / 4 for step in range(5)]


def _sizes(first: float, last: float) -> list[float]:
    """Returns 1, 2 and 5 times powers of ten between 10^first and 10^last."""
    sizes = [each * 10.0**k for k in range(math.floor(first), math.ceil(last) + 1) for each in (1, 2, 5)]
    return [size for size in sizes if first <= math.log10(size) <= last]


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _line(x0: float, y0: float, x1: float, y1: float, colour: str) -> str:
    return f'<line x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}" stroke="{colour}"/>'
