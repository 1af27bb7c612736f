"""Which weights are left where more than single ones went: told in fewer bits than one a weight.

One bit a filter says whether it is there. Of n of each m weights the number of their choice does, in
ceil(log2(binomial(m, n))) bits (`structures.keep_n_of_m` says which weights are together); a weight that is in no group
is left. What is left may still be zero; it has a code as any other.
"""

import math

import numpy as np
import torch

from compression.files.bits import MOST_BITS, Array, Damaged, pack, unpack, width
from compression.pruning.structures import keep_n_of_m

Shape = tuple[int, ...]


def left_filters(there: Array) -> tuple[bytes, Array]:
    """there (C_out, ...) -> the bytes that say which filters have any weight there, and their weights (C_out, ...)."""
    filters: Array = np.any(there.reshape(len(there), -1), axis=1)
    return pack(filters, 1), _rows(filters, there.shape)


def from_filters(told: bytes, shape: Shape) -> Array:
    """What `left_filters` told -> which weights are left, bool of `shape`. Raises Damaged."""
    return _rows(unpack(told, shape[0], 1).astype(bool), shape)


def _rows(filters: Array, shape: Shape) -> Array:
    return np.broadcast_to(filters.reshape(-1, *[1] * (len(shape) - 1)), shape)


def left_choices(there: Array, n: int, m: int) -> tuple[bytes, Array] | None:
    """there (C_out, C_in, ...) -> the bytes that say which n of each m are left, and these, bool of the same shape.

    None where more than n of some m are there, or their choice has more numbers than are told here.
    The number of a choice of the places p_1 < p_2 < ... is the sum of binomial(p_i, i) (the combinatorial number
    system, Lehmer 1964).
    """
    left = keep_n_of_m(torch.from_numpy(there).float(), n, m).numpy()
    if (there & ~left).any() or width(math.comb(m, n)) > MOST_BITS:
        return None
    groups = _groups(left, m)
    number, before = (np.zeros(len(groups), np.int64) for _ in range(2))
    for place in range(m):
        before += groups[:, place]
        number += groups[:, place] * _first(place, n, m)[before]
    return pack(number, width(math.comb(m, n))), left


def from_choices(told: bytes, shape: Shape, n: int, m: int) -> Array:
    """What `left_choices` told -> which weights are left, bool of `shape`. Raises Damaged."""
    inputs = shape[1] // m * m
    left = np.ones(shape, bool)
    groups = _groups(left, m)
    number = unpack(told, len(groups), width(math.comb(m, n)))
    if (number >= math.comb(m, n)).any():
        raise Damaged
    missing = np.full(len(groups), n)
    for place in reversed(range(m)):
        first = _first(place, n, m)[missing]
        groups[:, place] = (number >= first) & (missing > 0)
        number -= groups[:, place] * first
        missing -= groups[:, place]
    parts = np.moveaxis(groups.reshape(shape[0], -1, *shape[2:], m), -1, 2)
    left[:, :inputs] = parts.reshape(shape[0], inputs, *shape[2:])
    return left


def _first(place: int, n: int, m: int) -> Array:
    """(n + 1,) int64: the first number of a choice whose i-th place is `place`; from the number of choices on, that."""
    return np.array([min(math.comb(place, i), math.comb(m, n)) for i in range(n + 1)])


def _groups(left: Array, m: int) -> Array:
    """(C_out, C_in, ...) -> (groups, m), a copy."""
    inputs = left.shape[1] // m * m
    parts = left[:, :inputs].reshape(len(left), inputs // m, m, *left.shape[2:])
    return np.moveaxis(parts, 2, -1).reshape(-1, m).copy()
