"""Settings that are used less often, in a popover, and a line that names those that differ from the defaults."""

import streamlit as st

from compression.spec import (
    Calibration,
    Clip,
    CompressionSpec,
    Criterion,
    Granularity,
    Only,
    Order,
    Scheme,
    Structure,
    VectorFormat,
    structure_from,
)
from pages.ui.compute import compressed, networks
from pages.ui.settings import methods, recovery, selection
from pages.ui.settings.widgets import CLIPS, including
from pages.ui.state import session, specs
from pages.ui.state.value import ALL, FLOAT

INPUT_BITS = [FLOAT, "8", "7", "6", "5", "4", "3", "2"]
MOST_MERGED = 0.9
UNITS = {Clip.PERCENTILE: "per cent of the weights", Clip.STDS: "standard deviations", Clip.MEANS: "mean |w|"}
# Smallest value, largest value and step of the widget that sets where the range is cut.
CLIP_INPUTS = {Clip.PERCENTILE: (90.0, 100.0, 0.1), Clip.STDS: (0.5, 10.0, 0.5), Clip.MEANS: (0.5, 20.0, 0.5)}
ENDS = (
    "Their weights are not quantized. With activation bits, their inputs are. Publications often leave both in float: "
    "give the two layers float as their own bits, on the page Layers."
)
GROUPS = [16, 32, 64, 128, 256, 512]


def draw(model: str) -> None:
    """Draws the popover, and below it the line on what differs from the defaults."""
    with st.popover("More settings", icon=":material/tune:", width="stretch"):
        names = ["Weights", "Activations", "Pruning", "Batch norm", "Recovery"]
        weights, activations, pruning, batch_norm, recovery_tab = st.tabs(names)
        with recovery_tab:
            recovery.draw(model)
        with batch_norm:
            _batch_norm(model)
        with weights:
            _weights()
        with activations:
            _activations()
        with pruning:
            _pruning()
    changes = ", ".join([*_levels(model), *_changes(model)])
    if changes:
        st.caption(f"With {changes}")


def _weights() -> None:
    now = session.now()
    off = now.weight_bits is None
    unused = off or not specs.has_clip(now)
    st.selectbox("Clipping range", list(Clip), help=CLIPS, disabled=unused, **session.bound("clip", now.clip))
    if now.clip.default_at is not None:
        key = f"{now.clip}_at"
        value = getattr(now, key)
        lowest, highest, step = CLIP_INPUTS[now.clip]
        st.number_input(
            f"Range ends at, in {UNITS[now.clip]}",
            min(lowest, value),
            max(highest, value),
            step=step,
            disabled=unused,
            **session.bound(key, value),
        )
    if now.granularity == Granularity.GROUP:
        sizes = sorted({*GROUPS, now.group})
        st.select_slider("Weights per group", sizes, disabled=off, **session.bound("group", now.group))
    kinds, ends = st.columns(2, vertical_alignment="bottom")
    with kinds:
        st.segmented_control(
            "Layers to quantize", [ALL, *Only], required=True, disabled=off, **session.bound("only", now.only)
        )
    with ends:
        st.toggle("Keep first and last layer in float", disabled=off, help=ENDS, **session.bound("ends", now.ends))
    methods.explain(now.clip)


def _activations() -> None:
    now = session.now()
    st.select_slider(
        "Activation bits",
        including(INPUT_BITS, now.inputs),
        help="Quantizes the inputs of convolutions and linear layers: affine, with one scale and one zero point per "
        "layer. Hardware that multiplies integers needs this.",
        **session.bound("inputs", now.inputs),
    )
    st.selectbox(
        "Calibration",
        list(Calibration),
        help="How the clipping range of a layer's inputs follows from the inputs that the float network has for 1,000 "
        "training images.",
        disabled=now.inputs == FLOAT,
        **session.bound("calibration", now.calibration),
    )
    methods.explain(now.calibration)


