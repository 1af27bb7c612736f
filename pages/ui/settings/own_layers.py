"""A line that says how many layers have settings of their own, on every page but Layers, which shows them."""

import streamlit as st

from compression.spec.recipe import from_link
from pages.ui.state import link, session


def draw() -> None:
    """Shows the line, with a link to the table and a button that makes all layers alike; nothing if they are."""
    count = len(from_link(session.now().layers))
    if not count:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        label = f"{count} layer{'s have' if count > 1 else ' has'} own settings"
        st.page_link(
            "pages/layers.py", label=label, icon=":material/layers:", query_params=link.parameters(session.now())
        )
        st.button(
            "Reset",
            key="alike",
            icon=":material/restart_alt:",
            help="Gives all layers the settings of the network",
            on_click=lambda: session.change(layers=""),
        )
