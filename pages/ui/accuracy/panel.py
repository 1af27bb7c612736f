"""The accuracy of a spec, live: at once an estimate, which narrows and is exact when all images are counted."""

from collections.abc import Callable, Sequence
from functools import partial

import streamlit as st

from compression.errors import DataError
from compression.evaluation.reading import Reading
from compression.evaluation.sampling import Estimate
from compression.results.neighbours import Neighbours
from compression.spec import CompressionSpec
from pages.ui import wording
from pages.ui.accuracy import missing_images, outdated, recovery, words
from pages.ui.accuracy.polling import (
    STOPPED,
    AccuracyState,
    StandIn,
    is_counting,
    is_stopped,
    look,
    look_patiently,
    poll,
    wait_before_counting,
)
from pages.ui.charts import accuracy as accuracy_charts
from pages.ui.charts import show
from pages.ui.compute import accuracy as compute
from pages.ui.compute import images, networks
from pages.ui.frame import frame
from pages.ui.frame.look import STEADY
from pages.ui.frame.warnings import show_constant_answer, show_notice, show_warnings, without_folders
from pages.ui.settings import selection, widgets
from pages.ui.state import session

CHART_SECONDS = 1.0
LEAST_HALF_WIDTH = 0.0005  # that a metric says; a narrower interval would need more digits than fit into it
NEIGHBOURS = """\
There are no test images here, and these settings were not measured beforehand. The interval holds the accuracies of
their measured neighbours: those with the next bits and the next sparsities. The accuracy of these settings may lie
outside it."""
SpecOf = Callable[[str], CompressionSpec]


def metric(model: str, spec_of: SpecOf = selection.spec) -> None:
    """Shows the accuracy as a metric, live, and dims it from a move until it is that of the new settings.

    `spec_of` returns the spec that the widgets of the page select for a network.
    """
    st.fragment(key=frame.CURRENT)(lambda: outdated.dim_others(spec_of(model)))()
    _number(model, spec_of)


@st.fragment(key=frame.ACCURACY)
def _number(model: str, spec_of: SpecOf) -> None:
    def draw(reading: AccuracyState) -> None:
        with outdated.container(spec_of(model)):
            show_number(reading)

    wait_before_counting(look(spec_of(model), go=False))
    poll(lambda: look_patiently(spec_of(model)), draw)


def fragment_order(model: str, fragments: Sequence[str] = frame.ANSWER) -> list[str]:
    """Returns the fragments that a slider redraws: the accuracy first if it is known, else after the other panels."""
    known = not is_counting(look(selection.spec(model), go=False))
    return sorted(fragments, key=lambda part: known and part != frame.ACCURACY)


@st.fragment(key=frame.SENTENCE)
def sentence(model: str, spec_of: SpecOf = selection.spec) -> None:
    """Shows what the accuracy is based on, live, and a button that stops or resumes the count."""

    def draw(reading: AccuracyState) -> None:
        with st.container(horizontal=True, key=STEADY, vertical_alignment="center"):
            if isinstance(reading, Reading):
                with st.container():
                    show_state(reading, is_stopped(reading.spec))
                _button(reading)
            elif isinstance(reading, Neighbours):
                st.caption(words.neighbours_in_words(reading))

        if isinstance(reading, Reading):
            show_constant_answer(reading.visited)

    recovery.show(spec_of(model))
    show_warnings(spec_of(model))
    poll(lambda: look(spec_of(model)), draw, has_buttons=True)


@st.fragment(key=frame.CHART)
def chart(model: str) -> None:
    """Shows the selected chart of the accuracy, live, or what to do if there are no test images."""
    poll(lambda: look(selection.spec(model)), partial(_chart, model), CHART_SECONDS)


def _button(reading: Reading) -> None:
    """Draws the button that stops or resumes the count."""
    if isinstance(reading, StandIn):
        return
    if reading.error:
        st.button("Try again", key="again", icon=":material/refresh:")
    elif is_stopped(reading.spec):
        forget = (STOPPED, None)  # None, because a second click finds nothing to forget
        st.button("Resume", key="on", icon=":material/play_arrow:", on_click=st.session_state.pop, args=forget)
    elif not reading.exact:
        stop = {STOPPED: reading.spec}
        st.button("Stop", key="stop", icon=":material/stop:", on_click=lambda: st.session_state.update(stop))


def show_state(reading: Reading, stopped: bool = False) -> None:
    """Shows the result of the count, or how far it is, or the error that ended it."""
    if reading.error:
        st.warning(f"Counting stopped: {without_folders(reading.error)}.", icon=":material/error:")
    elif isinstance(reading, StandIn):
        st.caption(words.stand_in_in_words(reading))
    elif reading.whole:
        base, before = networks.base(reading.spec.model), None if reading.is_float else reading.before
        st.caption(words.result_in_words(reading.whole, before, base) + words.origin_in_words(reading))
    else:
        st.progress(reading.images / reading.total, words.progress_in_words(reading, stopped))
    show_notice(reading.notice)


def show_number(reading: AccuracyState, border: bool = True) -> None:
    """Shows the accuracy as far as it is known, and the change against the float network."""
    if isinstance(reading, DataError):
        st.metric("Accuracy", "no images", "not evaluated", delta_color="off", delta_arrow="off", border=border)
        return
    if isinstance(reading, Neighbours):
        interval = wording.short_interval(reading.low, reading.high)
        st.metric(
            "Accuracy", interval, "of neighbours", delta_color="off", delta_arrow="off", border=border, help=NEIGHBOURS
        )
        return
    estimate, before = reading.estimate, reading.before
    if estimate is None:
        st.metric("Accuracy", "…", "counting", delta_color="off", delta_arrow="off", border=border)
        return
    change = "" if before is None or reading.is_float else wording.points(estimate.accuracy - before.accuracy)
    plain = change in ("", wording.points(0.0))
    origin, base = networks.origin(reading.spec.model), networks.base(reading.spec.model)
    same = reading.exact and before is not None and not reading.is_float and estimate.accuracy == before.accuracy
    st.metric(
        "Accuracy",
        wording.percent(estimate.accuracy, 2)
        if reading.exact
        else wording.plus_minus(estimate.accuracy, max(estimate.half_width, LEAST_HALF_WIDTH)),
        f"same as {base}" if same else change or (origin if reading.is_float else f"{base} unknown"),
        delta_color="off" if plain else "normal",
        delta_arrow="off" if plain else "auto",
        border=border,
        help=f"The share of all {reading.total:,} test images that are classified correctly, and the change "
        f"against the {base} network in percentage points. With ±: an estimate from the images so far, with its 95 % "
        "confidence interval at this moment. While you watch it narrow, it may leave out the final value for a while.",
    )


def _chart(model: str, reading: AccuracyState) -> None:
    if not isinstance(reading, Reading):
        problem = reading if isinstance(reading, DataError) else images.test_images()
        if isinstance(problem, DataError):
            missing_images.explain(problem, compute.landscape_notice(model))
        return
    before, view = reading.before, session.now().chart
    if view == widgets.PER_CLASS and before and reading.visited:
        figure = accuracy_charts.per_class(before, reading.class_estimates, show.ink())
    elif view == widgets.CONFUSION and before and reading.whole:
        figure = accuracy_charts.confusion_matrix(before, reading.whole, show.ink())
    else:
        unknown = Estimate(0.0, 0.0, 1.0, 0, reading.total)
        figure = accuracy_charts.overall(before, reading.estimate or unknown, show.ink(), networks.base(model))
    show.chart(figure, "accuracy", "Accuracy of the float and the compressed network")
