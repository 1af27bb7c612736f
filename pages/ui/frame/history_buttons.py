"""Undo, redo, reset, copy link, and large text for a projector: the buttons below the menu."""

from collections.abc import Callable

import streamlit as st

from pages.ui.frame import copy_link
from pages.ui.state import session


def draw() -> None:
    """Draws the buttons; one that changes the settings runs the whole page again."""
    here = session.history()
    is_default = here.now == session.defaults(here.now)
    buttons = (
        ("Undo", "Takes the last change of a setting back, as the browser's button Back does", session.undo, here.past),
        ("Redo", "Makes the change again that was taken back last", session.redo, here.future),
        ("Reset", "Gives all settings their defaults; the network and the pins stay", session.reset, not is_default),
    )
    with st.container(horizontal=True, gap="xsmall", vertical_alignment="center"):
        for label, explanation, action, is_possible in buttons:
            st.button(
                label,
                key=label,
                type="tertiary",
                help=explanation,
                disabled=not is_possible,
                on_click=_run_again,
                args=(action,),
            )
        copy_link.draw()
    st.toggle(
        "Presentation",
        help="Large text for a projector, in charts too, and the menu folded. Every chart can fill the screen.",
        **session.bound("present", here.now.present, st.rerun),
    )


def _run_again(action: Callable[[], None]) -> None:
    """Changes the settings and runs the whole page, of which the buttons are only a fragment."""
    action()
    st.rerun()
