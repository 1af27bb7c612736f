"""Encodes which weights survive filter or n:m pruning, in less than one bit per weight.

Filter pruning takes one bit per filter: 1 if the filter has any nonzero weight. For n:m pruning, the choice of n
of each m weights has a number, which takes ceil(log2(binomial(m, n))) bits per group; `structures.keep_n_of_m` says
which weights form a group. Weights in no group survive. A surviving weight may still be zero; it has a code like any
other.
"""

import math

import numpy as np
import torch

from compression.files.coding.bits import MOST_BITS, Array, DamagedStream, pack, unpack, width
from compression.pruning.structures import keep_n_of_m

Shape = tuple[int, ...]


def encode_filters(nonzero: Array) -> tuple[bytes, Array]:
    """Encodes which filters survive, as one bit each.

    nonzero (C_out, ...) bool -> the bytes, and the mask of all weights of the surviving filters, bool (C_out, ...).
    """
    filters: Array = np.any(nonzero.reshape(len(nonzero), -1), axis=1)
    return pack(filters, 1), _filter_mask(filters, nonzero.shape)


def decode_filters(encoding: bytes, shape: Shape) -> Array:
    """Returns the mask, bool of `shape`, that `encode_filters` encoded. Raises DamagedStream for other bytes."""
    return _filter_mask(unpack(encoding, shape[0], 1).astype(bool), shape)


def _filter_mask(filters: Array, shape: Shape) -> Array:
    return np.broadcast_to(filters.reshape(-1, *[1] * (len(shape) - 1)), shape)


def encode_choices(nonzero: Array, n: int, m: int) -> tuple[bytes, Array] | None:
    """Encodes which n of each m weights survive, as the number of each choice.

    nonzero (C_out, C_in, ...) bool -> the bytes, and the mask of the surviving weights, bool of the same shape. A group
    with fewer than n nonzero weights is filled up with zero weights. Returns None if a group has more than n nonzero
    weights, or if the number of a choice takes more than MOST_BITS bits.

    The choice of the places p_1 < p_2 < ... < p_n in a group has the number sum_i binomial(p_i, i) (the combinatorial
    number system, Lehmer 1964).
    """
    mask = keep_n_of_m(torch.from_numpy(nonzero).float(), n, m).numpy()
    if (nonzero & ~mask).any() or width(math.comb(m, n)) > MOST_BITS:
        return None
    groups = _groups(mask, m)
    number, chosen_so_far = (np.zeros(len(groups), np.int64) for _ in range(2))
    for place in range(m):
        chosen_so_far += groups[:, place]
        number += groups[:, place] * _first_numbers(place, n, m)[chosen_so_far]
    return pack(number, width(math.comb(m, n))), mask


def decode_choices(encoding: bytes, shape: Shape, n: int, m: int) -> Array:
    """Returns the mask, bool of `shape`, that `encode_choices` encoded. Raises DamagedStream for other bytes."""
    inputs = shape[1] // m * m
    mask = np.ones(shape, bool)
    groups = _groups(mask, m)
    number = unpack(encoding, len(groups), width(math.comb(m, n)))
    if (number >= math.comb(m, n)).any():
        raise DamagedStream
    missing = np.full(len(groups), n)
    for place in reversed(range(m)):
        first = _first_numbers(place, n, m)[missing]
        groups[:, place] = (number >= first) & (missing > 0)
        number -= groups[:, place] * first
        missing -= groups[:, place]
    blocks = np.moveaxis(groups.reshape(shape[0], -1, *shape[2:], m), -1, 2)
    mask[:, :inputs] = blocks.reshape(shape[0], inputs, *shape[2:])
    return mask


def _first_numbers(place: int, n: int, m: int) -> Array:
    """Returns (n + 1,) int64: for each i, the smallest number of a choice whose i-th place is `place`.

    Values are limited to the number of choices, which no number of a choice reaches.
    """
    return np.array([min(math.comb(place, i), math.comb(m, n)) for i in range(n + 1)])


def _groups(mask: Array, m: int) -> Array:
    """Returns a copy of the mask (C_out, C_in, ...) as (groups, m), without the inputs that fill no group."""
    inputs = mask.shape[1] // m * m
    blocks = mask[:, :inputs].reshape(len(mask), inputs // m, m, *mask.shape[2:])
    return np.moveaxis(blocks, 2, -1).reshape(-1, m).copy()
