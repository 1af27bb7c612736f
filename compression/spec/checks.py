"""Checks that several specs share, and the limits of bit widths."""

from enum import StrEnum
from typing import TypeVar

E = TypeVar("E", bound=StrEnum)

FLOAT_BITS = 32  # bits per weight of a layer that stays in float

MIN_BITS, MAX_BITS = 2, 16


def member(enum: type[E], value: str) -> E:
    """Returns the member of `enum` with this value. Raises ValueError with the possible values if there is none."""
    try:
        return enum(value)
    except ValueError:
        names = ", ".join(enum)
        raise ValueError(f"{enum.__name__.lower()} must be one of {names}, got {value!r}") from None


def fraction(sparsity: float) -> float:
    """Returns `sparsity` as a float. Raises ValueError unless it is in 0..1."""
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparsity must be in 0..1, got {sparsity}")
    return float(sparsity)
