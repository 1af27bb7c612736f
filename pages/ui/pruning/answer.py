"""What pruning takes and leaves: metrics, charts and a proof, in fragments that a move of a slider draws anew."""

import streamlit as st

from compression.errors import DataError
from compression.pruning.proof import SmallerNetwork
from compression.spec import CompressionSpec
from pages.ui import compute, format
from pages.ui.charts import pruning as charts_pruning
from pages.ui.charts import show
from pages.ui.explore import answer
from pages.ui.frame import frame
from pages.ui.pruning import controls as pruning_controls
from pages.ui.settings import controls, wanted

REMOVED = "removed"
MOST_SENTENCES = 3


def problem(model: str) -> str | None:
    """Why a network cannot be pruned as the widgets say, in a sentence; None where it can."""
    try:
        compute.scores(pruning_controls.scoring(model))
        compute.scores(pruning_controls.scoring_filters(model))
        compute.answer(pruning_controls.spec(model, wanted.ANY))
    except (DataError, ValueError) as error:
        return compute.why(error)
    return None


@st.fragment(key=frame.METRICS)
def metrics(model: str) -> None:
    """Sparsity and size."""
    found = compute.answer(pruning_controls.spec(model))
    sparsity, size = st.columns(2)
    answer.sparsity_metric(sparsity, found)
    answer.size_metric(size, found.size)


@st.fragment(key=pruning_controls.CURVE)
def curve(model: str) -> None:
    """The scores, cumulated, and where the cut is."""
    by, layer = pruning_controls.scoring(model), controls.layer()
    part = layer if layer in compute.scores(by) else None
    figure = charts_pruning.curve(
        compute.curve(by, None),
        compute.curve(by, part) if part else None,
        compute.cut(pruning_controls.spec(model), by, part),
        pruning_controls.axis(),
        show.ink(),
    )
    show.chart(figure, "curve", "Cumulative share of scores below each threshold, and the threshold at present")


@st.fragment(key=pruning_controls.LEFT)
def left(model: str) -> None:
    """What is left, cell by cell."""
    view = compute.left(pruning_controls.spec(model), controls.layer())
    of = controls.layer() or f"the {controls.WHOLE}"
    show.chart(
        charts_pruning.mosaic(view, of, _rows(model), show.ink()),
        "left",
        f"Mosaic of the weights that are left of {of}",
    )


@st.fragment(key=pruning_controls.OVERLAP)
def overlap(model: str) -> None:
    """What this way takes and the other leaves."""
    other = pruning_controls.rival(model)
    try:
        view = compute.overlap(pruning_controls.spec(model), other, controls.layer())
    except (DataError, ValueError) as error:
        st.info(compute.why(error), icon=":material/image_search:")
        return
    alt = "Mosaic of the weights that one way takes and the other leaves"
    show.chart(charts_pruning.overlap(view, _rows(model), show.ink()), "overlap", alt)
    kept, first, second, taken = view.counts
    gone, chance = first + taken, (second + taken) / sum(view.counts)
    st.caption(
        f"Of the {gone:,} weights that go here, **{format.percent(taken / gone)}** would go there too; if neither "
        f"knew of the other, {format.percent(chance)}."
        if gone
        else f"Nothing goes here: all {kept + second:,} weights stay."
    )


@st.fragment(key=pruning_controls.RANKED)
def ranked(model: str) -> None:
    """Filters by score, and what is left of each."""
    by, layer = pruning_controls.scoring_filters(model), controls.layer()
    if layer and layer not in compute.scores(by):
        st.info(
            f"No filter of {layer} can go: its outputs are the classes, or nothing scores it.", icon=":material/info:"
        )
        return
    view = compute.ranked(pruning_controls.spec(model), by, layer)
    alt = "Filters in the order of their scores, with the share of each that is left"
    show.chart(charts_pruning.ranking(view, pruning_controls.filter_axis(), show.ink()), "ranked", alt)
    st.caption(f"{view.empty:,} of {view.filters:,} filters have no weight left.")


@st.fragment(key=pruning_controls.SMALLER)
def smaller(model: str) -> None:
    """The network without its zero filters, made and proved when it is asked for: that takes seconds."""
    wanted = pruning_controls.spec(model)
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
            found = compute.without_zeros(wanted)
        _proved(found)
        return
    macs = format.quantity(sum(compute.layer_macs(model).values()))
    st.caption(
        f"An image still takes all of its {macs} multiply-accumulates: ordinary kernels multiply zeros like "
        "any number. Filters that are zero can be taken out for good."
    )


def _take_out(wanted: CompressionSpec) -> None:
    st.session_state[REMOVED] = wanted
    pruning_controls.moved()


@st.fragment(key=pruning_controls.WORK)
def work(model: str) -> None:
    """Multiply-accumulates: those of the float network, until filters have been taken out."""
    wanted = pruning_controls.spec(model)
    before = sum(compute.layer_macs(model).values())
    taken_out = st.session_state.get(REMOVED) == wanted
    after = compute.without_zeros(wanted).after.macs if taken_out else before
    fewer = f"{format.times(before / after)} fewer" if after < before else "as float"
    answer.show_metric(
        st.container(),
        "MACs an image",
        format.quantity(after),
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
        ratio = f"{format.times(before / after)} fewer" if after < before else "as before"
        words = f"{before:,} before, {after:,} after."
        answer.show_metric(place, label, format.quantity(after), ratio, words)
    show.chart(charts_pruning.channels(found, show.ink()), "channels", "Filters of each layer before and after removal")
    for stayed in found.remaining[:MOST_SENTENCES]:
        st.caption(f"{stayed.layer}: {stayed.channels:,} of its zero filters must stay, since {stayed.why}.")
    if len(found.remaining) > MOST_SENTENCES:
        st.caption(f"So it is in {len(found.remaining) - MOST_SENTENCES} more layers.")


def _rows(model: str) -> list[str]:
    """The names of the rows of a mosaic, where these are layers."""
    return [] if controls.layer() else [*compute.layer_macs(model)]
