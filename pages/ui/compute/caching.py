"""The cache of what is computed for a spec once: shared by all sessions, or a session's own for its uploads."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Generic, ParamSpec, TypeVar

import streamlit as st

from compression.spec import CompressionSpec
from pages.ui.compute import uploads

P = ParamSpec("P")
T = TypeVar("T")
OWN_SHARE = 8  # a session keeps an eighth as many answers for its uploaded networks, at least LEAST_OWN
LEAST_OWN = 2


class Cached(Generic[P, T]):
    """A function whose `most` results used last are kept. Its first argument is a spec or the name of a network.

    What belongs to an uploaded network is kept by its session and ends with it; all else is shared by all sessions.
    """

    def __init__(self, compute: Callable[P, T], most: int) -> None:
        wraps(compute)(self)
        # Streamlit would copy a spec to hash it, which takes a millisecond, and a slider asks for twenty results.
        options: dict[str, Any] = {"max_entries": most, "show_spinner": False, "hash_funcs": {CompressionSpec: repr}}
        self._compute, self._shared = compute, st.cache_resource(**options)(compute)
        self._most_own = max(LEAST_OWN, most // OWN_SHARE)

    def __call__(self, *arguments: P.args, **options: P.kwargs) -> T:
        first = arguments[0]
        name = first.model if isinstance(first, CompressionSpec) else str(first)
        if name not in uploads.own():
            return self._shared(*arguments, **options)
        answers = uploads.answers(f"{self._compute.__module__}.{self._compute.__qualname__}", self._most_own)
        key = name, arguments, tuple(sorted(options.items()))
        return answers.use(key, lambda: self._compute(*arguments, **options))

    def clear(self) -> None:
        """Forgets the results that all sessions share."""
        self._shared.clear()


def shared(most: int) -> Callable[[Callable[P, T]], Cached[P, T]]:
    """Returns a decorator that keeps the `most` results used last."""
    return lambda compute: Cached(compute, most)
