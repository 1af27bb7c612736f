"""spec/checks.py"""

from enum import StrEnum
from typing import TypeVar

E = TypeVar("E", bound=StrEnum)

FLOAT_BITS = 32

MIN_BITS, MAX_BITS = 2, 16


def member(enum: type[E], value: str) -> E:
    try:
        return enum(value)
    except ValueError:
        names = ", ".join(enum)
        raise ValueError(f"{enum.__name__.lower()} must be one of {names}, got {value!r}") from None


def fraction(sparsity: float) -> float:
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparsity must be in 0..1, got {sparsity}")
    return float(sparsity)
