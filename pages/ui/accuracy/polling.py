"""What is known of the accuracy of a spec, looked at again and again while images are counted."""

import time
from collections.abc import Callable
from typing import TypeGuard

import streamlit as st

from compression.errors import DataError
from compression.evaluation.reading import Reading
from compression.results.neighbours import Neighbours
from compression.spec import CompressionSpec
from pages.ui.compute import accuracy, images
from pages.ui.frame import frame

PAINT_SECONDS = 0.1
PATIENCE_SECONDS = 0.3
LOOKS = 16  # in place of one, while the first images are counted
STOPPED = "stopped"
AccuracyState = Reading | Neighbours | DataError


def wait_for_painting(reading: AccuracyState) -> None:
    """After a move, the rest of the page is painted before images are counted: that takes the browser's cores."""
    if frame.is_complete() and is_counting(reading):
        time.sleep(PAINT_SECONDS)


def poll(
    read: Callable[[], AccuracyState],
    draw: Callable[[AccuracyState], None],
    least_seconds: float = 0.0,
    first: AccuracyState | None = None,
) -> None:
    """Draws what `read` returns, and draws it again while images are counted.

    It does so in a fragment of its own, so that no slider waits for it. `first`: what to begin with in place of
    `read()`.
    """
    begin = [read() if first is None else first]
    more = is_counting(begin[0])

    @st.fragment(run_every=max(least_seconds, accuracy.poll_seconds()) if more else None)
    def again() -> None:
        reading = begin.pop() if begin else read()
        draw(reading)
        if is_counting(reading) != more:
            st.rerun()

    again()


def look(spec: CompressionSpec, go: bool = True, side: str = "") -> AccuracyState:
    """What is known of `spec` now; where there are no images, what was measured beforehand."""
    dataset = images.test_images()
    if isinstance(dataset, DataError):
        return accuracy.look_beforehand(spec) or dataset
    return accuracy.look(spec, go and not is_stopped(spec), side)


def look_patiently(spec: CompressionSpec) -> AccuracyState:
    """What is known of `spec`; where nothing is counted yet, with some patience: the next look is a while away.

    Each look asks the session's state, where Streamlit ends the run if a slider was moved meanwhile.
    """
    patient_until = time.monotonic() + (PATIENCE_SECONDS if frame.is_complete() else 0)
    while is_counting(reading := look(spec)) and not reading.images and time.monotonic() < patient_until:
        time.sleep(accuracy.poll_seconds() / LOOKS)
    return reading


def is_stopped(spec: CompressionSpec) -> bool:
    """Whether the reader has stopped this count."""
    return st.session_state.get(STOPPED) == spec


def is_counting(reading: AccuracyState) -> TypeGuard[Reading]:
    """Whether there will be more to show."""
    return isinstance(reading, Reading) and not (reading.exact or reading.error or is_stopped(reading.spec))
