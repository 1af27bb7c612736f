"""The results of pruning: metrics, charts, and the removal of zero filters, in fragments that a slider redraws."""

from contextlib import nullcontext

import streamlit as st

from compression.errors import DataError
from compression.pruning.proof import SmallerNetwork
from compression.spec import CompressionSpec
from pages.ui import wording
from pages.ui.charts import cells, show
from pages.ui.charts import pruning as pruning_charts
from pages.ui.compute import compressed, networks, pruning
from pages.ui.frame import frame
from pages.ui.frame.metrics import show_metric, size_metric, sparsity_metric
from pages.ui.frame.warnings import without_folders
from pages.ui.pruning import controls, specs
from pages.ui.settings import selection, target
from pages.ui.state.specs import ANY_SPARSITY
from pages.ui.state.value import WHOLE

REMOVED = "removed"
MOST_SENTENCES = 3


def problem(model: str) -> str | None:
    """Returns a sentence on why the network cannot be pruned as the widgets say, or None if it can."""
    by = target.scoring(model)
    pause = (
        st.spinner("Scoring weights on 1,000 training images, once for this network") if by.needs_gradients else None
    )
    try:
        with pause or nullcontext():
            pruning.criterion_scores(by)
            pruning.criterion_scores(target.scoring_filters(model))
    except (DataError, ValueError) as error:
        return without_folders(compressed.explain(error))
    reason = compressed.problem(specs.spec(model, ANY_SPARSITY))
    return reason and without_folders(reason)


@st.fragment(key=frame.METRICS)
def metrics(model: str) -> None:
    """Shows sparsity and size."""
    answer = compressed.answer(specs.spec(model))
    sparsity, size = st.columns(2)
    sparsity_metric(sparsity, answer)
    size_metric(size, answer)


@st.fragment(key=controls.CURVE)
def curve(model: str) -> None:
    """Shows the cumulative distribution of the scores, and the threshold."""
    by, layer = target.scoring(model), selection.layer(model)
    part = layer if layer in pruning.criterion_scores(by) else None
    figure = pruning_charts.curve(
        pruning.curve(by, None),
        pruning.curve(by, part) if part else None,
        pruning.cut(specs.spec(model), by, part),
        target.axis(),
        show.ink(),
    )
    show.chart(figure, "curve", "Share of the scores below each threshold, and the selected threshold")


@st.fragment(key=controls.MOSAIC)
def mosaic(model: str) -> None:
    """Shows the share of weights that remain, cell by cell."""
    view = pruning.survivors(specs.spec(model), selection.layer(model))
    of = selection.layer(model) or f"the {WHOLE}"
    show.chart(
        cells.mosaic(view, of, _rows(model), show.ink()),
        "survivors",
        f"Mosaic of the weights that remain in {of}",
    )


@st.fragment(key=controls.OVERLAP)
def overlap(model: str) -> None:
    """Shows which weights both criteria prune, and which only one of them prunes."""
    other = specs.alternative(model)
    try:
        view = pruning.overlap(specs.spec(model), other, selection.layer(model))
    except (DataError, ValueError) as error:
        st.info(without_folders(compressed.explain(error)), icon=":material/image_search:")
        return
    alt = "Mosaic of the weights that one criterion prunes and the other keeps"
    show.chart(cells.overlap(view, _rows(model), show.ink()), "overlap", alt)
    neither, first, second, both = view.counts
    pruned, chance = first + both, (second + both) / sum(view.counts)
    st.caption(
        f"Of the {pruned:,} weights that this criterion prunes, the other criterion prunes "
        f"**{wording.percent(both / pruned)}** too. Expected by chance: {wording.percent(chance)}."
        if pruned
        else f"Nothing is pruned: all {neither + second:,} weights remain."
    )


