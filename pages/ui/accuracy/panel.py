"""The accuracy of a spec, live: an estimate at once, which narrows, and is exact when all images are counted."""

from collections.abc import Callable
from functools import partial

import streamlit as st

from compression.data.cifar10 import TEST
from compression.errors import DataError
from compression.evaluation.evaluation import Evaluation, flips
from compression.evaluation.reading import Reading
from compression.evaluation.sampling import Estimate
from compression.results.neighbours import Neighbours
from compression.spec import CompressionSpec
from compression.spec.title import title
from pages.ui import wording
from pages.ui.accuracy import missing_images
from pages.ui.accuracy.polling import (
    STOPPED,
    AccuracyState,
    is_counting,
    is_stopped,
    look,
    look_patiently,
    poll,
    wait_for_painting,
)
from pages.ui.charts import accuracy as accuracy_charts
from pages.ui.charts import show
from pages.ui.compute import accuracy as compute
from pages.ui.compute import images
from pages.ui.frame import frame
from pages.ui.settings import selection, widgets

CHART_SECONDS = 1.0
AROUND = """\
There are no test images here, and this setting was not measured beforehand. The neighbours that were measured, with
the next bits and the next sparsities, lie in this interval; whether this setting does, nobody has counted."""
SpecOf = Callable[[str], CompressionSpec]
SENTENCE_PIXELS = 44  # of two lines, or one and a bar: what stands below does not jump


@st.fragment(key=frame.ACCURACY)
def metric(model: str, said: SpecOf = selection.spec) -> None:
    """The number, live.

    `said`: what the widgets of the page say of a network.
    """
    wait_for_painting(look(said(model), go=False))
    poll(lambda: look_patiently(said(model)), show_number)


def fragment_order(model: str) -> list[str]:
    """What a slider draws anew: an accuracy that is known comes first, one that is to be counted after the panels."""
    try:
        known = not is_counting(look(selection.spec(model), go=False))
    except KeyError:  # another choice, made with the move, asks for a widget that is not there yet: all is drawn anew
        known = False
    return sorted(frame.ANSWER, key=lambda part: known and part != frame.ACCURACY)


@st.fragment(key=frame.SENTENCE)
def sentence(model: str, said: SpecOf = selection.spec) -> None:
    """What the number stands on, live, and a button that stops the count or goes on with it."""

    def draw(reading: AccuracyState) -> None:
        with st.container(horizontal=True, height=SENTENCE_PIXELS, border=False, vertical_alignment="center"):
            if isinstance(reading, Reading):
                with st.container():
                    show_state(reading, is_stopped(reading.spec))
                _button(reading)
            elif isinstance(reading, Neighbours):
                st.caption(_around(reading))

    poll(lambda: look(said(model)), draw)


@st.fragment(key=frame.CHART)
def chart(model: str) -> None:
    """Accuracy as a chart, live, in all or by class; or what to do about missing images."""
    poll(lambda: look(selection.spec(model)), partial(_chart, model), CHART_SECONDS)


def _button(reading: Reading) -> None:
    """What the reader can do about the count."""
    if reading.error:
        st.button("Try again", key="again", icon=":material/refresh:")
    elif is_stopped(reading.spec):
        st.button("Go on", key="on", icon=":material/play_arrow:", on_click=lambda: st.session_state.pop(STOPPED))
    elif not reading.exact:
        stop = {STOPPED: reading.spec}
        st.button("Stop", key="stop", icon=":material/stop:", on_click=lambda: st.session_state.update(stop))


def show_state(reading: Reading, stopped: bool = False) -> None:
    """What the accuracy stands on: a verdict, or how far the count is, or what is in its way."""
    if reading.error:
        st.warning(f"Counting stopped: {reading.error}.", icon=":material/error:")
    elif reading.whole:
        st.caption(result_in_words(reading.whole, reading.before) + _origin(reading))
    else:
        st.progress(reading.images / reading.total, _on_the_way(reading, stopped))
    if reading.notice:
        st.caption(f":material/info: {reading.notice}")


