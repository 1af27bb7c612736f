"""Uploaded networks: those of a browser session, and for some time after it those whose address the reader has.

The name of an uploaded network has a part of the hash of its content, so nobody can guess it without the file.
"""

import time
from typing import Any

import streamlit as st

from compression.engine.lru_cache import LruCache
from compression.networks.model import FloatModel

ANSWERS = "answers of uploads"  # in the session: what was computed of its networks
KEPT_SECONDS = 3600
MOST_KEPT = 16
MOST_KEPT_PARAMETERS = 30_000_000  # 120 MB of float32
MOST_OF_ONE_SESSION = 4


def own() -> dict[str, FloatModel]:
    """Returns the networks of this browser session, by name. No other session sees them."""
    return st.session_state.setdefault("mine", {})


def answers(function: str, most: int) -> LruCache[Any, Any]:
    """Returns what this session has computed by `function` of its networks: the `most` answers used last."""
    caches: dict[str, LruCache[Any, Any]] = st.session_state.setdefault(ANSWERS, {})
    return caches.setdefault(function, LruCache(most))


def keep(model: FloatModel, spared: str = "") -> None:
    """Puts a network into this session, and keeps it for a reload of the page.

    If the session is full, its oldest network goes, but not the one called `spared`.
    """
    mine = own()
    while len(mine) >= MOST_OF_ONE_SESSION and model.name not in mine:
        del mine[next(name for name in mine if name != spared)]
        st.session_state.pop(ANSWERS, None)
    mine[model.name] = model
    _shelf()[model.name] = time.monotonic(), model
    tidy()


def adopt(name: str) -> bool:
    """Puts the kept network `name` into this session; returns whether there is one."""
    tidy()
    if name not in _shelf():
        return False
    keep(_shelf()[name][1])
    return True


def forget(name: str) -> None:
    """Deletes the network `name`."""
    own().pop(name, None)
    st.session_state.pop(ANSWERS, None)
    _shelf().pop(name, None)


@st.cache_resource(show_spinner=False)
def _shelf() -> dict[str, tuple[float, FloatModel]]:
    """Returns the networks of all sessions with the time of their last arrival, in seconds, the oldest first."""
    return {}


def tidy() -> None:
    """Forgets what is too old or too much."""
    shelf = _shelf()
    ordered = sorted(shelf, key=lambda name: shelf[name][0], reverse=True)
    parameters = 0
    for place, name in enumerate(ordered):
        arrived, model = shelf[name]
        parameters += model.parameters
        if place >= MOST_KEPT or parameters > MOST_KEPT_PARAMETERS or time.monotonic() - arrived > KEPT_SECONDS:
            del shelf[name]
