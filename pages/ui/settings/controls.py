"""The widgets that set how a network is compressed. They are views of the settings.

A widget on which only the answer depends reruns the fragments of the answer and not the page.
"""

from collections.abc import Callable

import streamlit as st

from compression.spec import MAX_BITS, Criterion, Granularity, Scheme, Scope, Structure, structure_from
from pages.ui import wording
from pages.ui.charts import show
from pages.ui.compute import compressed, networks
from pages.ui.frame import frame
from pages.ui.frame.warnings import without_folders
from pages.ui.settings import more, own_layers, selection, target
from pages.ui.settings.widgets import (
    MOST_SPARSE,
    SCHEMES,
    choose,
    fold_toggle,
    including,
    snap,
    sparsity_slider,
    threshold_slider,
)
from pages.ui.state import session, specs
from pages.ui.state.value import FLOAT, THRESHOLD, WHOLE

BITS = [FLOAT, str(MAX_BITS), "8", "7", "6", "5", "4", "3", "2"]
SMALLEST, LARGEST, CLICK = 0.001, 1.0, 0.005  # of the step L, and what a click adds


def draw(model: str) -> None:
    """Draws all widgets of the page Explore."""
    settings(model)
    own_layers.draw()


def shown_layer(model: str, after: Callable[[], None]) -> None:
    """Draws the picker of the layer whose weights are shown."""
    names = [WHOLE, *networks.layer_macs(model)]
    name = selection.layer(model) or WHOLE
    st.selectbox("Weights shown", names, **session.bound("layer", name, after))


def settings(model: str) -> None:
    """Draws the widgets that set how the network is compressed."""
    _quantization()
    fold_toggle(model)
    pruning = st.container()  # drawn last, because it depends on the widgets below it
    more.draw(model)
    with pruning:
        _pruning(model)


def _quantization() -> None:
    now = session.now()
    off = now.weight_bits is None
    bits = now.bits or FLOAT
    st.select_slider(
        "Bits per weight",
        sorted(including(BITS, bits), key=lambda bits: -MAX_BITS - 1 if bits == FLOAT else -int(bits)),
        help="The size of the integer code that stands for a weight. Float: weights stay 32-bit floating point.",
        **session.bound("bits", bits, _moved),
    )
    with st.container(horizontal=True, gap="small"):
        st.selectbox(
            "Scheme",
            list(Scheme),
            help=SCHEMES,
            disabled=off,
            width=round(140 * show.text_scale()),  # leaves room beside it for the next widget where the window is wide
            **session.bound("scheme", now.scheme, _moved),
        )
        if now.scheme == Scheme.STEP:
            st.number_input(
                "Step L",
                min(SMALLEST, now.step),
                max(LARGEST, now.step),
                step=CLICK,
                format="%.3f" if now.step >= SMALLEST else "%g",
                disabled=off,
                help="The distance between two levels, in units of the weights, the same in all layers. Its inverse is "
                "often called Q.",
                **session.bound("step", now.step),
            )
        choose(
            "Quantization granularity",
            list(Granularity),
            "granularity",
            now.granularity,
            "What shares one scale or codebook. Tensor: all weights of a layer. Channel: the weights of one output "
            "channel. Group: a number of successive weights of a channel.",
            _moved,
            disabled=off or now.scheme == Scheme.STEP,
        )
    st.session_state["drawn for"] = _appearance()
    if _other_bits():
        st.caption(_other_bits())


def _other_bits() -> str:
    """Returns a sentence where the scheme does not support the bits of the slider, or else nothing."""
    now = session.now()
    if now.weight_bits in (None, specs.bits_of(now)):
        return ""
    if now.scheme == Scheme.STEP:
        return "With the scheme step, the bits follow from the step and the largest weight."
    bits = specs.bits_of(now)
    return f"{wording.capital(now.scheme)} weights take {bits} bit{'s' * (bits > 1)}, not {now.bits}."


def _appearance() -> tuple[object, ...]:
    """Returns what decides which widgets and sentences there are, and which widgets are disabled."""
    now = session.now()
    in_groups, step = now.granularity == Granularity.GROUP, now.scheme == Scheme.STEP
    return now.weight_bits is None, now.scheme.clippable, in_groups, step, _other_bits()


def _moved() -> None:
    """Redraws the answer; where widgets or sentences change, the whole page runs again."""
    if st.session_state["drawn for"] == _appearance():
        frame.rerun_answer()


def _pruning(model: str) -> None:
    """Draws the pruning target, and the sparsity or threshold that it implies."""
    now = specs.fitting(session.now())
    structure, _ = structure_from(now.structure)
    if structure is Structure.N_M:
        _implied(model)
        return
    if target.pick_way() == THRESHOLD:
        above = st.container()
        target.threshold(model, now.threshold or 0.0, frame.rerun_answer)
        target.pick_unit()
        with above:
            _implied(model)
        return
    target.sparsity(now.sparsity or 0.0, frame.rerun_answer)
    target.pick_scope(frame.rerun_answer)
    _implied(model)


@st.fragment(key=frame.IMPLIED)
def _implied(model: str) -> None:
    """Shows what the target implies, as a disabled slider: a threshold for a sparsity, a sparsity for a threshold."""
    spec = selection.spec(model)
    if compressed.problem(spec):
        return
    answer = compressed.answer(spec)
    share = sum(layer.pruned for layer in answer.layers) / answer.weights
    own = {layer.name for layer in spec.layers if layer.sparsity is not None}  # the target does not reach them
    thresholds = [layer.threshold for layer in answer.layers if layer.name not in own] or [0.0]
    now = specs.fitting(session.now())
    if now.by == THRESHOLD:
        sparsity_slider(min(MOST_SPARSE, round(share, 2)), disabled=True)
    elif now.structure != Structure.WEIGHT or now.criterion != Criterion.L1:
        st.caption(f"{wording.percent(share)} of the weights are pruned")
    elif now.scope == Scope.GLOBAL:
        reach = networks.largest_useful_threshold(model, spec.fold_bn)
        threshold_slider(reach, value=snap(reach, min(thresholds)), disabled=True)
    else:
        st.caption(f"Threshold on |w|: {min(thresholds):.4f} to {max(thresholds):.4f}, by layer")


def stop_where_impossible(model: str) -> None:
    """Shows why the network cannot be compressed as the widgets say, and ends the run; does nothing if it can.

    Pruning is included even where the slider is at zero, so that no later move of a slider leads to the problem.
    """
    any_target = None if session.now().criterion == Criterion.L1 else specs.ANY_SPARSITY
    if problem := compressed.problem(selection.spec(model, any_target)):
        st.info(without_folders(problem), icon=":material/error:")
        st.stop()
