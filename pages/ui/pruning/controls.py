"""The widgets of the page Pruning."""

from typing import Any

import streamlit as st

from compression.spec import Criterion, PruneSpec, Scope, Structure, Unit, structure_from
from pages.ui.compute import compressed, networks, pruning
from pages.ui.frame import frame
from pages.ui.pruning.specs import alternatives, axis, scoring, spec
from pages.ui.settings import methods, selection, widgets
from pages.ui.settings.selection import SPARSITY, STRUCTURES, THRESHOLD

CURVE, LEFT, OVERLAP, RANKED, SMALLER, WORK = "curve", "left", "overlap", "ranked", "smaller", "work"
ANSWER = (
    *(frame.METRICS, frame.IMPLIED, CURVE, LEFT, OVERLAP, RANKED, SMALLER, WORK),
    *(frame.ACCURACY, frame.SENTENCE, frame.LINKS),
)  # what a slider draws anew, in this order
START = 0.5


def draw(model: str) -> None:
    """All widgets but the sliders: what goes as one, by which score, up to where."""
    structure, pattern = structure_from(
        widgets.choose(
            "What goes as one",
            list(STRUCTURES),
            "structure",
            "Single weights; two of each four weights along the inputs, which some hardware can skip; or whole "
            "filters, which can be taken out, so that the network becomes smaller and faster everywhere.",
        )
    )
    criterion = st.selectbox(
        "Criterion: the least goes first",
        [found for found in Criterion if selection.is_possible(found, structure, pattern)],
        key="criterion",
        bind="query-params",
        help="The score of a weight or a filter. L1: its magnitude. L2: its root mean square. Random: a die, to "
        "compare with. Taylor: how far the loss on training images would move. Bn-scale: the factor of the batch norm "
        "after it. "
        "Signed: the weight with its sign, a bug of many tutorials.",
    )
    with st.popover("What these do", icon=":material/menu_book:"):
        methods.explain(structure)
        methods.explain(Criterion(criterion))
    if structure is not Structure.N_M:
        _target(Criterion(criterion), structure)
    fold = widgets.fold_toggle(model, "each filter's weights now carry its scale, and other ones are small.")
    st.toggle(
        "Re-estimate batch norm",
        key="reestimate",
        bind="query-params",
        disabled=fold or not networks.has_batch_norm(model),
        help="After pruning, layers give other means and variances than those that batch norm goes by. Taken anew on "
        "1,000 training images, without labels, they win much of the accuracy back: a help, and not pruning alone.",
    )
    with st.sidebar:
        layers = [selection.WHOLE, *networks.layer_macs(model)]
        st.selectbox("Weights shown", layers, key="layer", bind="query-params", on_change=redraw)


def _target(criterion: Criterion, structure: Structure) -> None:
    """Sparsity or threshold, and what goes with it."""
    ways = [SPARSITY, THRESHOLD] if selection.is_possible(criterion, structure, threshold=1.0) else [SPARSITY]
    words = "Sparsity: what scores least goes until this share is reached. Threshold: all that scores below it goes."
    if widgets.choose("Prune by", ways, "by", words) == SPARSITY:
        words = "Global: all layers compete, so large ones lose more. Layer: each layer loses the same share."
        widgets.choose("Scope of the target", list(Scope), "scope", words, on_change=redraw)
        return
    units = [unit for unit in Unit if selection.is_possible(criterion, structure, threshold=1.0, unit=unit)]
    words = "Absolute: a number like the weights. Stds, means: in standard deviations or mean |w| of each layer."
    widgets.choose("Unit of the threshold", units, "unit", words)


def sliders(model: str) -> None:
    """Two sliders for one thing: the one that rules, and the grey one that it implies."""
    left, right = st.columns(2)
    own = st.session_state
    by = None if structure_from(own["structure"])[0] is Structure.N_M else own["by"]
    if by == SPARSITY:
        with left:
            widgets.sparsity_slider(value=START, key=SPARSITY, bind="query-params", on_change=redraw)
        with right:
            _implied_threshold(model)
    elif by == THRESHOLD:
        with right:
            _threshold(model, at=_half(model), key=THRESHOLD, bind="query-params", on_change=redraw)
        with left:
            _implied_sparsity(model)
    else:
        with left:
            _implied_sparsity(model)
        right.caption("No threshold: in each group the best stay, however small they are.")


@st.fragment(key=frame.IMPLIED)
def _implied_sparsity(model: str) -> None:
    found = compressed.answer(spec(model))
    share = sum(layer.pruned for layer in found.layers) / found.weights
    widgets.sparsity_slider(value=min(widgets.MOST_SPARSE, round(share, 2)), disabled=True)


@st.fragment(key=frame.IMPLIED)
def _implied_threshold(model: str) -> None:
    cut = pruning.cut(spec(model), scoring(model), None)
    if cut and cut.low != cut.high:
        st.caption(f"Threshold on {axis()}: {cut.low:.4f} to {cut.high:.4f}, by layer")
    else:
        _threshold(model, at=cut.low if cut else 0.0, disabled=True)


def _threshold(model: str, at: float | None = None, **options: Any) -> None:
    reach = _reach(model)
    more = {} if at is None else {"value": widgets.snap(reach, at)}
    widgets.threshold_slider(reach, f"Threshold on {axis()}", **options, **more)


def _half(model: str) -> float:
    """A score that half of the scores lie below."""
    curve = pruning.curve(scoring(model), None)
    return next(threshold for threshold, share in zip(curve.thresholds, curve.shares, strict=True) if share >= START)


def _reach(model: str) -> float:
    """A score that 99 % lie below. For magnitudes it is that of Explore, whose slider this is."""
    by = scoring(model)
    if by.prune == PruneSpec(sparsity=0.5) or by.prune == PruneSpec(threshold=1.0):
        return networks.largest_useful_threshold(model, by.fold_bn)
    curve = pruning.curve(by, None)
    return next(threshold for threshold, share in zip(curve.thresholds, curve.shares, strict=True) if share >= 0.99)


def pick_alternative() -> None:
    """The way that this one is held against."""
    st.selectbox(
        "Against",
        alternatives(),
        key="rival",
        bind="query-params",
        on_change=redraw,
        help="Another way to prune, up to the same sparsity of the whole network.",
    )


def redraw() -> None:
    """For `on_change`: draws the answer anew."""
    frame.rerun_answer(ANSWER)