def _pruning() -> None:
    now = specs.fitting(session.now())
    st.segmented_control(
        "Pruning granularity",
        including(selection.STRUCTURES, now.structure),
        required=True,
        help="What is pruned together: single weights, two of each four weights along the input channels, or whole "
        "filters. The page Pruning has more: thresholds in other units, and what each criterion prunes.",
        **session.bound("structure", now.structure),
    )
    structure, pattern = structure_from(now.structure)
    st.selectbox(
        "Importance criterion (lowest score pruned first)",
        [each for each in Criterion if specs.is_possible(each, structure, pattern)],
        **session.bound("criterion", now.criterion),
    )
    methods.explain(now.criterion)


def _batch_norm(model: str) -> None:
    now = session.now()
    folds = networks.has_batch_norm(model) and now.fold
    st.segmented_control(
        "Order of folding and quantization",
        list(Order),
        required=True,
        help="Folding has to come first. The other order shows why: folding moves the quantized weights off their "
        "levels, and they are rounded a second time. With one scale per tensor, this costs accuracy.",
        disabled=not folds,
        **session.bound("order", now.order),
    )
    st.slider(
        "Share of filters merged",
        0.0,
        max(MOST_MERGED, now.merge),
        step=0.05,
        format="percent",
        help="Replaces filters that are nearly equal by their mean, in each layer whose outputs only the next layer "
        "uses. The next layer adds up the weights of the inputs that came from them. Needs folded batch norm.",
        disabled=not folds or now.order != Order.FOLD_FIRST,
        **session.bound("merge", now.merge, range_of=max(MOST_MERGED, now.merge)),
    )
    st.toggle(
        "Re-estimate batch norm",
        help="Computes means and variances again after compression, on 1,000 training images without their labels. "
        "This recovers accuracy, so the result is not that of compression alone.",
        disabled=now.fold or not networks.has_batch_norm(model),
        **session.bound("reestimate", now.reestimate),
    )
    st.selectbox(
        "Biases and batch norm stored as",
        list(VectorFormat),
        help="The accuracy is that of the numbers as they are stored. With int8, each tensor has 8-bit codes and one "
        "scale.",
        **session.bound("vector_format", now.vector_format),
    )


def _levels(model: str) -> list[str]:
    """Returns how many levels the given step yields; nothing for other schemes."""
    now = session.now()
    if now.weight_bits is None or now.scheme != Scheme.STEP:
        return []
    spec = CompressionSpec(model, weights=specs.quantizer_of(now), fold_bn=now.fold)
    if compressed.problem(spec):
        return []
    fewest, most = compressed.levels(spec)
    return [f"steps of {now.step:g} (Q = {1 / now.step:g}): {fewest} to {most} levels per layer"]


def _changes(model: str) -> list[str]:
    """Returns the settings that differ from the defaults, in words."""
    now = selection.settings(model)
    quantized, changes = now.weight_bits is not None, []
    if quantized and specs.has_clip(now) and now.clip != Clip.FULL:
        changes.append(f"clipping range {now.clip}")
    if quantized and now.only != ALL:
        changes.append(f"{now.only} layers only")
    if quantized and now.ends:
        changes.append("first and last layer in float")
    if now.inputs != FLOAT:
        changes.append(f"{now.inputs}-bit activations ({now.calibration})")
    if now.structure != Structure.WEIGHT:
        changes.append(f"{now.structure} pruning")
    if now.criterion != Criterion.L1:
        changes.append(f"criterion {now.criterion}")
    if now.fold and now.order != Order.FOLD_FIRST:
        changes.append("folding after quantization")
    if now.fold and now.order == Order.FOLD_FIRST and now.merge:
        changes.append("merged filters")
    if now.reestimate and not now.fold:
        changes.append("batch norm re-estimated")
    if now.vector_format is not VectorFormat.FLOAT32:
        changes.append(f"biases and batch norm as {now.vector_format}")
    return changes + recovery.words(now)
