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
ENDS = {Clip.PERCENTILE: (90.0, 100.0, 0.1), Clip.STDS: (0.5, 10.0, 0.5), Clip.MEANS: (0.5, 20.0, 0.5)}  # and a step
GROUPS = [16, 32, 64, 128, 256, 512]


def draw(model: str) -> None:
    """The popover, its line below it."""
    with st.popover("More settings", icon=":material/tune:", width="stretch"):
        of_weights, of_inputs, of_pruning, of_norms = st.tabs(["Weights", "Activations", "Pruning", "Batch norm"])
        with of_norms:
            _norms(model)
        with of_weights:
            _weights()
        with of_inputs:
            _inputs()
        with of_pruning:
            _pruning()
    unusual = ", ".join([*_steps(model), *_unusual()])
    if unusual:
        st.caption(f"With {unusual}")


def _weights() -> None:
    off = st.session_state["bits"] == FLOAT
    clip = st.selectbox(
        "Range",
        list(Clip),
        key="clip",
        bind="query-params",
        help=CLIPS,
        disabled=off or not selection.can_clip(),
    )
    found = Clip(clip)
    if found.default_at is not None:
        lowest, highest, step = ENDS[found]
        st.number_input(
            f"Cut at, in {UNITS[found]}",
            lowest,
            highest,
            found.default_at,
            step,
            key=selection.clip_key(found),
            bind="query-params",
            disabled=off or not selection.can_clip(),
        )
    if st.session_state["granularity"] == Granularity.GROUP:
        st.select_slider("Weights in a group", GROUPS, GROUP_SIZE, key="group", bind="query-params", disabled=off)
    kinds, ends = st.columns(2, vertical_alignment="bottom")
    with kinds:
        st.segmented_control(
            "Layers that are quantized",
            [selection.ALL, *Only],
            default=selection.ALL,
            required=True,
            key="only",
            bind="query-params",
            disabled=off,
        )
    with ends:
        st.toggle("But not the first and the last", key="ends", bind="query-params", disabled=off)
    methods.explain(found)


def _inputs() -> None:
    bits = st.select_slider(
        "Bits an activation",
        INPUT_BITS,
        key="inputs",
        bind="query-params",
        help="The inputs of convolutions and linear layers, as they pass: affine, one scale a layer. Integer hardware "
        "needs them.",
    )
    st.selectbox(
        "Calibration",
        list(Calibration),
        key="calibration",
        bind="query-params",
        help="How the range of a layer's inputs is chosen from what the float network sees of 1,000 training images.",
        disabled=bits == FLOAT,
    )
    methods.explain(Calibration(st.session_state["calibration"]))


def _pruning() -> None:
    structure = st.segmented_control(
        "What goes as one",
        list(selection.STRUCTURES),
        default=Structure.WEIGHT,
        required=True,
        key="structure",
        bind="query-params",
        help="Single weights; two of each four weights along the inputs; or whole filters. Thresholds in other units, "
        "and what each criterion takes, are on the page Pruning.",
    )
    found = structure_from(structure)
    criterion = st.selectbox(
        "Criterion: the least goes first",
        [each for each in Criterion if selection.is_possible(each, *found)],
        key="criterion",
        bind="query-params",
    )
    methods.explain(Criterion(criterion))


def _norms(model: str) -> None:
    norms, fold = networks.has_batch_norm(model), st.session_state["fold"]
    order = st.segmented_control(
        "Folding and quantizing",
        list(Order),
        default=Order.FOLD_FIRST,
        required=True,
        key="order",
        bind="query-params",
        help="Folding must come first. The other order is a lesson: what comes out of folding is off its grid, and "
        "must be rounded a second time. With one scale for the whole tensor that hurts.",
        disabled=not (norms and fold),
    )
    st.slider(
        "Filters merged away",
        0.0,
        MOST_MERGED,
        step=0.05,
        format="percent",
        key="merge",
        bind="query-params",
        help="In each layer whose filters only the next layer reads, those that are nearly equal become one, and the "
        "next layer adds up their inputs. Batch norm has to be folded first.",
        disabled=not (norms and fold) or order != Order.FOLD_FIRST,
    )
    st.toggle(
        "Re-estimate batch norm",
        key="reestimate",
        bind="query-params",
        help="Means and variances taken anew after compression, on 1,000 training images, without labels: a help, and "
        "not compression alone.",
        disabled=fold or not norms,
    )


def _steps(model: str) -> list[str]:
    """How many levels a given step comes to."""
    now = st.session_state
    if now["bits"] == FLOAT or now["scheme"] != Scheme.STEP:
        return []
    spec = CompressionSpec(model, weights=selection.quant_spec(), fold_bn=now["fold"])
    if compressed.problem(spec):
        return []
    fewest, most = compressed.levels(spec)
    return [f"steps of {now['step']:g} (Q = {1 / now['step']:g}): {fewest} to {most} levels, by layer"]


def _unusual() -> list[str]:
    """What is not as usual, in words."""
    now = st.session_state
    found = []
    if now["bits"] != FLOAT and selection.can_clip() and now["clip"] != Clip.FULL:
        found.append(f"range {now['clip']}")
    if now["bits"] != FLOAT and now["only"] != selection.ALL:
        found.append(f"{now['only']} layers quantized alone")
    if now["bits"] != FLOAT and now["ends"]:
        found.append("first and last layer float")
    if now["inputs"] != FLOAT:
        found.append(f"{now['inputs']}-bit activations ({now['calibration']})")
    if now["structure"] != Structure.WEIGHT:
        found.append(f"{now['structure']} pruning")
    if now["criterion"] != Criterion.L1:
        found.append(f"criterion {now['criterion']}")
    if now["fold"] and now["order"] != Order.FOLD_FIRST:
        found.append("folding last")
    if now["fold"] and now["order"] == Order.FOLD_FIRST and now["merge"]:
        found.append("merged filters")
    if now["reestimate"] and not now["fold"]:
        found.append("batch norm re-estimated")
    return found
