"""The cache of what is computed for a spec once: shared by all sessions, or a session's own for its uploads.

What a slider waits for, sessions compute one after the other. Many threads at once take the interpreter's lock from
each other at every operation of torch, and thirty students then wait several times as long. What takes seconds waits
for nobody, and nobody for it.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, Generic, ParamSpec, TypeVar

import streamlit as st

from compression.spec import CompressionSpec
from pages.ui.compute import uploads

P = ParamSpec("P")
T = TypeVar("T")
OWN_SHARE = 8  # a session keeps an eighth as many answers for its uploaded networks, at least LEAST_OWN
LEAST_OWN = 2
MOST_WAIT_SECONDS = 2.0  # for one's turn, while somebody computes what takes long

_turn = threading.Lock()
_mine = threading.local()


@contextmanager
def turn() -> Iterator[None]:
    """Waits for its turn among the threads that compute, but no longer than MOST_WAIT_SECONDS."""
    _mine.turn = _turn.acquire(timeout=MOST_WAIT_SECONDS)
    try:
        yield
    finally:
        _give_up()


@contextmanager
def without_turn() -> Iterator[None]:
    """Lets others compute while this thread may wait for what one of them computes."""
    had = _give_up()
    try:
        yield
    finally:
        if had:
            _mine.turn = _turn.acquire(timeout=MOST_WAIT_SECONDS)


def _give_up() -> bool:
    """Ends the turn of this thread; returns whether it had one."""
    had = getattr(_mine, "turn", False)
    if had:
        _mine.turn = False
        _turn.release()
    return had


class Cached(Generic[P, T]):
    """A function whose `most` results used last are kept. Its first argument is a spec or the name of a network.

    What belongs to an uploaded network is kept by its session and ends with it; all else is shared by all sessions.
    """

    def __init__(self, compute: Callable[P, T], most: int, quick: bool) -> None:
        """`quick`: whether `compute` takes less than half a second, unless its spec says that it takes seconds."""
        wraps(compute)(self)

        @wraps(compute)
        def in_turn(*arguments: P.args, **options: P.kwargs) -> T:
            first = arguments[0]
            if not quick or (isinstance(first, CompressionSpec) and first.takes_seconds):
                return compute(*arguments, **options)
            with turn():
                return compute(*arguments, **options)

        # Streamlit would copy a spec to hash it, which takes a millisecond, and a slider asks for twenty results.
        options: dict[str, Any] = {"max_entries": most, "show_spinner": False, "hash_funcs": {CompressionSpec: repr}}
        self._compute, self._shared = in_turn, st.cache_resource(**options)(in_turn)
        self._most_own = max(LEAST_OWN, most // OWN_SHARE)

    def __call__(self, *arguments: P.args, **options: P.kwargs) -> T:
        first = arguments[0]
        name = first.model if isinstance(first, CompressionSpec) else str(first)
        with without_turn():
            if name not in uploads.own():
                return self._shared(*arguments, **options)
            answers = uploads.answers(f"{self._compute.__module__}.{self._compute.__qualname__}", self._most_own)
            key = name, arguments, tuple(sorted(options.items()))
            return answers.use(key, lambda: self._compute(*arguments, **options))

    def clear(self) -> None:
        """Forgets the results that all sessions share."""
        self._shared.clear()


def shared(most: int, quick: bool = False) -> Callable[[Callable[P, T]], Cached[P, T]]:
    """Returns a decorator that keeps the `most` results used last. `quick`: a slider waits for them."""
    return lambda compute: Cached(compute, most, quick)
