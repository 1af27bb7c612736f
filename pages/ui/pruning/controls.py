"""The widgets of the page Pruning."""

import streamlit as st

from compression.spec import Criterion, Structure, structure_from
from pages.ui.compute import compressed, networks, pruning
from pages.ui.frame import frame
from pages.ui.pruning import specs
from pages.ui.settings import controls, methods, selection, target, widgets
from pages.ui.state import session
from pages.ui.state import specs as state_specs
from pages.ui.state.value import SPARSITY

CURVE, MOSAIC, OVERLAP, RANKING, REMOVAL, MACS = "curve", "mosaic", "overlap", "ranking", "removal", "macs"
NOTES = "notes"
ANSWER = (
    *(frame.CURRENT, frame.METRICS, frame.IMPLIED, NOTES, CURVE, MOSAIC, OVERLAP, RANKING, REMOVAL, MACS),
    *(frame.ACCURACY, frame.SENTENCE, frame.LINKS),
)  # the fragments that a slider redraws, in this order


def draw(model: str) -> None:
    """Draws all widgets but the sliders: granularity, criterion and target of the pruning."""
    now = selection.settings(model)
    structure, pattern = structure_from(now.structure)
    widgets.choose(
        "Pruning granularity",
        widgets.including(selection.STRUCTURES, now.structure),
        "structure",
        now.structure,
        "What is pruned together. Weight: single weights. 2:4: two of each four weights along the input channels, "
        "which some hardware can skip. Filter: whole filters, which can be removed, so that the network becomes "
        "smaller and faster on any hardware.",
    )
    st.selectbox(
        "Importance criterion (lowest score pruned first)",
        [each for each in Criterion if state_specs.is_possible(each, structure, pattern)],
        help="How the importance of a weight or filter is scored. L1: its magnitude. L2: its root mean square. Random: "
        "a random number, as a baseline. Taylor: the estimated change of the loss on training images. Obs: how far the "
        "output of the layer moves on training images if the other weights make up for it. Bn-scale: the "
        "factor of the batch norm that follows. Signed: the weight with its sign, a mistake of many tutorials.",
        **session.bound("criterion", now.criterion),
    )
    with st.popover("What these settings mean", icon=":material/menu_book:"):
        methods.explain(structure)
        methods.explain(now.criterion)
    if structure is not Structure.N_M:
        if target.pick_way() == SPARSITY:
            target.pick_scope(redraw)
        else:
            target.pick_unit()
    widgets.fold_toggle(
        model, "The weights of each filter are then multiplied by its factor, so that other weights are the smallest."
    )
    st.toggle(
        "Re-estimate batch norm",
        disabled=now.fold or not networks.has_batch_norm(model),
        help="Pruned layers have other means and variances than those that batch norm has stored. Computing them again "
        "on 1,000 training images, without their labels, recovers much of the accuracy. The result is then not that of "
        "pruning alone.",
        **session.bound("reestimate", now.reestimate),
    )
    with st.sidebar:
        controls.shown_layer(model, redraw)


def sliders(model: str) -> None:
    """Draws the slider of the target, and beside it the disabled slider of what the target implies."""
    left, right = st.columns(2)
    now = specs.settings(model)
    if structure_from(now.structure)[0] is Structure.N_M:
        with left:
            _implied_sparsity(model)
        right.caption("There is no threshold: each group keeps its highest scores, however low they are.")
    elif now.by == SPARSITY:
        with left:
            target.sparsity(now.sparsity or 0.0, redraw)
        with right:
            _implied_threshold(model)
    else:
        with right:
            target.threshold(model, now.threshold or 0.0, redraw)
        with left:
            _implied_sparsity(model)


@st.fragment(key=frame.IMPLIED)
def _implied_sparsity(model: str) -> None:
    answer = compressed.answer(specs.spec(model))
    share = sum(layer.pruned for layer in answer.layers) / answer.weights
    widgets.sparsity_slider(min(widgets.MOST_SPARSE, round(share, 2)), disabled=True)


@st.fragment(key=frame.IMPLIED)
def _implied_threshold(model: str) -> None:
    cut = pruning.cut(specs.spec(model), target.scoring(model), None)
    if cut and cut.low != cut.high:
        st.caption(f"Threshold on {target.axis()}: {cut.low:.4f} to {cut.high:.4f} across layers")
        return
    value = target.snapped(model, cut.low if cut else 0.0)
    widgets.threshold_slider(target.reach(model), f"Threshold on {target.axis()}", value=value, disabled=True)


def pick_alternative(model: str) -> None:
    """Draws the picker of the criterion that the selected one is compared with."""
    st.selectbox(
        "Compare with criterion",
        specs.alternatives(model),
        help="Another criterion or scope, with the same sparsity of the whole network.",
        **session.bound("rival", specs.rival(model), redraw),
    )


def redraw() -> None:
    """Redraws the answer. A callback of widgets."""
    frame.rerun_answer(ANSWER)


@st.fragment(key=NOTES)
def notes(model: str) -> None:
    """Says that the page shows an example, or which settings it leaves out; shows nothing if neither is so."""
    if specs.is_example(model):
        st.caption(
            ":material/info: Nothing is set to be pruned yet. This page shows 50 % as an example; a slider sets what "
            "all pages show."
        )
    if state_specs.spec_of(specs.settings(model)) != specs.spec(model):
        st.caption(
            ":material/info: This page shows pruning alone. Bits, activations, merged filters and the settings of "
            "single layers are left out here; Explore has them."
        )
