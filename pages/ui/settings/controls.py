"""Widgets, and the spec that they say. Every widget is in the URL, so that a link shows the same picture to anyone.

A widget that only the answer depends on reruns the fragments of the answer, not the page.
"""

import math
from typing import Any

import streamlit as st

from compression.spec import MAX_BITS, Criterion, Granularity, Scheme, Scope, Structure, structure_from
from pages.ui import compute, format
from pages.ui.frame import frame
from pages.ui.settings import more, wanted
from pages.ui.settings.wanted import FLOAT, SPARSITY, THRESHOLD

BITS = [FLOAT, str(MAX_BITS), "8", "7", "6", "5", "4", "3", "2"]
WHOLE = "whole network"
IN_ALL, BY_CLASS, CONFUSION = "in all", "by class", "confusion"
SCHEMES = """\
Symmetric: zero in the middle, scale from the largest |w|. Affine: from the smallest to the largest weight, with an
integer zero point. Min-max: the same, but zero is not exact. Power of two: the nearest ±2ⁿ. K-means: a codebook of
means that Lloyd's algorithm finds. Ternary: 0 and ±a. Binary: ±a.
Step: multiples of a number that is given."""
MOST_SPARSE = 0.99
FOLDED = "each channel's weights now carry its scale, and one scale for all of them fits few."
STEPS = (0.001, 1.0, 0.02, 0.005)  # the least, the most, the first, and what a click adds


def layer() -> str | None:
    """Which weights to look at: a layer, or None for the whole network."""
    name = st.session_state["layer"]
    return None if name == WHOLE else name


def draw(model: str) -> None:
    """All widgets."""
    settings(model)
    names = [WHOLE, *compute.layer_macs(model)]
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


def fold_toggle(model: str, consequence: str = FOLDED, **options: Any) -> bool:
    """Whether batch norm is folded before all else. `consequence`: what that does to the weights."""
    return st.toggle(
        "Fold batch norm first",
        key="fold",
        bind="query-params",
        disabled=not compute.has_batch_norm(model),
        help="Batch norm goes into the convolution before it, as where networks are deployed: the same function, but "
        f"{consequence}",
        **options,
    )


def accuracy_view() -> None:
    """Which chart of accuracy there is."""
    st.selectbox(
        "Chart of accuracy",
        [IN_ALL, BY_CLASS, CONFUSION],
        key="chart",
        bind="query-params",
        label_visibility="collapsed",
        on_change=frame.rerun_answer,
    )


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
        choice(
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
    if asked == FLOAT or int(asked) == wanted.bits():
        return ""
    if st.session_state["scheme"] == Scheme.STEP:
        return "A given step says itself how many bits its codes take."
    found = wanted.bits()
    return f"{format.capital(st.session_state['scheme'])} weights take {found} bit{'s' * (found > 1)}, not {asked}."


def _grey_and_words() -> tuple[object, ...]:
    now = st.session_state
    by_group, given = now["granularity"] == Granularity.GROUP, now["scheme"] == Scheme.STEP
    return now["bits"] == FLOAT, wanted.clips(), by_group, given, _other_bits()


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
    by = choice(
        "Prune by",
        [SPARSITY, THRESHOLD] if _of_magnitudes() else [SPARSITY],
        "by",
        "Sparsity: the smallest weights go until this share is zero. Threshold: all weights with |w| below it go.",
    )
    if by == THRESHOLD:
        above = st.container()
        threshold_slider(
            compute.largest_useful_threshold(model, fold),
            key=THRESHOLD,
            bind="query-params",
            on_change=frame.rerun_answer,
        )
        with above:
            _grey(model)
        return
    sparsity_slider(key=SPARSITY, bind="query-params", on_change=frame.rerun_answer)
    choice(
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


@st.fragment(key=frame.GREY)
def _grey(model: str) -> None:
    """Shows what the slider that rules comes to. No key: assigning to a bound widget sends the browser a stale link."""
    spec = wanted.spec(model)
    if compute.problem(spec):
        return
    found = compute.answer(spec)
    share = sum(layer.pruned for layer in found.layers) / found.weights
    thresholds = [layer.threshold for layer in found.layers]
    if not _of_magnitudes():
        st.caption(f"{format.percent(share)} of the weights go")
    elif st.session_state["by"] == THRESHOLD:
        sparsity_slider(value=min(MOST_SPARSE, round(share, 2)), disabled=True)
    elif st.session_state["scope"] == Scope.GLOBAL:
        reach = compute.largest_useful_threshold(model, spec.fold_bn)
        threshold_slider(reach, value=on_scale(reach, min(thresholds)), disabled=True)
    else:
        st.caption(f"Threshold on |w|: {min(thresholds):.4f} to {max(thresholds):.4f}, by layer")


def sparsity_slider(**options: Any) -> float:
    """The share of weights that goes, 0..1."""
    return st.slider("Sparsity", 0.0, MOST_SPARSE, step=0.01, format="percent", **options)


def threshold_slider(reach: float, label: str = "Threshold on |w|", **options: Any) -> float:
    """What scores below it goes; `reach`: most scores lie below it."""
    top, step = _threshold_scale(reach)
    decimals = max(0, -math.floor(math.log10(step)))
    return st.slider(label, 0.0, top, step=step, format=f"%.{decimals}f", **options)


def on_scale(reach: float, threshold: float) -> float:
    """`threshold`, or what the slider for `reach` has nearest to it."""
    top, step = _threshold_scale(reach)
    return min(top, max(0.0, step * round(threshold / step)))


def _threshold_scale(reach: float) -> tuple[float, float]:
    """The end and the step of a threshold slider that goes to `reach`, in 20 to 200 round steps."""
    step = 10.0 ** math.floor(math.log10(reach / 20))
    return step * math.ceil(reach / step), step


def choice(label: str, options: list, key: str, words: str, default: Any = None, **more: Any) -> Any:
    """One of a few `options`, in the link under `key`; the first one unless there is a `default`."""
    return st.segmented_control(
        label,
        options,
        default=default or options[0],
        required=True,
        key=key,
        bind="query-params",
        help=words,
        **more,
    )
