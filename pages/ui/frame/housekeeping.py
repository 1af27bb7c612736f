"""What a server does besides its pages: it starts the workers before somebody waits for them, and gives memory back
while nobody is there, of sessions of closed tabs, of uploads that are too old, and what workers keep.
"""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

from streamlit import runtime

from compression.engine.cluster import engine
from compression.engine.lru_cache import give_memory_back
from compression.engine.workers import use_one_thread
from compression.errors import DataError
from pages.ui.compute import accuracy, compressed, uploads

WARM_UP_SECONDS = 3.0  # after the first page was asked for, which should be drawn first

EVERY_SECONDS = 20.0
IDLE_SECONDS = 60.0


@cache
def start() -> threading.Thread | None:
    """Starts the thread of this server that does all this; nothing outside of a server."""
    if not runtime.exists() or not isinstance(server := runtime.get_instance(), runtime.Runtime):
        return None
    use_one_thread()
    thread = threading.Thread(target=_keep_house, args=(server,), name="housekeeping", daemon=True)
    thread.start()
    return thread


def _keep_house(server: runtime.Runtime) -> None:
    time.sleep(WARM_UP_SECONDS)
    _try(lambda: engine().tend())
    while True:
        time.sleep(EVERY_SECONDS)
        _try(lambda: tidy(server))


def _try(duty: Callable[[], object]) -> None:
    """Does its duty; an error is logged, and the next one is done all the same."""
    try:
        duty()
    except Exception:
        logging.getLogger(__name__).exception("The server could not tidy up, and tries again later")


def tidy(server: runtime.Runtime) -> None:
    """Ends what nobody needs any more, once."""
    uploads.tidy()
    compressed.file_counter().tidy()
    with suppress(DataError):  # without images no accuracy is counted
        accuracy.evaluator().tidy()
    ended = _end_sessions(server)
    if engine().rest(IDLE_SECONDS) or ended:
        give_memory_back()


def _end_sessions(server: Any) -> int:
    """Ends the sessions whose tabs were closed two minutes ago; returns how many.

    Streamlit does it when it asks for the size of its cache of such sessions, and so when the next tab is closed.
    """
    done = threading.Event()
    counts: list[int] = []

    def look() -> None:  # on the thread that changes the cache
        with suppress(AttributeError):  # another version of Streamlit
            closed = server._session_mgr._session_storage._cache
            counts.extend((len(closed._data), len(closed)))
        done.set()

    with suppress(AttributeError, RuntimeError):  # another version, or a server that is stopping
        server._get_async_objs().eventloop.call_soon_threadsafe(look)
        done.wait(1.0)
    return counts[0] - counts[1] if counts else 0
