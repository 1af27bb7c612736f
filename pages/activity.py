"""The page Activity, for whoever runs the server: which jobs run and which wait, without names."""

import streamlit as st

import pages.ui.supported  # noqa: F401
from compression.engine.jobs import QueueEntry
from pages.ui import wording
from pages.ui.compute import jobs
from pages.ui.frame import frame

POLL_SECONDS = 2.0
WORDS = """\
A session is a tab of a browser. It runs one long job at a time; its other jobs wait. The first images that a slider
asks for come before all jobs, so a job that does not advance waits for the sessions with sliders and for other jobs."""


def state(entry: QueueEntry) -> str:
    """Returns whether a job runs, or what it waits for."""
    return wording.capital(wording.outlook(None, entry.place).removeprefix(", ")) or "Running"


@st.fragment(run_every=POLL_SECONDS)
def queue() -> None:
    """Shows the jobs of all sessions, again and again."""
    entries = jobs.queue()
    sessions = len({entry.session for entry in entries})
    st.caption(
        f"{sessions} session{'s' * (sessions != 1)} with {len(entries)} job{'s' * (len(entries) != 1)}."
        if entries
        else "No session asks for anything that takes long."
    )
    if entries:
        st.table(
            {
                "Session": [str(entry.session) for entry in entries],
                "Job": [wording.capital(entry.kind) for entry in entries],
                "Done": [wording.percent(entry.share, 0) for entry in entries],
                "Since": [wording.duration(entry.seconds) for entry in entries],
                "State": [state(entry) for entry in entries],
            },
            border="horizontal",
        )


frame.open_page("Activity")
st.subheader("What is this server computing, and what waits?", anchor=False)
queue()
st.caption(WORDS)
