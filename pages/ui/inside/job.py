"""Work of a section that takes seconds: it runs beside the page, shows its progress, and can be stopped."""

from collections.abc import Callable
from typing import Protocol, TypeVar

import streamlit as st

from compression.engine.jobs import JobKind, Place
from pages.ui import wording
from pages.ui.compute import jobs
from pages.ui.frame.start_stop import start_or_stop, watch
from pages.ui.frame.warnings import show_notice, without_folders

RUNNING = "look inside"
POLL_SECONDS = 0.5


class JobReading(jobs.JobReading, Protocol):
    """How far the work is, with the time left and a sentence about the server."""

    @property
    def seconds_left(self) -> float | None: ...

    @property
    def notice(self) -> str | None: ...


R = TypeVar("R", bound=JobReading)


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
