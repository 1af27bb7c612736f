"""The metrics and charts of the page Explore that are computed at once, in fragments that a slider redraws."""

import streamlit as st

from compression.inspect.histogram import WeightView
from compression.spec import CompressionSpec
from pages.ui.charts import explore, show
from pages.ui.compute import compressed
from pages.ui.frame import frame
from pages.ui.frame.metrics import bit_operations_metric, size_metric, sparsity_metric
from pages.ui.settings import selection


def _known(model: str) -> tuple[compressed.Answer, WeightView]:
    """All that the fragments below need. The first of them computes it, so that all reach the browser in one piece:
    each piece takes it 10 ms.
    """
    spec = selection.spec(model)
    return compressed.answer(spec), compressed.weight_view(spec, selection.layer())


@st.fragment(key=frame.METRICS)
def metrics(model: str) -> None:
    """Size, sparsity and bit operations."""
    found, _ = _known(model)
    size, sparsity, operations = st.columns(3)
    size_metric(size, found.size)
    sparsity_metric(sparsity, found)
    bit_operations_metric(operations, compressed.answer(CompressionSpec(model)).bit_operations, found.bit_operations)


@st.fragment(key=frame.WEIGHTS)
def weights(model: str) -> None:
    """The histogram before and after."""
    _, view = _known(model)
    alt = "Histogram of the weights before and after compression"
    show.chart(explore.weights(view, selection.layer() or selection.WHOLE, show.ink()), "weights", alt)


@st.fragment(key=frame.LAYERS)
def layers(model: str) -> None:
    """Bytes and zeros of each layer."""
    found, _ = _known(model)
    alt = "Bytes of each layer before and after compression, and its share of zeros"
    show.chart(explore.layers(found.size.layers, found.size.best_name, found.layers, show.ink()), "layers", alt)
