"""Conversion of a quantizer to numbers and back: what a file needs to turn codes into weights again.

    kind       floats, for all groups one after another              whole numbers      weight
    even       all scales; then the zero points, if they are floats  the zero points    (code - zero point) * scale
    codebook   the K values of each group                            none               the value at index `code`
    powers     the largest of the K values of each group, called a   none               -a / 2^k, a / 2^k or zero
    float      the nonzero weights themselves                        none               the number

Scales are quotients, a range of weights divided by the number of steps, and have long mantissas even if the weights
have short ones, as those that were stored as float16. Scales that are a number with a short mantissa (SHORT), divided
by the number of steps or by half of it, are stored as this number and the `divisor`.

A group is a tensor, an output channel, or `group_size` weights of a channel. Zero points are left out if all of them
are zero. The values of `powers` are sorted from -a to a, with k = 0, 1, ..., K // 2 - 1 on either side, and with zero
between them if K is odd. Ternary and binary codebooks are powers with k = 0 alone.
"""

from dataclasses import dataclass
from enum import StrEnum
from itertools import product

import numpy as np
import torch
from torch import Tensor

from compression.files.coding.bits import Array
from compression.files.coding.floats import round_mantissas
from compression.quantization.codebooks import SMALLEST_NORMAL, Codebook
from compression.quantization.quantizers import QParams

SHORT = (7, 10, 13)  # bits of a mantissa: bfloat16, float16, and the difference of two numbers in float16


class QuantizerKind(StrEnum):
    """How the weights of a layer follow from their codes; see the table of this module."""

    EVEN = "even"
    CODEBOOK = "codebook"
    POWERS = "powers"
    FLOAT = "float"


class Zeros(StrEnum):
    """How the zero points of kind EVEN are stored."""

    NONE = "none"
    WHOLES = "wholes"
    FLOATS = "floats"


@dataclass(frozen=True, eq=False)
class Numbers:
    """What turns codes into weights: `floats` (n,) float32, and `wholes` from 0 up; see the table of this module.

    `low` is the smallest code of kind EVEN; whole zero points are counted from it. `group_size` is 0 without groups.
    All `floats` are to be divided by `divisor`, in float32.
    """

    kind: QuantizerKind
    floats: Array
    wholes: tuple[int, ...] = ()
    zeros: Zeros = Zeros.NONE
    low: int = 0
    group_size: int = 0
    divisor: int = 1


def as_numbers(qparams: QParams | Codebook) -> Numbers:
    """Returns the numbers of a quantizer."""
    size = qparams.group_size or 0
    if isinstance(qparams, Codebook):
        if qparams.stored_values == qparams.codes:
            return Numbers(QuantizerKind.CODEBOOK, flat(qparams.values), group_size=size)
        return Numbers(QuantizerKind.POWERS, flat(qparams.values[:, -1]), group_size=size)
    floats, zeros, low = flat(qparams.scale), qparams.zero_point.flatten().numpy(), qparams.low
    divided, divisor = _as_quotients(floats, qparams.codes - 1)
    if not zeros.any():
        return Numbers(QuantizerKind.EVEN, divided, low=low, group_size=size, divisor=divisor)
    if qparams.zero_is_exact and low <= zeros.min() and zeros.max() <= qparams.high:
        return Numbers(QuantizerKind.EVEN, divided, tuple((zeros - low).tolist()), Zeros.WHOLES, low, size, divisor)
    both = np.concatenate([floats, zeros.astype(np.float32)])
    return Numbers(QuantizerKind.EVEN, both, (), Zeros.FLOATS, low, size)


def _as_quotients(scales: Array, steps: int) -> tuple[Array, int]:
    """Returns numbers and a divisor such that dividing, in float32, gives the scales (n,) exactly."""
    for bits, divisor in product(SHORT, (steps, steps // 2)):
        if divisor > 1:
            numbers = round_mantissas(scales * np.float32(divisor), bits)
            if np.array_equal(numbers / np.float32(divisor), scales):
                return numbers, divisor
    return scales, 1


def from_numbers(numbers: Numbers, codes: int, dimensions: int) -> QParams | Codebook:
    """Returns the quantizer with `codes` codes that `as_numbers` wrote, for a weight with `dimensions` dimensions.

    The result can `dequantize` but not quantize: a file does not hold the bounds between the values of a codebook.
    """
    floats = torch.from_numpy(numbers.floats / np.float32(numbers.divisor))
    size = numbers.group_size or None
    if numbers.kind is not QuantizerKind.EVEN:
        is_book = numbers.kind is QuantizerKind.CODEBOOK
        book = floats.view(-1, codes) if is_book else _powers(floats[:, None], codes)
        return Codebook(book, book.new_empty(len(book), 0), book.shape[1], size)
    groups = len(floats) // (1 + (numbers.zeros is Zeros.FLOATS))
    shape = (-1, 1) if size else (-1, *[1] * (dimensions - 1)) if groups > 1 else ()
    zero_point = torch.zeros(groups, dtype=torch.int32)
    if numbers.zeros is Zeros.WHOLES:
        zero_point = torch.tensor(numbers.wholes, dtype=torch.int32) + numbers.low
    elif numbers.zeros is Zeros.FLOATS:
        zero_point = floats[groups:]
    scale = floats[:groups]
    return QParams(scale.view(shape), zero_point.view(shape), numbers.low, numbers.low + codes - 1, size)


def _powers(largest: Tensor, codes: int) -> Tensor:
    """largest (groups, 1) -> the values (groups, codes); subnormal ones are zero, as in the codebook itself."""
    steps = largest * torch.arange(0.0, -(codes // 2), -1).exp2()
    steps = torch.where(steps < SMALLEST_NORMAL, 0.0, steps)
    return torch.cat([-steps, torch.zeros(len(largest), codes % 2), steps.flip(1)], 1)


def flat(numbers: Tensor) -> Array:
    """Returns `numbers`, of any shape, as float32 (n,)."""
    return numbers.flatten().numpy().astype(np.float32)
