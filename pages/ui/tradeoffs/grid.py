"""The tab Bits by sparsity: accuracy of the default scheme as a heat map, with the reader's settings marked."""

import streamlit as st

from compression.results.bits_by_sparsity import BitsBySparsity, arrange, cell_of, position_in
from compression.spec import CompressionSpec
from compression.spec.title import title
from pages.ui.charts import drops, show
from pages.ui.compute import experiments
from pages.ui.settings import selection
from pages.ui.tradeoffs import answers, front


def draw(model: str) -> None:
    """Shows the heat map of one network."""
    known = experiments.known_results(model)
    cells = arrange(known.points)
    if not cells.cells or known.before is None:
        front.explain_no_points(model)
        return
    spec = selection.spec(model)
    figure = drops.bits_by_sparsity(cells, known.before.accuracy, position_in(cells, spec), show.ink())
    show.chart(figure, "lattice", "Accuracy by bits per weight and sparsity")
    st.caption(
        f"Accuracy of {model} in percent: symmetric, one scale per channel, pruning scope global. {_here(cells, spec)}"
    )
    st.caption(answers.stands_on(list(cells.cells.values())))


def _here(cells: BitsBySparsity, spec: CompressionSpec) -> str:
    settings = title(spec)
    if position_in(cells, spec) is None:
        return f"Your settings ({settings}) are not on this map: they use another scheme or lie outside its range."
    if cell_of(spec) in cells.cells:
        return f"The frame marks your settings: {settings}."
    return f"The frame marks your settings, between measured cells: {settings}."
