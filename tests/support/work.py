"""Work for the engine's workers. It imports nothing large, so that a worker that is started for it starts quickly."""

import os
import signal
import threading
import time
from pathlib import Path

from compression import paths
from compression.engine.lru_cache import LruCache


def write_down(path: str, word: str, pause: float = 0.0) -> str:
    """Appends `word` to the file `path`, waits `pause` seconds, and returns `word`."""
    with open(path, "a") as file:
        file.write(f"{word}\n")
    time.sleep(pause)
    return word


def square(number: int, pause: float = 0.0) -> int:
    """Returns the square of `number` after `pause` seconds."""
    time.sleep(pause)
    return number**2


def stand_still_after(seconds: float) -> str:
    """Returns a word; `seconds` later the process of this worker stands still until SIGCONT is sent to it."""
    threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGSTOP)).start()
    return "done"


def need(path: str) -> str:
    """Returns the text of the file `path`. Raises ValueError where there is none."""
    if not os.path.exists(path):
        raise ValueError("there are no images here")
    return Path(path).read_text()


def shared_length(value: bytes) -> int:
    """Returns the length of `value`."""
    return len(value)


def keep(value: int) -> int:
    """Puts `value` into a cache of this worker; returns how many values that has."""
    cache = vars(paths).setdefault("kept_for_tests", LruCache())
    cache.put(value, value)
    return len(cache)
