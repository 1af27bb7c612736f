"""The state A that the reader has frozen to compare with: in the link, in numbers, and as marks in the chart."""

from urllib.parse import parse_qs, urlencode

import streamlit as st

from compression.inspect.histogram import WeightView
from compression.results.neighbours import Neighbours
from compression.spec import CompressionSpec
from compression.spec.title import title
from pages.ui import wording
from pages.ui.accuracy.polling import AccuracyState, look, poll
from pages.ui.compute import compressed, networks
from pages.ui.frame.metrics import count_size, size_of
from pages.ui.settings import selection
from pages.ui.state import link, session, specs
from pages.ui.state.value import Settings

SIDE = "A"
EXPLANATION = "Keeps these settings as A: its numbers and its weights stay beside those of the settings that follow."


def spec() -> CompressionSpec | None:
    """Returns the spec of A, or None if there is none, its network is not here, or it cannot be compressed so here."""
    parameters = parse_qs(session.now().frozen)
    settings, rejected = link.read(parameters)
    if not parameters or rejected or settings.model not in networks.names():
        return None
    frozen = specs.spec_of(settings)
    return None if compressed.problem(frozen) else frozen


def buttons(model: str) -> None:
    """Draws the buttons that freeze the settings of now, go back to A, and forget A."""
    frozen = spec()
    with st.container(horizontal=True, gap="small"):
        if frozen is None:
            st.button("Freeze as A", on_click=_freeze, args=(model,), icon=":material/ac_unit:", help=EXPLANATION)
        else:
            st.button("Back to A", on_click=_back, args=(frozen,), icon=":material/undo:")
            st.button("Forget A", on_click=session.change, kwargs={"frozen": ""})


def numbers() -> None:
    """Draws the numbers of A in a line, if there is an A; its images are counted like those of the settings of now."""
    if frozen := spec():
        poll(lambda: look(frozen, side=SIDE), _line)


def view(layer: str | None) -> WeightView | None:
    """Returns the weights of A, of the layer that is shown or of the whole network."""
    frozen = spec()
    if frozen is None or (layer and layer not in networks.layer_macs(frozen.model)):
        return None
    return compressed.weight_view(frozen, layer)


def _line(reading: AccuracyState) -> None:
    frozen = spec()
    if frozen is None:
        return
    answer = compressed.answer(frozen)
    count_size(answer, SIDE)
    network = "" if frozen.model == session.now().model else f"{frozen.model}, "
    st.caption(
        f"**A**, {network}{title(frozen)}: {_accuracy(reading)} accuracy, {size_of(answer)}, "
        f"{wording.percent(answer.sparsity)} sparsity, {wording.quantity(answer.bit_operations)} bit operations"
    )


def _accuracy(reading: AccuracyState) -> str:
    if isinstance(reading, Neighbours):
        return f"between {wording.interval(reading.low, reading.high)}"
    estimate = None if isinstance(reading, Exception) else reading.estimate
    if estimate is None:
        return "no"
    exact = wording.percent(estimate.accuracy, 2)
    return exact if not estimate.half_width else wording.plus_minus(estimate.accuracy, estimate.half_width)


def _freeze(model: str) -> None:
    settings = specs.with_spec(Settings(), selection.spec(model))
    session.change(frozen=urlencode(link.parameters(settings)) or f"model={model}")


def _back(frozen: CompressionSpec) -> None:
    session.step(specs.with_spec(session.now(), frozen))
