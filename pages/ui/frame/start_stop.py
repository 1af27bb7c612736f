"""The button that starts work which the session looks at again and again, or stops it."""

from typing import Any

import streamlit as st


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
