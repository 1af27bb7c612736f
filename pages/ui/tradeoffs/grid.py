"""Bits by sparsity of the default scheme, with the reader's settings on it."""

import streamlit as st

from compression.results.bits_by_sparsity import BitsBySparsity, arrange, cell_of, position_in
from compression.spec import CompressionSpec
from compression.spec.title import title
from pages.ui.charts import drops, show
from pages.ui.compute import experiments
from pages.ui.settings import selection
from pages.ui.tradeoffs import front


def draw(model: str) -> None:
    """The heat map of one network."""
    known = experiments.known_results(model)
    found = arrange(known.points)
    if not found.cells or known.before is None:
        front.nothing(model)
        return
    spec = selection.spec(model)
    figure = drops.bits_by_sparsity(found, known.before.accuracy, position_in(found, spec), show.ink())
    show.chart(figure, "lattice", "Accuracy by bits and sparsity")
    st.caption(
        f"Accuracy of {model} in percent: symmetric, a scale for each channel, pruned globally. {_here(found, spec)}"
    )
    st.caption(front.stands_on(list(found.cells.values())))


def _here(found: BitsBySparsity, spec: CompressionSpec) -> str:
    said = title(spec)
    if position_in(found, spec) is None:
        return f"Your settings ({said}) are not on this map: they are of another kind, or beyond its ends."
    if cell_of(spec) in found.cells:
        return f"The frame marks your settings: {said}."
    return f"The frame marks your settings, between what was measured: {said}."
