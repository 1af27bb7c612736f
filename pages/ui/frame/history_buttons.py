"""Undo, redo, reset, and copy link: four buttons below the menu."""

from collections.abc import Callable

import streamlit as st

from pages.ui.frame import copy_link
from pages.ui.state import session


def draw() -> None:
    """Draws the buttons; one that changes the settings runs the whole page again."""
    here = session.history()
    is_default = here.now == session.defaults(here.now)
    buttons = (
        ("undo", "Undo", session.undo, not here.past),
        ("redo", "Redo", session.redo, not here.future),
        ("restart_alt", "Reset all settings", session.reset, is_default),
    )
    with st.container(horizontal=True, gap="xsmall", vertical_alignment="center"):
        for icon, words, action, disabled in buttons:
            st.button(
                "",
                key=words,
                icon=f":material/{icon}:",
                help=words,
                disabled=disabled,
                on_click=_run_again,
                args=(action,),
            )
        copy_link.draw()


def _run_again(action: Callable[[], None]) -> None:
    """Changes the settings and runs the whole page, of which the buttons are only a fragment."""
    action()
    st.rerun()
