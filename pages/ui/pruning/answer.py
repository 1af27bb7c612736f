"""What pruning takes and leaves: metrics, charts and a proof, in fragments that a move of a slider draws anew."""

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
from pages.ui.pruning import controls, specs
from pages.ui.settings import selection

REMOVED = "removed"
MOST_SENTENCES = 3


def problem(model: str) -> str | None:
    """Why a network cannot be pruned as the widgets say, in a sentence; None where it can."""
    try:
        pruning.criterion_scores(specs.scoring(model))
        pruning.criterion_scores(specs.scoring_filters(model))
        compressed.answer(specs.spec(model, selection.ANY_SPARSITY))
    except (DataError, ValueError) as error:
        return compressed.explain(error)
    return None


@st.fragment(key=frame.METRICS)
def metrics(model: str) -> None:
    """Sparsity and size."""
    found = compressed.answer(specs.spec(model))
    sparsity, size = st.columns(2)
    sparsity_metric(sparsity, found)
    size_metric(size, found.size)


@st.fragment(key=controls.CURVE)
def curve(model: str) -> None:
    """The scores, cumulated, and where the cut is."""
    by, layer = specs.scoring(model), selection.layer()
    part = layer if layer in pruning.criterion_scores(by) else None
    figure = pruning_charts.curve(
        pruning.curve(by, None),
        pruning.curve(by, part) if part else None,
        pruning.cut(specs.spec(model), by, part),
        specs.axis(),
        show.ink(),
    )
    show.chart(figure, "curve", "Cumulative share of scores below each threshold, and the threshold at present")


@st.fragment(key=controls.LEFT)
def left(model: str) -> None:
    """What is left, cell by cell."""
    view = pruning.survivors(specs.spec(model), selection.layer())
    of = selection.layer() or f"the {selection.WHOLE}"
    show.chart(
        cells.mosaic(view, of, _rows(model), show.ink()),
        "left",
        f"Mosaic of the weights that are left of {of}",
    )


@st.fragment(key=controls.OVERLAP)
def overlap(model: str) -> None:
    """What this way takes and the other leaves."""
    other = specs.alternative(model)
    try:
        view = pruning.overlap(specs.spec(model), other, selection.layer())
    except (DataError, ValueError) as error:
        st.info(compressed.explain(error), icon=":material/image_search:")
        return
    alt = "Mosaic of the weights that one way takes and the other leaves"
    show.chart(cells.overlap(view, _rows(model), show.ink()), "overlap", alt)
    kept, first, second, taken = view.counts
    gone, chance = first + taken, (second + taken) / sum(view.counts)
    st.caption(
        f"Of the {gone:,} weights that go here, **{wording.percent(taken / gone)}** would go there too; if neither "
        f"knew of the other, {wording.percent(chance)}."
        if gone
        else f"Nothing goes here: all {kept + second:,} weights stay."
    )


@st.fragment(key=controls.RANKED)
def ranked(model: str) -> None:
    """Filters by score, and what is left of each."""
    by, layer = specs.scoring_filters(model), selection.layer()
    if layer and layer not in pruning.criterion_scores(by):
        st.info(
            f"No filter of {layer} can go: its outputs are the classes, or nothing scores it.", icon=":material/info:"
        )
        return
    view = pruning.filter_ranking(specs.spec(model), by, layer)
    alt = "Filters in the order of their scores, with the share of each that is left"
    show.chart(pruning_charts.ranking(view, specs.filter_axis(), show.ink()), "ranked", alt)
    st.caption(f"{view.empty:,} of {view.filters:,} filters have no weight left.")


@st.fragment(key=controls.SMALLER)
def smaller(model: str) -> None:
    """The network without its zero filters, made and proved when it is asked for: that takes seconds."""
    wanted = specs.spec(model)
    taken_out = st.session_state.get(REMOVED) == wanted
    st.button(
        "Take zero filters out, and prove it",
        key="take",
        icon=":material/content_cut:",
        disabled=taken_out,
        on_click=_take_out,
        args=(wanted,),
    )
    if taken_out:
        with st.spinner("Taking filters out, and comparing answers"):
            found = pruning.without_zero_filters(wanted)
        _proved(found)
        return
    macs = wording.quantity(sum(networks.layer_macs(model).values()))
    st.caption(
        f"An image still takes all of its {macs} multiply-accumulates: ordinary kernels multiply zeros like "
        "any number. Filters that are zero can be taken out for good."
    )


def _take_out(wanted: CompressionSpec) -> None:
    st.session_state[REMOVED] = wanted
    controls.redraw()


@st.fragment(key=controls.WORK)
def work(model: str) -> None:
    """Multiply-accumulates: those of the float network, until filters have been taken out."""
    wanted = specs.spec(model)
    before = sum(networks.layer_macs(model).values())
    taken_out = st.session_state.get(REMOVED) == wanted
    after = pruning.without_zero_filters(wanted).after.macs if taken_out else before
    fewer = f"{wording.times(before / after)} fewer" if after < before else "as float"
    show_metric(
        st.container(),
        "MACs an image",
        wording.quantity(after),
        fewer,
        "Multiply-accumulates. Ordinary kernels multiply zeros like any number, so only filters that are taken out, "
        "below, save work.",
    )


def _proved(found: SmallerNetwork) -> None:
    st.badge(
        f"Removed equals zeroed: largest difference {found.largest_difference:.0e} over {found.inputs} inputs, "
        "in double precision, checked just now",
        icon=":material/verified:",
        color="green",
    )
    columns = st.columns(3)
    for place, label, before, after in (
        (columns[0], "Multiply-accumulates", found.before.macs, found.after.macs),
        (columns[1], "Parameters", found.before.parameters, found.after.parameters),
        (columns[2], "Filters", found.channels, found.channels - found.channels_removed),
    ):
        ratio = f"{wording.times(before / after)} fewer" if after < before else "as before"
        words = f"{before:,} before, {after:,} after."
        show_metric(place, label, wording.quantity(after), ratio, words)
    show.chart(pruning_charts.channels(found, show.ink()), "channels", "Filters of each layer before and after removal")
    for stayed in found.remaining[:MOST_SENTENCES]:
        st.caption(f"{stayed.layer}: {stayed.channels:,} of its zero filters must stay, since {stayed.why}.")
    if len(found.remaining) > MOST_SENTENCES:
        st.caption(f"So it is in {len(found.remaining) - MOST_SENTENCES} more layers.")


def _rows(model: str) -> list[str]:
    """The names of the rows of a mosaic, where these are layers."""
    return [] if selection.layer() else [*networks.layer_macs(model)]
