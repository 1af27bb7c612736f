"""The widgets that say how to compress a network. Each is in the URL, so that a link shows the same to anyone.

A widget that only the answer depends on reruns the fragments of the answer, not the page.
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
STEPS = (0.001, 1.0, 0.02, 0.005)  # the least, the most, the first, and what a click adds


def draw(model: str) -> None:
    """All widgets."""
    settings(model)
    names = [WHOLE, *networks.layer_macs(model)]
    with st.sidebar:
        st.selectbox("Weights shown", names, key="layer", bind="query-params", on_change=frame.rerun_answer)


def settings(model: str) -> None:
    """The widgets that say what to do to the network."""
    _quantization()
    fold = fold_toggle(model)
    rule = st.container()  # drawn below what it depends on
    more.draw(model)
    with rule:
        _pruning(model, fold)


def _quantization() -> None:
    bits = st.select_slider(
        "Bits a weight",
        BITS,
        key="bits",
        bind="query-params",
        help="32-bit float, or integers with a scale",
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
            width=140,  # so that the next one has room beside it where the window is wide
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
                help="In units of the weights, one for the network. Its inverse is often called Q.",
            )
        choose(
            "A scale for each",
            list(Granularity),
            "granularity",
            "One scale (or codebook) for the whole weight tensor, for each output channel, or for so many weights of a "
            "channel in a row.",
            default=Granularity.CHANNEL,
            disabled=off or scheme == Scheme.STEP,
            on_change=_moved,
        )
    st.session_state["drawn for"] = _grey_and_words()
    if _other_bits():
        st.caption(_other_bits())


def _other_bits() -> str:
    """What to say where the scheme cannot have the bits of the slider."""
    asked = st.session_state["bits"]
    if asked == FLOAT or int(asked) == selection.bits():
        return ""
    if st.session_state["scheme"] == Scheme.STEP:
        return "A given step says itself how many bits its codes take."
    found = selection.bits()
    return f"{wording.capital(st.session_state['scheme'])} weights take {found} bit{'s' * (found > 1)}, not {asked}."


def _grey_and_words() -> tuple[object, ...]:
    now = st.session_state
    by_group, given = now["granularity"] == Granularity.GROUP, now["scheme"] == Scheme.STEP
    return now["bits"] == FLOAT, selection.can_clip(), by_group, given, _other_bits()


def _moved() -> None:
    """Where other widgets turn grey or come alive, or words come or go, that is for the page to draw."""
    if st.session_state["drawn for"] == _grey_and_words():
        frame.rerun_answer()


def _pruning(model: str, fold: bool) -> None:
    """Two sliders for one thing: the one that rules, and the grey one."""
    structure, _ = structure_from(st.session_state["structure"])
    if structure is Structure.N_M:
        _grey(model)
        return
    by = choose(
        "Prune by",
        [SPARSITY, THRESHOLD] if _of_magnitudes() else [SPARSITY],
        "by",
        "Sparsity: the smallest weights go until this share is zero. Threshold: all weights with |w| below it go.",
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
            _grey(model)
        return
    sparsity_slider(key=SPARSITY, bind="query-params", on_change=frame.rerun_answer)
    choose(
        "Scope of the target",
        list(Scope),
        "scope",
        "Global: all weights compete, so large layers lose more. Layer: each layer loses the same share.",
        on_change=frame.rerun_answer,
    )
    _grey(model)


def _of_magnitudes() -> bool:
    """Whether single weights go, by their magnitude: then a sparsity and a threshold on |w| are the same thing."""
    now = st.session_state
    return now["structure"] == Structure.WEIGHT and now["criterion"] == Criterion.L1


@st.fragment(key=frame.IMPLIED)
def _grey(model: str) -> None:
    """Shows what the slider that rules comes to. No key: assigning to a bound widget sends the browser a stale link."""
    spec = selection.spec(model)
    if compressed.problem(spec):
        return
    found = compressed.answer(spec)
    share = sum(layer.pruned for layer in found.layers) / found.weights
    thresholds = [layer.threshold for layer in found.layers]
    if not _of_magnitudes():
        st.caption(f"{wording.percent(share)} of the weights go")
    elif st.session_state["by"] == THRESHOLD:
        sparsity_slider(value=min(MOST_SPARSE, round(share, 2)), disabled=True)
    elif st.session_state["scope"] == Scope.GLOBAL:
        reach = networks.largest_useful_threshold(model, spec.fold_bn)
        threshold_slider(reach, value=snap(reach, min(thresholds)), disabled=True)
    else:
        st.caption(f"Threshold on |w|: {min(thresholds):.4f} to {max(thresholds):.4f}, by layer")


def stop_where_impossible(model: str) -> None:
    """Says why the network cannot be compressed as the widgets say, and draws no more; with pruning, were it wanted:
    no slider leads there later.
    """
    problem = compressed.problem(
        selection.spec(model, None if st.session_state["criterion"] == Criterion.L1 else selection.ANY_SPARSITY)
    )
    if problem:
        st.info(problem, icon=":material/error:")
        st.stop()
