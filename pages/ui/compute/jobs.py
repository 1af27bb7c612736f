"""The queue of long jobs, which all sessions share."""

import uuid
from collections.abc import Callable
from typing import Protocol, TypeVar

import streamlit as st

from compression.engine.jobs import JobKind, Jobs, Place, QueueEntry


class JobReading(Protocol):
    """How far a job is: `share` (0..1) is done, and `error` says what ended it, if something did."""

    @property
    def done(self) -> bool: ...

    @property
    def error(self) -> str | None: ...

    @property
    def share(self) -> float: ...


R = TypeVar("R", bound=JobReading)


@st.cache_resource(show_spinner=False)
def _jobs() -> Jobs:
    return Jobs()


def session_name() -> str:
    """Returns a name for this session that no other one has."""
    return st.session_state.setdefault("who", uuid.uuid4().hex)


def look(kind: JobKind, going: bool = True, share: float | None = None) -> Place:
    """Returns the place of the job of this session, of which `share` (0..1) is done; ends it if it is not `going`."""
    if going:
        return _jobs().look(session_name(), kind, share)
    _jobs().end(session_name(), kind)
    return Place()


def take_turn(kind: JobKind, going: bool, work: Callable[[bool], R]) -> tuple[R, Place]:
    """Returns what `work` returns, called with whether it may go on, and the place of this job after that.

    It may if the job is `going` and its turn has come.
    """
    reading = work(going and look(kind, going).runs)
    return reading, look(kind, going and not (reading.done or reading.error), reading.share)


def queue() -> tuple[QueueEntry, ...]:
    """Returns the jobs of all sessions, without names."""
    return _jobs().queue()
