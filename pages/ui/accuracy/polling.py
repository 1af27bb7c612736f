"""Reads what is known about the accuracy of a spec, again and again while images are counted."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeGuard

import streamlit as st

from compression.errors import DataError
from compression.evaluation.reading import Reading
from compression.results.neighbours import Neighbours
from compression.spec import CompressionSpec
from pages.ui.compute import accuracy, images, recovery
from pages.ui.frame import frame

PAINT_SECONDS = 0.1
PATIENCE_SECONDS = 0.6
PATIENCE_SHARE = 1 / 3  # of the time between two polls, if that is longer
LOOKS = 16  # in the time of one, while the first images are counted
STOPPED = "stopped"
AccuracyState = Reading | Neighbours | DataError


def wait_for_painting() -> None:
    """Gives the browser time to paint what a move has changed so far, before something else takes the same cores."""
    if frame.is_complete():
        time.sleep(PAINT_SECONDS)


def wait_before_counting(reading: AccuracyState) -> None:
    """Gives the browser time to paint the rest of the page if images are counted next."""
    if is_counting(reading):
        wait_for_painting()


def poll(
    read: Callable[[], AccuracyState],
    draw: Callable[[AccuracyState], None],
    least_seconds: float = 0.0,
    first: AccuracyState | None = None,
    has_buttons: bool = False,
) -> None:
    """Draws what `read` returns, and draws it again while images are counted.

    It does so in a fragment of its own, so that no slider waits for it. `first`, where given, is drawn first in place
    of `read()`.

    What is final is drawn by the caller's fragment: the browser dims what a fragment of this run has drawn before, and
    does not know that the fragment inside belongs to it. If `draw` has buttons, they need the fragment of their own,
    because a click runs only that one and the others have to follow.
    """
    begin = [read() if first is None else first]
    more = is_counting(begin[0])
    if not (more or has_buttons):
        draw(begin[0])
        return

    @st.fragment(run_every=max(least_seconds, accuracy.poll_seconds()) if more else None)
    def again() -> None:
        reading = begin.pop() if begin else read()
        draw(reading)
        if is_counting(reading) != more:
            st.rerun()

    again()


@dataclass(frozen=True, eq=False)
class StandIn(Reading):
    """The reading of a network that is shown until the first images of the right one are counted."""


def look(spec: CompressionSpec, go: bool = True, side: str = "") -> AccuracyState:
    """Returns what is known about the accuracy of `spec`; without test images, what was measured beforehand.

    Until workers have the network of a spec that takes long, this is that of the same spec without the slow steps.
    """
    dataset = images.test_images()
    if isinstance(dataset, DataError):
        return accuracy.look_beforehand(spec) or dataset
    goes = go and not is_stopped(spec)
    reading = accuracy.look(spec, goes, side)
    if reading.images or reading.error or not spec.recovers:
        return reading
    return StandIn(**vars(accuracy.look(recovery.without(spec), goes, f"{side} stand-in")))


def look_patiently(spec: CompressionSpec) -> AccuracyState:
    """Returns what is known about the accuracy of `spec`, and waits a little for the first images to be counted.

    The next poll comes only after a while. Each look reads the session state, which is where Streamlit ends this run
    if a slider has been moved in the meantime.
    """
    began = time.monotonic()
    while is_counting(reading := look(spec)) and not reading.images and frame.is_complete():
        seconds = accuracy.poll_seconds()
        if time.monotonic() - began > max(PATIENCE_SECONDS, PATIENCE_SHARE * seconds):
            break
        time.sleep(seconds / LOOKS)
    return reading


def is_stopped(spec: CompressionSpec) -> bool:
    """Returns whether the reader has stopped this count."""
    return st.session_state.get(STOPPED) == spec


def is_counting(reading: AccuracyState) -> TypeGuard[Reading]:
    """Returns whether more images will be counted."""
    if isinstance(reading, StandIn):
        return not reading.error
    return isinstance(reading, Reading) and not (reading.exact or reading.error or is_stopped(reading.spec))
