"""Work that a session starts and stops: the button, and what is drawn again while it runs."""

from collections.abc import Callable
from typing import Any, TypeVar

import streamlit as st

from compression.engine.jobs import JobKind, Place
from pages.ui.compute import jobs

POLL_SECONDS = 1.0

R = TypeVar("R", bound=jobs.JobReading)


def watch(
    kind: JobKind,
    key: str,
    work: object,
    look: Callable[[bool], R],
    draw: Callable[[R, bool, Place], None],
    seconds: float = POLL_SECONDS,
) -> None:
    """Draws what is known of `work`, and draws it again every so many `seconds` while it runs.

    It runs while the session state has `work` under `key`, which ends when it is done or has failed. `look` returns
    what is known, and with True goes on; `draw` gets that, whether it runs, and its place in the queue of its `kind`.
    """
    running = st.session_state.get(key) == work

    @st.fragment(run_every=seconds if running else None)
    def again() -> None:
        if (st.session_state.get(key) == work) != running:
            st.rerun()
        reading, place = jobs.take_turn(kind, running, look)
        draw(reading, running, place)
        if running and (reading.done or reading.error):
            st.session_state[key] = None
            st.rerun()

    again()


def start_or_stop(name: str, key: str, work: object, running: bool, label: str, **options: Any) -> None:
    """Draws the button. `work` is what the session state has under `key` while it runs, and None otherwise.

    The keys of the button are `name` with "stop" and "start", and `label` is what it says before the start.
    """
    if running:
        text, icon, state = "Stop", ":material/stop:", None
        st.button(text, key=f"{name} stop", icon=icon, on_click=st.session_state.update, args=({key: state},))
    else:
        icon = ":material/play_arrow:"
        st.button(
            label, key=f"{name} start", icon=icon, on_click=st.session_state.update, args=({key: work},), **options
        )
