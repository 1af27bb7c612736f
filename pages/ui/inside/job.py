"""Work of a section that takes seconds: it runs beside the page, shows its progress, and can be stopped."""

from collections.abc import Callable
from functools import partial
from typing import Protocol, TypeVar

import streamlit as st

from compression.engine.jobs import JobKind, Place
from compression.errors import DataError
from compression.spec import CompressionSpec
from pages.ui import wording
from pages.ui.accuracy import missing_images
from pages.ui.compute import images, inside, jobs
from pages.ui.frame.start_stop import start_or_stop, watch
from pages.ui.frame.warnings import show_notice, without_folders
from pages.ui.state import session
from pages.ui.state.link import MANY_IMAGES

RUNNING = "look inside"
POLL_SECONDS = 0.5
IMAGES_HELP = "The first test images in canonical order, which is a random one. More images take longer."


class JobReading(jobs.JobReading, Protocol):
    """How far the work is, with the time left and a sentence about the server."""

    @property
    def seconds_left(self) -> float | None: ...

    @property
    def notice(self) -> str | None: ...


R = TypeVar("R", bound=JobReading)
Look = Callable[[CompressionSpec, int, bool], R]
Show = Callable[[CompressionSpec, int, R], None]


def draw(name: str, work: object, look: Callable[[bool], R], show: Callable[[R], None], words: str) -> None:
    """Draws the button that starts or stops `work`, its progress, and with `show` what is known of it.

    `look` returns what is known, and with True goes on with it. `words` says what the work is.
    """

    def draw_reading(reading: R, running: bool, place: Place) -> None:
        if not reading.done:
            with st.container(horizontal=True, vertical_alignment="center"):
                if reading.error:
                    st.warning(f"The work stopped: {without_folders(reading.error)}.", icon=":material/error:")
                else:
                    far = f"{wording.percent(reading.share, 0)} done{wording.outlook(reading.seconds_left, place)}"
                    st.progress(min(reading.share, 1.0), far if running or reading.share else words)
                start_or_stop(name, RUNNING, (name, work), running, "Resume" if reading.share else "Start")
        show(reading)
        show_notice(reading.notice)

    watch(JobKind.INSPECTION, RUNNING, (name, work), look, draw_reading, POLL_SECONDS)


def draw_on_images(name: str, spec: CompressionSpec, look: Look[R], show: Show[R], words: str) -> None:
    """Draws work on as many test images as the reader picks, or why there can be none; see `draw_counted`."""
    dataset = images.test_images()
    if isinstance(dataset, DataError):
        missing_images.explain(dataset)
    elif inside.is_pending(spec):
        st.caption("The network is still being recovered.")
    else:
        draw_counted(name, spec, look, show, words)


def draw_counted(name: str, spec: CompressionSpec, look: Look[R], show: Show[R], words: str) -> None:
    """Draws work on as many test images as the reader picks.

    `look` and `show` are those of `draw`, with the spec and the number of images before their argument.
    """
    count = st.segmented_control(
        "Test images",
        MANY_IMAGES,
        format_func="{:,}".format,
        required=True,
        help=IMAGES_HELP,
        **session.bound("images", session.now().images, st.rerun),
    )
    draw(name, (spec, count), partial(look, spec, count), partial(show, spec, count), words)
