"""How a page begins: it obeys the browser's address where the reader has gone to it."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from compression.spec.recipe import from_link
from pages.ui.compute import networks, uploads
from pages.ui.state import link, session
from pages.ui.state.link import Rejected
from pages.ui.state.value import Settings

NOT_HERE = (
    "there is no such network now: public ones must be downloaded, recovered ones may have been deleted, and uploaded "
    "ones are kept for an hour"
)


def arrive(page: str) -> tuple[Rejected, ...]:
    """Makes the settings those of the address if the reader has gone to it; returns what cannot be used.

    That is so when the session begins, by a link to another page, and by the buttons Back and Forward. Otherwise the
    address follows the settings. Call it at the beginning of every run of a page, before any widget is drawn.
    """
    context = get_script_run_ctx()
    travelled = context is not None and context.is_history_navigation
    begins, changes = session.HISTORY not in st.session_state, st.session_state.get(session.PAGE) != page
    st.session_state[session.PAGE] = page
    said = {key: st.query_params.get_all(key) for key in st.query_params}
    if not (begins or travelled or (changes and not _is_behind(said))):
        return ()
    settings, rejected = link.read(said)
    settings, more = _available(settings)
    if begins:
        session.history().now = settings
    else:
        session.go_to(settings)
    return rejected + more


def _is_behind(said: Mapping[str, Sequence[str]]) -> bool:
    """Returns whether a link of the menu was clicked before it had the last change, of which a drag makes many."""
    here = session.history()
    soon = time.monotonic() - here.changed_at < session.ONE_STEP_SECONDS
    return soon and link.read(said)[0] in here.left


def _available(settings: Settings) -> tuple[Settings, tuple[Rejected, ...]]:
    """Returns the settings with a network and layers that there are, and what was replaced."""
    rejected: list[Rejected] = []
    if settings.model not in networks.names() and not uploads.adopt(settings.model):
        rejected.append(Rejected("model", settings.model, True, NOT_HERE))
        settings = replace(settings, model=link.DEFAULTS.model, layers="")
    unknown = unknown_layers(settings)
    if unknown:
        reason = f"{settings.model} has no layer {unknown[0]!r}"
        rejected.append(Rejected("layers", settings.layers, True, reason))
        settings = replace(settings, layers="")
    return settings, tuple(rejected)


def unknown_layers(settings: Settings) -> list[str]:
    """Returns the names of layers with settings of their own that the network does not have."""
    known = networks.layer_macs(settings.model)
    return [layer.name for layer in from_link(settings.layers) if layer.name not in known]
