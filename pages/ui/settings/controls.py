"""The widgets that set how a network is compressed. The link holds the value of each of them.

A widget on which only the answer depends reruns the fragments of the answer and not the page.
"""

import streamlit as st

from compression.spec import MAX_BITS, Criterion, Granularity, Scheme, Scope, Structure, structure_from
from pages.ui import wording
from pages.ui.compute import compressed, networks
from pages.ui.frame import frame
from pages.ui.settings import more, selection
from pages.ui.settings.selection import FLOAT, SPARSITY, THRESHOLD, WHOLE
from pages.ui.settings.widgets import (
    MOST_SPARSE,
    SCHEMES,
    choose,
    fold_toggle,
    snap,
    sparsity_slider,
    threshold_slider,
)

BITS = [FLOAT, str(MAX_BITS), "8", "7", "6", "5", "4", "3", "2"]
STEPS = (0.001, 1.0, 0.02, 0.005)  # smallest, largest and default step L, and what a click adds


def draw(model: str) -> None:
    """Draws all widgets of the page Explore."""
    settings(model)
    names = [WHOLE, *networks.layer_macs(model)]
    with st.sidebar:
        st.selectbox("Weights shown", names, key="layer", bind="query-params", on_change=frame.rerun_answer)


def settings(model: str) -> None:
    """Draws the widgets that set how the network is compressed."""
    _quantization()
    fold = fold_toggle(model)
    pruning = st.container()  # drawn last, because it depends on the widgets below it
    more.draw(model)
    with pruning:
        _pruning(model, fold)


def _quantization() -> None:
    bits = st.select_slider(
        "Bits per weight",
        BITS,
        key="bits",
        bind="query-params",
        help="The size of the integer code that stands for a weight. Float: weights stay 32-bit floating point.",
        on_change=_moved,
    )
    off = bits == FLOAT
    with st.container(horizontal=True, gap="small"):
        scheme = st.selectbox(
            "Scheme",
            list(Scheme),
            key="scheme",
            bind="query-params",
            help=SCHEMES,
            disabled=off,
            width=140,  # leaves room beside it for the next widget where the window is wide
            on_change=_moved,
        )
        if scheme == Scheme.STEP:
            st.number_input(
                "Step L",
                *STEPS,
                format="%.3f",
                key="step",
                bind="query-params",
                disabled=off,
                help="The distance between two levels, in units of the weights, the same in all layers. Its inverse is "
                "often called Q.",
            )
        choose(
            "Quantization granularity",
            list(Granularity),
            "granularity",
            "What shares one scale or codebook. Tensor: all weights of a layer. Channel: the weights of one output "
            "channel. Group: a number of successive weights of a channel.",
            default=Granularity.CHANNEL,
            disabled=off or scheme == Scheme.STEP,
            on_change=_moved,
        )
    st.session_state["drawn for"] = _appearance()
    if _other_bits():
        st.caption(_other_bits())


def _other_bits() -> str:
    """Returns a sentence where the scheme does not support the bits of the slider, or else nothing."""
    slider = st.session_state["bits"]
    if slider == FLOAT or int(slider) == selection.bits():
        return ""
    if st.session_state["scheme"] == Scheme.STEP:
        return "With the scheme step, the bits follow from the step and the largest weight."
    bits = selection.bits()
    return f"{wording.capital(st.session_state['scheme'])} weights take {bits} bit{'s' * (bits > 1)}, not {slider}."


def _appearance() -> tuple[object, ...]:
    """Returns what decides which widgets and sentences there are, and which widgets are disabled."""
    state = st.session_state
    in_groups, step = state["granularity"] == Granularity.GROUP, state["scheme"] == Scheme.STEP
    return state["bits"] == FLOAT, selection.can_clip(), in_groups, step, _other_bits()


def _moved() -> None:
    """Redraws the answer; where widgets or sentences change, the whole page runs again."""
    if st.session_state["drawn for"] == _appearance():
        frame.rerun_answer()


def _pruning(model: str, fold: bool) -> None:
    """Draws the pruning target, and the sparsity or threshold that it implies."""
    structure, _ = structure_from(st.session_state["structure"])
    if structure is Structure.N_M:
        _implied(model)
        return
    by = choose(
        "Prune by",
        [SPARSITY, THRESHOLD] if _by_magnitude() else [SPARSITY],
        "by",
        "Sparsity: the weights with the lowest scores are pruned until this share is zero. Threshold: all weights "
        "with |w| below it are pruned.",
    )
    if by == THRESHOLD:
        above = st.container()
        threshold_slider(
            networks.largest_useful_threshold(model, fold),
            key=THRESHOLD,
            bind="query-params",
            on_change=frame.rerun_answer,
        )
        with above:
            _implied(model)
        return
    sparsity_slider(key=SPARSITY, bind="query-params", on_change=frame.rerun_answer)
    choose(
        "Pruning scope",
        list(Scope),
        "scope",
        "Global: the weights of all layers are ranked together, so that layers lose different shares. Layer: each "
        "layer loses the same share.",
        on_change=frame.rerun_answer,
    )
    _implied(model)


def _by_magnitude() -> bool:
    """Returns whether single weights are pruned by |w|, so that a sparsity implies a threshold and the reverse."""
    state = st.session_state
    return state["structure"] == Structure.WEIGHT and state["criterion"] == Criterion.L1


@st.fragment(key=frame.IMPLIED)
def _implied(model: str) -> None:
    """Shows the threshold that the sparsity implies, or the sparsity that the threshold implies, as a disabled slider.

    The slider has no key, because assigning to a bound widget sends the browser a link that is out of date.
    """
    spec = selection.spec(model)
    if compressed.problem(spec):
        return
    answer = compressed.answer(spec)
    share = sum(layer.pruned for layer in answer.layers) / answer.weights
    thresholds = [layer.threshold for layer in answer.layers]
    if not _by_magnitude():
        st.caption(f"{wording.percent(share)} of the weights are pruned")
    elif st.session_state["by"] == THRESHOLD:
        sparsity_slider(value=min(MOST_SPARSE, round(share, 2)), disabled=True)
    elif st.session_state["scope"] == Scope.GLOBAL:
        reach = networks.largest_useful_threshold(model, spec.fold_bn)
        threshold_slider(reach, value=snap(reach, min(thresholds)), disabled=True)
    else:
        st.caption(f"Threshold on |w|: {min(thresholds):.4f} to {max(thresholds):.4f}, by layer")


def stop_where_impossible(model: str) -> None:
    """Shows why the network cannot be compressed as the widgets say, and ends the run; does nothing if it can.

    Pruning is included even where the slider is at zero, so that no later move of a slider leads to the problem.
    """
    problem = compressed.problem(
        selection.spec(model, None if st.session_state["criterion"] == Criterion.L1 else selection.ANY_SPARSITY)
    )
    if problem:
        st.info(problem, icon=":material/error:")
        st.stop()
