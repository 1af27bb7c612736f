"""The cliff: how accuracy falls with fewer bits or more sparsity, and what recovery and training leave of the fall."""

import streamlit as st

from compression.experiments.cliff import Axis, cliff_of
from compression.networks.untrained import is_untrained
from pages.ui.charts import show
from pages.ui.charts.recover import cliff as cliff_charts
from pages.ui.compute import experiments, networks
from pages.ui.settings import selection

LEAST = 2  # networks that make a line
WORDS = """\
All other settings are those of now, which the upright line marks. Every point was counted on all 10,000 test images.
Train a network at another place of the axis, and it appears here."""
FINE = " What was recovered or trained has float weights or 8 bits or more."


def draw(model: str) -> None:
    """Draws the chart, or nothing if the settings are on no such line, or too few of its points are known."""
    if networks.is_compressed(model) or is_untrained(model):
        return
    known = experiments.known_results(model)
    descents = networks.descents()
    trained = [(point, descents[point.spec.model].spec) for point in experiments.recovered_points([model])]
    cliff = cliff_of(selection.spec(model), known.points, trained)
    if cliff is None or known.before is None or len(cliff.compressed) < LEAST:
        return
    st.subheader("The cliff, with and without training", anchor=False)
    words = {name: each.words for name, each in descents.items()}
    figure = cliff_charts.chart(cliff, known.before.accuracy, words, show.ink())
    show.chart(figure, "cliff", "Accuracy by bits or sparsity: compressed, recovered without training, and trained")
    st.caption(WORDS + FINE * (cliff.axis is Axis.SPARSITY))
