"""Gives memory back while nobody is there: sessions of closed tabs, uploads that are too old, what workers keep."""

import threading
import time
from contextlib import suppress
from functools import cache
from typing import Any

from streamlit import runtime

from compression.engine.cluster import engine
from compression.engine.lru_cache import give_memory_back
from compression.errors import DataError
from pages.ui.compute import accuracy, compressed, uploads

EVERY_SECONDS = 20.0
IDLE_SECONDS = 60.0


@cache
def start() -> threading.Thread | None:
    """Starts the thread of this server that tidies up now and then; nothing outside of a server."""
    if not runtime.exists() or not isinstance(server := runtime.get_instance(), runtime.Runtime):
        return None
    thread = threading.Thread(target=_tidy_for_ever, args=(server,), name="housekeeping", daemon=True)
    thread.start()
    return thread


def _tidy_for_ever(server: runtime.Runtime) -> None:
    while True:
        time.sleep(EVERY_SECONDS)
        tidy(server)


def tidy(server: runtime.Runtime) -> None:
    """Ends what nobody needs any more, once."""
    before = _sessions(server)
    uploads.tidy()
    compressed.file_counter().tidy()
    with suppress(DataError):  # without images no accuracy is counted
        accuracy.evaluator().tidy()
    if engine().rest(IDLE_SECONDS) or _sessions(server) < before:
        give_memory_back()


def _sessions(server: Any) -> int:
    """Returns how many sessions are in memory, after those have ended whose tabs were closed two minutes ago.

    Streamlit ends them when it looks at its list, which it does when the next tab is closed.
    """
    found = threading.Event()
    count: list[int] = []

    def look() -> None:  # on the thread that changes the list
        count.append(len(server._session_mgr.list_sessions()))
        found.set()

    with suppress(AttributeError, RuntimeError):  # another version of Streamlit, or a server that is stopping
        server._get_async_objs().eventloop.call_soon_threadsafe(look)
        found.wait(1.0)
    return count[0] if count else 0
