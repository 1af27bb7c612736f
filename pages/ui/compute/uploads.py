"""Uploaded networks: those of a browser session, and for some time after it those whose address the reader has.

The name of an uploaded network has a part of the hash of its content, so nobody can guess it without the file.
"""

import time

import streamlit as st

from compression.networks.model import FloatModel

KEPT_SECONDS = 3600
MOST_KEPT = 16
MOST_KEPT_PARAMETERS = 50_000_000  # 200 MB of float32


def own() -> dict[str, FloatModel]:
    """Returns the networks of this browser session, by name. No other session sees them."""
    return st.session_state.setdefault("mine", {})


def keep(model: FloatModel) -> None:
    """Puts a network into this session, and keeps it for a reload of the page."""
    own()[model.name] = model
    _shelf()[model.name] = time.monotonic(), model
    _tidy()


def adopt(name: str) -> bool:
    """Puts the kept network `name` into this session; returns whether there is one."""
    _tidy()
    if name not in _shelf():
        return False
    keep(_shelf()[name][1])
    return True


def forget(name: str) -> None:
    """Deletes the network `name`."""
    own().pop(name, None)
    _shelf().pop(name, None)


@st.cache_resource(show_spinner=False)
def _shelf() -> dict[str, tuple[float, FloatModel]]:
    """Returns the networks of all sessions with the time of their last arrival, in seconds, the oldest first."""
    return {}


def _tidy() -> None:
    """Forgets what is too old or too much."""
    shelf = _shelf()
    ordered = sorted(shelf, key=lambda name: shelf[name][0], reverse=True)
    parameters = 0
    for place, name in enumerate(ordered):
        arrived, model = shelf[name]
        parameters += model.parameters
        if place >= MOST_KEPT or parameters > MOST_KEPT_PARAMETERS or time.monotonic() - arrived > KEPT_SECONDS:
            del shelf[name]