def show_number(reading: AccuracyState, border: bool = True) -> None:
    """The accuracy as far as it is known, and the change against the float network."""
    if isinstance(reading, DataError):
        st.metric("Accuracy", "no images", "not counted", delta_color="off", delta_arrow="off", border=border)
        return
    if isinstance(reading, Neighbours):
        interval = wording.interval(reading.low, reading.high)
        st.metric(
            "Accuracy", interval, "of neighbours", delta_color="off", delta_arrow="off", border=border, help=AROUND
        )
        return
    estimate, before = reading.estimate, reading.before
    if estimate is None:
        st.metric("Accuracy", "…", "counting", delta_color="off", delta_arrow="off", border=border)
        return
    change = "" if before is None or reading.is_float else wording.points(estimate.accuracy - before.accuracy)
    plain = change in ("", wording.points(0.0))
    same = reading.exact and before is not None and not reading.is_float and estimate.accuracy == before.accuracy
    st.metric(
        "Accuracy",
        wording.percent(estimate.accuracy, 2)
        if reading.exact
        else wording.plus_minus(estimate.accuracy, estimate.half_width),
        "as float" if same else change or ("the float network" if reading.is_float else "float not counted yet"),
        delta_color="off" if plain else "normal",
        delta_arrow="off" if plain else "auto",
        border=border,
        help=f"The share of all {TEST.images:,} test images that are classified correctly, and the change against the "
        "float network. With ±: an estimate from the images so far, and its 95 % interval.",
    )


def result_in_words(after: Evaluation, before: Evaluation | None) -> str:
    """What was counted, and whether the change against the float network is more than chance."""
    counted = f"{after.correct:,} of {after.total:,} test images right"
    if before is None or before is after:
        return f"{counted}."
    change = flips(before, after)
    if change.lost == change.won == 0:
        return f"{counted}, the very same as float."
    meaning = f"this {'drop' if change.lost > change.won else 'gain'} is real"
    return (
        f"{counted}. Against float {change.lost:,} lost, {change.won:,} won: "
        f"**{meaning if change.p < 0.05 else 'this may be chance'}** (McNemar, {wording.p_value(change.p)})."
    )


def _origin(reading: Reading) -> str:
    """Where the number comes from, if not from here."""
    return f" Measured beforehand, with PyTorch {reading.measured_with}." if reading.measured_with else ""


def _around(found: Neighbours) -> str:
    """The measured specs around one that was not: the worst and the best."""
    ranked = sorted(found.results, key=lambda each: each.evaluation.correct)
    worst, best = (
        f"{wording.percent(each.evaluation.accuracy, 2)} ({title(each.spec)})" for each in (ranked[0], ranked[-1])
    )
    return f"Not measured itself, and no images to count here. Its neighbours, measured beforehand: {worst} to {best}."


def _chart(model: str, reading: AccuracyState) -> None:
    if not isinstance(reading, Reading):
        problem = reading if isinstance(reading, DataError) else images.test_images()
        if isinstance(problem, DataError):
            missing_images.explain(problem, compute.landscape_notice(model))
        return
    before, view = reading.before, st.session_state["chart"]
    if view == widgets.BY_CLASS and before and reading.seen:
        figure = accuracy_charts.class_accuracy(before, reading.class_estimates, show.ink())
    elif view == widgets.CONFUSION and before and reading.whole:
        figure = accuracy_charts.confusions(before, reading.whole, show.ink())
    else:
        nothing_yet = Estimate(0.0, 0.0, 1.0, 0, reading.total)
        figure = accuracy_charts.accuracy(before, reading.estimate or nothing_yet, show.ink())
    show.chart(figure, "accuracy", "Accuracy of the float and the compressed network")


def _on_the_way(reading: Reading, stopped: bool) -> str:
    if not reading.images:
        return "Stopped before the first images" if stopped else "Counting the first images …"
    counted = f"Estimated from {reading.images:,} of {reading.total:,} images"
    if stopped:
        return f"{counted}, stopped"
    return counted if reading.seconds_left is None else f"{counted}, {wording.seconds_left(reading.seconds_left)}"
