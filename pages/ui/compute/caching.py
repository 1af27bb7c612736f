"""The cache of what is computed for a spec once and then shared by all sessions."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import streamlit as st

from compression.spec import CompressionSpec

P = ParamSpec("P")
T = TypeVar("T")


def shared(most: int) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Returns a decorator that keeps the `most` results used last.

    Streamlit would copy a spec to hash it, which takes a millisecond, and a slider asks for twenty results.
    """
    return st.cache_resource(max_entries=most, show_spinner=False, hash_funcs={CompressionSpec: repr})
