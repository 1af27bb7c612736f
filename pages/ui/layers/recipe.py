"""A recipe: all settings of this page as a file, which can be opened again."""

from functools import partial

import streamlit as st

from compression.spec.recipe import MOST_CHARACTERS, from_json
from pages.ui import wording
from pages.ui.compute import networks
from pages.ui.settings import selection
from pages.ui.state import arrival, session, specs


def draw(model: str) -> None:
    """Draws the buttons below the table."""
    with st.container(horizontal=True, gap="small"):
        st.download_button(
            "Save recipe",
            selection.spec(model).to_json(),
            f"{model}.json",
            "application/json",
            icon=":material/download:",
            help="All settings of this page as JSON. The link of this page holds the same settings.",
        )
        with st.popover("Open", icon=":material/upload:", help="Opens a recipe file"):
            _open()
        if session.now().layers:
            icon, reset = ":material/restart_alt:", partial(session.change, layers="")
            st.button("Reset all layers", key="alike", icon=icon, on_click=reset)


def _open() -> None:
    file = st.file_uploader("Recipe file", type="json", max_upload_size=1, key="recipe")
    if file is None:
        return
    try:
        spec = from_json(file.getvalue()[: MOST_CHARACTERS + 1].decode("utf-8"))
        if spec.model not in networks.names():
            raise ValueError(f"it is for the network {spec.model[:40]!r}, which is not available here")
        settings = specs.with_spec(session.now(), spec)
        if unknown := arrival.unknown_layers(settings):
            raise ValueError(f"{spec.model} has no layer {unknown[0][:40]!r}")
    except UnicodeDecodeError:
        st.error("Not a recipe: the file is not text.", icon=":material/broken_image:")
        return
    except ValueError as error:
        st.error(f"Not a usable recipe: {error}.", icon=":material/broken_image:")
        return
    st.caption(f"{wording.capital(spec.model)}, {len(spec.layers)} layers with their own settings.")
    st.button("Use these settings", key="use recipe", icon=":material/check:", on_click=session.step, args=(settings,))
