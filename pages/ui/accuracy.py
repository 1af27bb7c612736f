"""The accuracy panel, live: an estimate at once, narrowing, exact when all images are counted; or what to do."""

from typing import NamedTuple

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from compression.cifar10 import TEST, DataError, DataMissing
from compression.download import download
from compression.estimate import Estimate, flips
from compression.evaluate import Evaluation
from compression.live import Reading
from compression.spec import CompressionSpec
from pages.ui import charts, compute, fetching, format, frame

CHART_SECONDS = 1.0
STOPPED = "stopped"
SENTENCE_PIXELS = 44  # of two lines, or one and a bar: what stands below does not jump


class Places(NamedTuple):
    """Where the panel puts what."""

    metric: DeltaGenerator
    sentence: DeltaGenerator
    button: DeltaGenerator
    chart: DeltaGenerator


def panel(spec: CompressionSpec, places: Places, by_class: bool) -> None:
    """Fills the places, and again while images are counted, in fragments of its own: no slider waits for it.

    These write to all places in all states: where a fragment wrote nothing in the last run of the page, it may not.
    """
    images = compute.test_images()
    if isinstance(images, DataError):
        places.metric.metric("Accuracy", "no images", border=True, height="stretch")
        with places.chart:
            _what_to_do(images)
        return
    going = _going(_look(spec))
    poll = compute.poll_seconds()
    drawn = set()

    def too_early(name: str) -> bool:
        """Whether this is a poll that comes before a run of the page that was broken off is made good."""
        if name in drawn:
            return not frame.is_whole()
        drawn.add(name)
        return False

    @st.fragment(run_every=poll if going else None)
    def figures() -> None:
        if too_early("figures"):
            return
        reading = _look(spec)
        _metric(reading, places.metric)
        with places.sentence.container(height=SENTENCE_PIXELS, border=False, vertical_alignment="center"):
            sentence(reading, _stopped(spec))
        _button(reading, places.button)
        if _going(reading) != going:
            st.rerun()

    @st.fragment(run_every=max(CHART_SECONDS, poll) if going else None)
    def chart() -> None:
        if not too_early("chart"):
            _chart(_look(spec), places, by_class)

    figures()
    chart()


def _stopped(spec: CompressionSpec) -> bool:
    """Whether the reader has stopped this count."""
    return st.session_state.get(STOPPED) == spec


def _look(spec: CompressionSpec) -> Reading:
    return compute.look(spec, go=not _stopped(spec))


def _going(reading: Reading) -> bool:
    """Whether there will be more to show."""
    return not (reading.exact or reading.error or _stopped(reading.spec))


def _button(reading: Reading, place: DeltaGenerator) -> None:
    """What the reader can do about the count: always something in the place, or a fragment could not write to it."""
    if reading.error:
        place.button("Try again", key="again", icon=":material/refresh:")
    elif _stopped(reading.spec):
        place.button("Go on", key="on", icon=":material/play_arrow:", on_click=lambda: st.session_state.pop(STOPPED))
    elif reading.exact:
        place.empty()
    else:
        stop = {STOPPED: reading.spec}
        place.button("Stop", key="stop", icon=":material/stop:", on_click=lambda: st.session_state.update(stop))


def sentence(reading: Reading, stopped: bool = False) -> None:
    """What the accuracy stands on: a verdict, or how far the count is, or what is in its way."""
    if reading.error:
        st.warning(f"Counting stopped: {reading.error}.", icon=":material/error:")
    elif reading.whole:
        st.caption(verdict(reading.whole, reading.before))
    else:
        st.progress(reading.images / reading.total, _on_the_way(reading, stopped))
    if reading.notice:
        st.caption(f":material/info: {reading.notice}")


def _metric(reading: Reading, place: DeltaGenerator) -> None:
    estimate, before = reading.estimate, reading.before
    if estimate is None:
        place.metric("Accuracy", "…", border=True, height="stretch")
        return
    change = "" if before is None or reading.is_float else format.points(estimate.accuracy - before.accuracy)
    same = reading.exact and before is not None and not reading.is_float and estimate.accuracy == before.accuracy
    place.metric(
        "Accuracy",
        format.percent(estimate.accuracy, 2)
        if reading.exact
        else format.plus_minus(estimate.accuracy, estimate.half_width),
        "as float" if same else change or ("the float network" if reading.is_float else "float not counted yet"),
        delta_color="off" if same or not change else "normal",
        delta_arrow="off" if same or not change else "auto",
        border=True,
        height="stretch",
        help="The share of all 10,000 test images that are classified correctly, and the change against the float "
        "network. With ±: an estimate from the images so far, and its 95 % interval.",
    )


def verdict(after: Evaluation, before: Evaluation | None) -> str:
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
        f"**{meaning if change.p < 0.05 else 'this may be chance'}** (McNemar, {format.p_value(change.p)})."
    )


def _chart(reading: Reading, places: Places, by_class: bool) -> None:
    before, ink = reading.before, charts.ink(st.context.theme.type)
    if by_class and before and reading.seen:
        figure = charts.class_accuracy(before, reading.class_estimates, ink)
    else:
        nothing_yet = Estimate(0.0, 0.0, 1.0, 0, reading.total)
        figure = charts.accuracy(before, reading.estimate or nothing_yet, ink)
    alt = "Accuracy of the float and the compressed network"
    places.chart.plotly_chart(figure, config=charts.CONFIG, theme=None, key="accuracy", alt=alt)


def _on_the_way(reading: Reading, stopped: bool) -> str:
    if not reading.images:
        return "Stopped before the first images" if stopped else "Counting the first images …"
    counted = f"Estimated from {reading.images:,} of {reading.total:,} images"
    if stopped:
        return f"{counted}, stopped"
    return counted if reading.seconds_left is None else f"{counted}, {format.seconds_left(reading.seconds_left)}"


def _what_to_do(problem: DataError) -> None:
    """Words, and for missing images a button that fetches them."""
    if not isinstance(problem, DataMissing):
        st.warning(f"Accuracy is off: {problem}.", icon=":material/broken_image:")
        return
    st.info(
        "Accuracy needs CIFAR-10's test images, and there are none here. Fetch them, or point the environment "
        "variable CIFAR10_ROOT at a copy. All else on this page works without them.",
        icon=":material/image_search:",
    )
    if st.button("Download 24 MB", key="download", icon=":material/download:") and (
        fetching.with_bar(lambda progress: download(TEST, progress=progress))
    ):
        compute.test_images.clear()
        st.rerun()
