"""The queue of long jobs, which all sessions share."""

import uuid

import streamlit as st

from compression.engine.jobs import JobKind, Jobs, Place, QueueEntry


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


def queue() -> tuple[QueueEntry, ...]:
    """Returns the jobs of all sessions, without names."""
    return _jobs().queue()
