"""A recipe: all that is set on this page, as a file to take along and to open again."""

from functools import partial
from urllib.parse import urlencode

import streamlit as st

from compression.spec.recipe import MOST_CHARACTERS, from_json
from pages.ui import wording
from pages.ui.compute import networks
from pages.ui.layers import state
from pages.ui.settings import selection


def draw(model: str) -> None:
    """Buttons below the table."""
    with st.container(horizontal=True, gap="small"):
        st.download_button(
            "Recipe",
            state.spec(model).to_json(),
            f"{model}.json",
            "application/json",
            icon=":material/download:",
            help="All that is set here, as JSON. The link of this page says the same.",
        )
        with st.popover("Open", icon=":material/upload:"):
            _open()
        if state.layer_specs():
            icon, reset = ":material/restart_alt:", partial(state.reset, model, ())
            st.button("All alike", key="alike", icon=icon, on_click=reset)


def _open() -> None:
    file = st.file_uploader("A recipe", type="json", max_upload_size=1, key="recipe")
    if file is None:
        return
    try:
        spec = from_json(file.getvalue()[: MOST_CHARACTERS + 1].decode("utf-8"))
        if spec.model not in networks.names():
            raise ValueError(f"it is for the network {spec.model[:40]!r}, which is not here")
        state.check(spec.model, spec.layers)
    except UnicodeDecodeError:
        st.error("Not taken: this is no text.", icon=":material/broken_image:")
        return
    except ValueError as error:
        st.error(f"Not taken: {error}.", icon=":material/broken_image:")
        return
    st.caption(f"{wording.capital(spec.model)}, {len(spec.layers)} layers with settings of their own.")
    st.link_button("Open it in a new tab", f"?{urlencode(selection.as_link(spec))}", icon=":material/open_in_new:")
