"""Settings that are used less often, in a popover, and a line that names those that differ from the defaults."""

import streamlit as st

from compression.spec import (
    GROUP_SIZE,
    Calibration,
    Clip,
    CompressionSpec,
    Criterion,
    Granularity,
    Only,
    Order,
    Scheme,
    Structure,
    structure_from,
)
from pages.ui.compute import compressed, networks
from pages.ui.settings import methods, selection
from pages.ui.settings.selection import FLOAT
from pages.ui.settings.widgets import CLIPS

INPUT_BITS = [FLOAT, "8", "7", "6", "5", "4", "3", "2"]
MOST_MERGED = 0.9
UNITS = {Clip.PERCENTILE: "per cent of the weights", Clip.STDS: "standard deviations", Clip.MEANS: "mean |w|"}
# Smallest value, largest value and step of the widget that sets where the range is cut.
CLIP_INPUTS = {Clip.PERCENTILE: (90.0, 100.0, 0.1), Clip.STDS: (0.5, 10.0, 0.5), Clip.MEANS: (0.5, 20.0, 0.5)}
GROUPS = [16, 32, 64, 128, 256, 512]


def draw(model: str) -> None:
    """Draws the popover, and below it the line on what differs from the defaults."""
    with st.popover("More settings", icon=":material/tune:", width="stretch"):
        weights, activations, pruning, batch_norm = st.tabs(["Weights", "Activations", "Pruning", "Batch norm"])
        with batch_norm:
            _batch_norm(model)
        with weights:
            _weights()
        with activations:
            _activations()
        with pruning:
            _pruning()
    changes = ", ".join([*_levels(model), *_changes()])
    if changes:
        st.caption(f"With {changes}")


def _weights() -> None:
    off = st.session_state["bits"] == FLOAT
    selected = st.selectbox(
        "Clipping range",
        list(Clip),
        key="clip",
        bind="query-params",
        help=CLIPS,
        disabled=off or not selection.can_clip(),
    )
    clip = Clip(selected)
    if clip.default_at is not None:
        lowest, highest, step = CLIP_INPUTS[clip]
        st.number_input(
            f"Range ends at, in {UNITS[clip]}",
            lowest,
            highest,
            clip.default_at,
            step,
            key=selection.clip_key(clip),
            bind="query-params",
            disabled=off or not selection.can_clip(),
        )
    if st.session_state["granularity"] == Granularity.GROUP:
        st.select_slider("Weights per group", GROUPS, GROUP_SIZE, key="group", bind="query-params", disabled=off)
    kinds, ends = st.columns(2, vertical_alignment="bottom")
    with kinds:
        st.segmented_control(
            "Layers to quantize",
            [selection.ALL, *Only],
            default=selection.ALL,
            required=True,
            key="only",
            bind="query-params",
            disabled=off,
        )
    with ends:
        st.toggle("Keep first and last layer in float", key="ends", bind="query-params", disabled=off)
    methods.explain(clip)


def _activations() -> None:
    bits = st.select_slider(
        "Activation bits",
        INPUT_BITS,
        key="inputs",
        bind="query-params",
        help="Quantizes the inputs of convolutions and linear layers: affine, with one scale and one zero point per "
        "layer. Hardware that multiplies integers needs this.",
    )
    st.selectbox(
        "Calibration",
        list(Calibration),
        key="calibration",
        bind="query-params",
        help="How the clipping range of a layer's inputs follows from the inputs that the float network has for 1,000 "
        "training images.",
        disabled=bits == FLOAT,
    )
    methods.explain(Calibration(st.session_state["calibration"]))


def _pruning() -> None:
    selected = st.segmented_control(
        "Pruning granularity",
        list(selection.STRUCTURES),
        default=Structure.WEIGHT,
        required=True,
        key="structure",
        bind="query-params",
        help="What is pruned together: single weights, two of each four weights along the input channels, or whole "
        "filters. The page Pruning has more: thresholds in other units, and what each criterion prunes.",
    )
    structure, pattern = structure_from(selected)
    criterion = st.selectbox(
        "Importance criterion (lowest score pruned first)",
        [each for each in Criterion if selection.is_possible(each, structure, pattern)],
        key="criterion",
        bind="query-params",
    )
    methods.explain(Criterion(criterion))


def _batch_norm(model: str) -> None:
    available, fold = networks.has_batch_norm(model), st.session_state["fold"]
    order = st.segmented_control(
        "Order of folding and quantization",
        list(Order),
        default=Order.FOLD_FIRST,
        required=True,
        key="order",
        bind="query-params",
        help="Folding has to come first. The other order shows why: folding moves the quantized weights off their "
        "levels, and they are rounded a second time. With one scale per tensor, this costs accuracy.",
        disabled=not (available and fold),
    )
    st.slider(
        "Share of filters merged",
        0.0,
        MOST_MERGED,
        step=0.05,
        format="percent",
        key="merge",
        bind="query-params",
        help="Replaces filters that are nearly equal by their mean, in each layer whose outputs only the next layer "
        "uses. The next layer adds up the weights of the inputs that came from them. Needs folded batch norm.",
        disabled=not (available and fold) or order != Order.FOLD_FIRST,
    )
    st.toggle(
        "Re-estimate batch norm",
        key="reestimate",
        bind="query-params",
        help="Computes means and variances again after compression, on 1,000 training images without their labels. "
        "This recovers accuracy, so the result is not that of compression alone.",
        disabled=fold or not available,
    )


def _levels(model: str) -> list[str]:
    """Returns how many levels the given step yields; nothing for other schemes."""
    state = st.session_state
    if state["bits"] == FLOAT or state["scheme"] != Scheme.STEP:
        return []
    spec = CompressionSpec(model, weights=selection.quant_spec(), fold_bn=state["fold"])
    if compressed.problem(spec):
        return []
    fewest, most = compressed.levels(spec)
    return [f"steps of {state['step']:g} (Q = {1 / state['step']:g}): {fewest} to {most} levels per layer"]


def _changes() -> list[str]:
    """Returns the settings that differ from the defaults, in words."""
    state = st.session_state
    changes = []
    if state["bits"] != FLOAT and selection.can_clip() and state["clip"] != Clip.FULL:
        changes.append(f"clipping range {state['clip']}")
    if state["bits"] != FLOAT and state["only"] != selection.ALL:
        changes.append(f"{state['only']} layers only")
    if state["bits"] != FLOAT and state["ends"]:
        changes.append("first and last layer in float")
    if state["inputs"] != FLOAT:
        changes.append(f"{state['inputs']}-bit activations ({state['calibration']})")
    if state["structure"] != Structure.WEIGHT:
        changes.append(f"{state['structure']} pruning")
    if state["criterion"] != Criterion.L1:
        changes.append(f"criterion {state['criterion']}")
    if state["fold"] and state["order"] != Order.FOLD_FIRST:
        changes.append("folding after quantization")
    if state["fold"] and state["order"] == Order.FOLD_FIRST and state["merge"]:
        changes.append("merged filters")
    if state["reestimate"] and not state["fold"]:
        changes.append("batch norm re-estimated")
    return changes
