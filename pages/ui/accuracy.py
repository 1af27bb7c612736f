"""The accuracy panel: the first 1,000 images at once, all 10,000 on a button, or what to do without images."""

import time
from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from compression.cifar10 import TEST, DataError, DataMissing
from compression.data import ImageSet
from compression.download import download
from compression.spec import CompressionSpec
from pages.ui import charts, compute, fetching, format

FIRST = 1_000
REFRESH_SECONDS = 0.25  # more often, and painting takes the browser more than counting takes the server


class Places(NamedTuple):
    """Where the panel puts what: the metric and the sentence are rewritten while images are counted."""

    metric: DeltaGenerator
    sentence: DeltaGenerator
    button: DeltaGenerator
    chart: DeltaGenerator


def panel(spec: CompressionSpec, places: Places, by_class: bool) -> None:
    """Fills the places, counting images where they were not counted before, by anyone.

    Whenever it draws, Streamlit looks whether the reader has moved on; what was counted is kept.
    """
    images = compute.test_images()
    if isinstance(images, DataError):
        places.metric.metric("Accuracy", "no images", border=True, height="stretch")
        with places.chart:
            _what_to_do(images)
        return
    counted = compute.counted(spec)
    everything = places.button.button(
        f"Count all {len(images):,}",
        key="everything",
        icon=":material/functions:",
        disabled=counted is not None and counted.total == len(images),
        help="Until then, accuracy is counted on the first 1,000 images",
    )
    places.sentence.caption(_show(spec, places.metric))
    for _ in _count(spec, images, FIRST):
        places.sentence.caption(_show(spec, places.metric))
    before, after = compute.same_images(spec)
    figure = charts.class_accuracy(before, after) if by_class else charts.accuracy(before, after)
    alt = "Accuracy of the float and the compressed network"
    places.chart.plotly_chart(figure, config=charts.CONFIG, key="accuracy", alt=alt)
    if everything:
        places.button.button("Stop", key="stop", icon=":material/stop:")
        for share, seconds in _count(spec, images, len(images)):
            _show(spec, places.metric)
            places.sentence.progress(share, f"{format.percent(share, 0)} counted, {format.seconds_left(seconds)}")
        st.rerun()


def _count(spec: CompressionSpec, images: ImageSet, upto: int) -> Iterator[tuple[float, float]]:
    """Counts the float network's images, then those of `spec`; yields (share done, seconds left) now and then."""
    specs = dict.fromkeys((CompressionSpec(spec.model), spec))
    todo = sum(compute.batches_left(each, upto) for each in specs)
    start = shown = time.monotonic()
    for done, _ in enumerate(chain.from_iterable(compute.count(each, images, upto) for each in specs), 1):
        now = time.monotonic()
        if now - shown > REFRESH_SECONDS or done >= todo:
            shown = now
            yield min(1.0, done / todo), (now - start) * max(0, todo - done) / done


def _show(spec: CompressionSpec, metric: DeltaGenerator) -> str:
    """Rewrites the metric; returns a sentence on what it stands on."""
    before, after = compute.same_images(spec)
    if not after:
        metric.metric("Accuracy", "…", border=True, height="stretch")
        return "Counting the first images …"
    low, high = after.interval
    same = after.correct == before.correct
    metric.metric(
        "Accuracy",
        format.plus_minus(after.accuracy, (high - low) / 2),
        "as float" if same else format.points(after.accuracy - before.accuracy),
        delta_color="off" if same else "normal",
        delta_arrow="off" if same else "auto",
        border=True,
        height="stretch",
        help="The share of test images that are classified correctly, and the change against the float network "
        "on the same images.",
    )
    some = "all" if after.total == TEST.images else "the first"
    return (
        f"{after.correct:,} of {some} {after.total:,} test images right, 95 % interval {format.interval(low, high)}. "
        f"Float: {before.correct:,} of the same."
    )


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