@st.fragment(key=controls.RANKING)
def ranking(model: str) -> None:
    """Shows the filters by score, and the share of weights that remain in each."""
    by, layer = target.scoring_filters(model), selection.layer(model)
    if layer and layer not in pruning.criterion_scores(by):
        st.info(
            f"No filter of {layer} can be pruned: its outputs are the classes, or the criterion does not score it.",
            icon=":material/info:",
        )
        return
    view = pruning.filter_ranking(specs.spec(model), by, layer)
    alt = "Filters in the order of their scores, with the share of weights that remain in each"
    show.chart(pruning_charts.ranking(view, target.filter_axis(), show.ink()), "ranked", alt)
    st.caption(f"{view.empty:,} of {view.filters:,} filters have no nonzero weight.")


@st.fragment(key=controls.REMOVAL)
def removal(model: str) -> None:
    """Removes the zero filters and verifies the result, when the button is pressed. This takes seconds."""
    spec = specs.spec(model)
    removed = st.session_state.get(REMOVED) == spec
    st.button(
        "Remove zero filters and verify",
        key="take",
        icon=":material/content_cut:",
        disabled=removed,
        on_click=_remove,
        args=(spec,),
    )
    if removed:
        with st.spinner("Removing filters and comparing outputs"):
            smaller = pruning.without_zero_filters(spec)
        _show_proof(smaller)
        return
    macs = wording.quantity(sum(networks.layer_macs(model).values()))
    st.caption(
        f"An image still takes all {macs} multiply-accumulates, because ordinary kernels multiply zeros like any other "
        "number. Filters that are zero can be removed from the network."
    )


def _remove(spec: CompressionSpec) -> None:
    st.session_state[REMOVED] = spec
    controls.redraw()


@st.fragment(key=controls.MACS)
def macs(model: str) -> None:
    """Shows the multiply-accumulates: those of the float network, until zero filters have been removed."""
    spec = specs.spec(model)
    before = sum(networks.layer_macs(model).values())
    removed = st.session_state.get(REMOVED) == spec
    after = pruning.without_zero_filters(spec).after.macs if removed else before
    fewer = f"{wording.times(before / after)} fewer" if after < before else "same as float"
    show_metric(
        st.container(),
        "MACs per image",
        wording.quantity(after),
        fewer,
        "Multiply-accumulates. Ordinary kernels multiply zeros like any other number, so that only the removal of "
        "filters, at the end of the page, saves work.",
    )


def _show_proof(smaller: SmallerNetwork) -> None:
    st.badge(
        f"Verified: without its zero filters the network computes the same. Largest difference "
        f"{smaller.largest_difference:.0e} over {smaller.inputs} inputs, in double precision",
        icon=":material/verified:",
        color="green",
    )
    columns = st.columns(3)
    for place, label, before, after in (
        (columns[0], "Multiply-accumulates", smaller.before.macs, smaller.after.macs),
        (columns[1], "Parameters", smaller.before.parameters, smaller.after.parameters),
        (columns[2], "Filters", smaller.channels, smaller.channels - smaller.channels_removed),
    ):
        ratio = f"{wording.times(before / after)} fewer" if after < before else "same as before"
        counts = f"{before:,} before removal, {after:,} after it."
        show_metric(place, label, wording.quantity(after), ratio, counts)
    show.chart(
        pruning_charts.channels(smaller, show.ink()), "channels", "Filters of each layer before and after removal"
    )
    for remaining in smaller.remaining[:MOST_SENTENCES]:
        st.caption(
            f"{remaining.layer}: {remaining.channels:,} zero filters cannot be removed, because {remaining.why}."
        )
    if len(smaller.remaining) > MOST_SENTENCES:
        st.caption(f"{len(smaller.remaining) - MOST_SENTENCES} more layers have the same problem.")


def _rows(model: str) -> list[str]:
    """Returns the names of the rows of a mosaic if these are layers, or else nothing."""
    return [] if selection.layer(model) else [*networks.layer_macs(model)]
