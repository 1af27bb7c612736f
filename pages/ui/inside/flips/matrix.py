"""The confusion matrix: a table whose cells open their images.

Not a heat map of Plotly, because that takes no keys, and 50 ms per drawing.
"""

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

import streamlit as st

from compression.inside.flips import Matrix
from pages.ui.charts.style import COMPRESSED, FLOAT, LOSS

KEY, PLACE = "cells of the matrix", "flips-matrix"  # matrix.js knows the place
AXES = {
    Matrix.CHANGE: ("predicted by float", "predicted by compressed"),
    Matrix.BEFORE: ("true class", "predicted by float"),
    Matrix.AFTER: ("true class", "predicted by compressed"),
}
COLOURS = {Matrix.CHANGE: LOSS, Matrix.BEFORE: FLOAT, Matrix.AFTER: COMPRESSED}
MOST_COLOUR = 60  # percent of the colour in the fullest cell; with more, its number would be hard to read
STYLE = """
<style>
.flips-matrix { border-collapse: collapse; table-layout: fixed; width: 100%; font-size: 0.8rem; margin: 0; }
.flips-matrix th, .flips-matrix thead td { font-weight: normal; text-align: right; width: 5.4rem; padding: 0 0.4rem;
  border: 0; overflow: hidden; vertical-align: middle; }
.flips-matrix thead td, .flips-matrix th.across { font-weight: 600; vertical-align: bottom; }
.flips-matrix th.across { width: auto; text-align: left; padding: 0.2rem 0; }
.flips-matrix th.column { writing-mode: vertical-rl; transform: rotate(180deg); text-align: left; height: 6rem;
  width: auto; padding: 0.4rem 0; }
.flips-matrix tbody td { height: 1.9rem; padding: 0; text-align: center; border: 1px solid rgba(128, 128, 128, 0.4); }
[data-listening] .flips-matrix tbody td.full { cursor: pointer; }
.flips-matrix tbody td[aria-selected=true] { outline: 2px solid currentColor; outline-offset: -2px; }
</style>
"""

_listener = st.components.v2.component("cells of a matrix", js=Path(__file__).with_name("matrix.js").read_text("utf-8"))


def draw(
    counts: Sequence[Sequence[int]],
    names: Sequence[str],
    kind: Matrix,
    cell: tuple[int, int] | None,
    pick: Callable[[str], None],
) -> None:
    """Draws the matrix with a frame around `cell`, and calls `pick` with the cell that the reader picks, "3-5"."""
    with st.container(key=PLACE):
        st.html(html(counts, names, kind, cell))
        _listener(key=KEY, height=1, on_picked_change=lambda: pick(st.session_state[KEY]["picked"]))


def html(counts: Sequence[Sequence[int]], names: Sequence[str], kind: Matrix, cell: tuple[int, int] | None) -> str:
    """Returns the table. The diagonal has no colour; elsewhere its share grows with the square root of the count.

    The Tab key leads to one cell, the selected one or the first, and from there arrow keys to the others.
    """
    places = range(len(names))
    down, across = AXES[kind]
    most = max((counts[row][column] for row in places for column in places if row != column), default=0) or 1
    entry = cell or (0, 0)

    def data_cell(row: int, column: int) -> str:
        count = counts[row][column]
        percent = 0 if row == column else MOST_COLOUR * (count / most) ** 0.5
        words = f"{down} {names[row]}, {across} {names[column]}: {count:,} image{'s' * (count != 1)}"
        return (
            f'<td data-cell="{row}-{column}" tabindex="{0 if (row, column) == entry else -1}" title="{escape(words)}"'
            f' aria-selected="{str((row, column) == cell).lower()}" class="{"full" if count else ""}"'
            f' style="background: color-mix(in srgb, {COLOURS[kind]} {percent:.0f}%, transparent)">{count or ""}</td>'
        )

    columns = "".join(f'<th scope="col" class="column">{escape(name)}</th>' for name in names)
    rows = "".join(
        f'<tr><th scope="row">{escape(names[row])}</th>{"".join(data_cell(row, column) for column in places)}</tr>'
        for row in places
    )
    return (
        f'{STYLE}<table class="flips-matrix" role="grid" aria-label="Confusion matrix: {kind}"><thead>'
        f'<tr><td></td><th class="across" colspan="{len(names)}">{across} →</th></tr>'
        f"<tr><td>{down} ↓</td>{columns}</tr></thead><tbody>{rows}</tbody></table>"
    )
