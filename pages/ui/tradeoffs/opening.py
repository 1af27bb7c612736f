"""The link that opens a spec on the page that shows its settings."""

import streamlit as st

from compression.spec import CompressionSpec
from pages.ui.state import link, session, specs


def link_to(spec: CompressionSpec) -> None:
    """Draws the link; a sentence where the spec has settings that no widget shows."""
    page, label, icon = (
        ("pages/layers.py", "Layers", ":material/layers:") if spec.layers else ("app.py", "Explore", ":material/tune:")
    )
    try:
        parameters = link.parameters(specs.with_spec(session.now(), spec))
    except ValueError as problem:
        st.caption(f"This spec cannot be opened on another page: {problem}.")
        return
    st.page_link(page, label=f"Open in {label}", icon=icon, query_params=parameters)
