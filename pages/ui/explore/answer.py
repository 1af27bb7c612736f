"""The metrics and charts of the page Explore that are computed at once, in fragments that a slider redraws."""

from typing import Any

import streamlit as st

from compression.spec import CompressionSpec
from pages.ui.charts import explore, show
from pages.ui.compute import compressed, networks
from pages.ui.compute.caching import shared
from pages.ui.explore import drag, frozen, picture
from pages.ui.frame import frame
from pages.ui.frame.metrics import bit_operations_metric, size_metric, sparsity_metric
from pages.ui.settings import selection
from pages.ui.state import session
from pages.ui.state.value import WHOLE

CLICKS = "clicks on layers"


@st.fragment(key=frame.METRICS)
def metrics(model: str) -> None:
    """Shows size, sparsity and bit operations."""
    answer = compressed.answer(selection.spec(model))
    size, sparsity, operations = st.columns(3)
    size_metric(size, answer)
    sparsity_metric(sparsity, answer)
    bit_operations_metric(operations, compressed.answer(CompressionSpec(model)).bit_operations, answer.bit_operations)


@st.fragment(key=frame.WEIGHTS)
def weights(model: str) -> None:
    """Shows the weights before and after compression."""
    answer, layer = compressed.answer(selection.spec(model)), selection.layer(model)
    view = compressed.weight_view(answer.spec, layer)
    names = [WHOLE, *networks.layer_macs(model)]
    base = networks.base(model)
    picture.draw(view, frozen.view(layer), names, layer or WHOLE, base, drag.follow(answer, layer), _show_layer)


def sketch(model: str) -> None:
    """Brings the browser what it follows the sliders with."""
    spec = selection.spec(model)
    picture.bring(drag.sketch_name(spec), _sketch_message(model, spec.fold_bn))


@shared(16, quick=True)
def _sketch_message(model: str, fold: bool) -> dict[str, Any]:
    """Returns the sketch as the browser reads it. Counting and compressing take a tenth of a second or more."""
    return picture.message(networks.weight_sketch(model, fold), networks.layer_macs(model))


@st.fragment(key=frame.LAYERS)
def layers(model: str) -> None:
    """Shows bytes and sparsity of each layer. A click on a layer shows its weights."""
    answer = compressed.answer(selection.spec(model))
    alt = "Bytes of each layer before and after compression, and its sparsity; a click shows the weights of a layer"
    figure = explore.layers(answer.file, answer.layers, show.ink())
    show.chart(figure, CLICKS, alt, on_select=_pick, selection_mode="points")


def _pick() -> None:
    """Shows the weights of the layer that was clicked on, or of the whole network if it is clicked on again."""
    points = st.session_state[CLICKS]["selection"]["points"]
    _show_layer(points[0]["x"] if points else WHOLE)


def _show_layer(name: str) -> None:
    session.change(layer=name)
    frame.rerun_answer()
