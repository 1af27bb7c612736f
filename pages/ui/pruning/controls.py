"""The widgets of the page Pruning."""

from typing import Any

import streamlit as st

from compression.spec import Criterion, PruneSpec, Scope, Structure, Unit, structure_from
from pages.ui.compute import compressed, networks, pruning
from pages.ui.frame import frame
from pages.ui.pruning.specs import alternatives, axis, scoring, spec
from pages.ui.settings import methods, selection, widgets
from pages.ui.settings.selection import SPARSITY, STRUCTURES, THRESHOLD

CURVE, MOSAIC, OVERLAP, RANKING, REMOVAL, MACS = "curve", "mosaic", "overlap", "ranking", "removal", "macs"
ANSWER = (
    *(frame.METRICS, frame.IMPLIED, CURVE, MOSAIC, OVERLAP, RANKING, REMOVAL, MACS),
    *(frame.ACCURACY, frame.SENTENCE, frame.LINKS),
)  # the fragments that a slider redraws, in this order
START = 0.5


def draw(model: str) -> None:
    """Draws all widgets but the sliders: granularity, criterion and target of the pruning."""
    structure, pattern = structure_from(
        widgets.choose(
            "Pruning granularity",
            list(STRUCTURES),
            "structure",
            "What is pruned together. Weight: single weights. 2:4: two of each four weights along the input channels, "
            "which some hardware can skip. Filter: whole filters, which can be removed, so that the network becomes "
            "smaller and faster on any hardware.",
        )
    )
    criterion = st.selectbox(
        "Importance criterion (lowest score pruned first)",
        [each for each in Criterion if selection.is_possible(each, structure, pattern)],
        key="criterion",
        bind="query-params",
        help="How the importance of a weight or filter is scored. L1: its magnitude. L2: its root mean square. Random: "
        "a random number, as a baseline. Taylor: the estimated change of the loss on training images. Bn-scale: the "
        "factor of the batch norm that follows. Signed: the weight with its sign, a mistake of many tutorials.",
    )
    with st.popover("What these settings mean", icon=":material/menu_book:"):
        methods.explain(structure)
        methods.explain(Criterion(criterion))
    if structure is not Structure.N_M:
        _target(Criterion(criterion), structure)
    fold = widgets.fold_toggle(
        model, "The weights of each filter are then multiplied by its factor, so that other weights are the smallest."
    )
    st.toggle(
        "Re-estimate batch norm",
        key="reestimate",
        bind="query-params",
        disabled=fold or not networks.has_batch_norm(model),
        help="Pruned layers have other means and variances than those that batch norm has stored. Computing them again "
        "on 1,000 training images, without their labels, recovers much of the accuracy. The result is then not that of "
        "pruning alone.",
    )
    with st.sidebar:
        layers = [selection.WHOLE, *networks.layer_macs(model)]
        st.selectbox("Weights shown", layers, key="layer", bind="query-params", on_change=redraw)


def _target(criterion: Criterion, structure: Structure) -> None:
    """Draws the kind of target, sparsity or threshold, and the widget that belongs to it."""
    ways = [SPARSITY, THRESHOLD] if selection.is_possible(criterion, structure, threshold=1.0) else [SPARSITY]
    explanation = (
        "Sparsity: the lowest scores are pruned until this share is reached. Threshold: all scores below it are pruned."
    )
    if widgets.choose("Prune by", ways, "by", explanation) == SPARSITY:
        explanation = (
            "Global: the scores of all layers are ranked together, so that layers lose different shares. Layer: each "
            "layer loses the same share."
        )
        widgets.choose("Pruning scope", list(Scope), "scope", explanation, on_change=redraw)
        return
    units = [unit for unit in Unit if selection.is_possible(criterion, structure, threshold=1.0, unit=unit)]
    explanation = (
        "Absolute: the unit of the weights. Stds: standard deviations of each layer. Means: the mean |w| of each layer."
    )
    widgets.choose("Unit of the threshold", units, "unit", explanation)


def sliders(model: str) -> None:
    """Draws the slider of the target, and beside it the disabled slider of what the target implies."""
    left, right = st.columns(2)
    state = st.session_state
    by = None if structure_from(state["structure"])[0] is Structure.N_M else state["by"]
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
        right.caption("There is no threshold: each group keeps its highest scores, however low they are.")


@st.fragment(key=frame.IMPLIED)
def _implied_sparsity(model: str) -> None:
    answer = compressed.answer(spec(model))
    share = sum(layer.pruned for layer in answer.layers) / answer.weights
    widgets.sparsity_slider(value=min(widgets.MOST_SPARSE, round(share, 2)), disabled=True)


@st.fragment(key=frame.IMPLIED)
def _implied_threshold(model: str) -> None:
    cut = pruning.cut(spec(model), scoring(model), None)
    if cut and cut.low != cut.high:
        st.caption(f"Threshold on {axis()}: {cut.low:.4f} to {cut.high:.4f} across layers")
    else:
        _threshold(model, at=cut.low if cut else 0.0, disabled=True)


def _threshold(model: str, at: float | None = None, **options: Any) -> None:
    reach = _reach(model)
    more = {} if at is None else {"value": widgets.snap(reach, at)}
    widgets.threshold_slider(reach, f"Threshold on {axis()}", **options, **more)


def _half(model: str) -> float:
    """Returns a score that half of the scores lie below."""
    curve = pruning.curve(scoring(model), None)
    return next(threshold for threshold, share in zip(curve.thresholds, curve.shares, strict=True) if share >= START)


def _reach(model: str) -> float:
    """Returns a score that 99 % of the scores lie below; for magnitudes the end of the same slider on Explore."""
    by = scoring(model)
    if by.prune == PruneSpec(sparsity=0.5) or by.prune == PruneSpec(threshold=1.0):
        return networks.largest_useful_threshold(model, by.fold_bn)
    curve = pruning.curve(by, None)
    return next(threshold for threshold, share in zip(curve.thresholds, curve.shares, strict=True) if share >= 0.99)


def pick_alternative() -> None:
    """Draws the picker of the criterion that the selected one is compared with."""
    st.selectbox(
        "Compare with criterion",
        alternatives(),
        key="rival",
        bind="query-params",
        on_change=redraw,
        help="Another criterion or scope, with the same sparsity of the whole network.",
    )


def redraw() -> None:
    """Redraws the answer. A callback for `on_change`."""
    frame.rerun_answer(ANSWER)
