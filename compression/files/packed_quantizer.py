"""The numbers of a quantizer as bytes: what a file must hold so that codes are values again.

    kind       numbers, one group after another                     a weight is
    even       all scales; then all zero points, if one is not 0    (code - zero point) * scale
    codebook   a list of K values a group                           the value of its code
    powers     the largest of K values a group, a                   a / 2^k, its negative or, where K is odd, zero

All are float32, but for whole zero points, which take one or two bytes. Ternary and binary codebooks are powers of
which k = 0 is the only one. All bytes are little-endian.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import numpy as np
import torch
from torch import Tensor

from compression.quantization.codebooks import SMALLEST_NORMAL, Codebook
from compression.quantization.quantizers import QParams

FLOAT32 = np.dtype("<f4")


class Kind(StrEnum):
    """What a layer's values are the values of."""

    EVEN = "even"
    CODEBOOK = "codebook"
    POWERS = "powers"
    FLOAT = "float"  # no codes: the weights themselves


def written(qparams: QParams | Codebook) -> tuple[Kind, bytes, dict[str, Any]]:
    """The kind of a quantizer, its numbers, and what else must be known to read them."""
    about: dict[str, Any] = {"group_size": qparams.group_size} if qparams.group_size else {}
    if isinstance(qparams, Codebook):
        if qparams.stored_values == qparams.codes:
            return Kind.CODEBOOK, as_bytes(qparams.values), about
        return Kind.POWERS, as_bytes(qparams.values[:, -1]), about
    about["low"] = qparams.low
    if not qparams.zero_point.any():
        return Kind.EVEN, as_bytes(qparams.scale), about
    whole = np.dtype("u1" if qparams.codes <= 256 else "<u2")
    about["zero_point"] = (whole if qparams.zero_is_exact else FLOAT32).str
    return Kind.EVEN, as_bytes(qparams.scale) + as_bytes(qparams.zero_point, about["zero_point"]), about


def read(kind: Kind, numbers: bytes, codes: int, dimensions: int, about: Mapping[str, Any]) -> QParams | Codebook:
    """What was `written` of a quantizer with so many `codes`, for a weight of so many dimensions.

    It can `dequantize`; the bounds of a codebook are not in a file.
    """
    group_size = about.get("group_size")
    if kind is not Kind.EVEN:
        values = floats(numbers)
        book = values.view(-1, codes) if kind is Kind.CODEBOOK else _powers(values[:, None], codes)
        return Codebook(book, book.new_empty(len(book), 0), book.shape[1], group_size)
    zero = np.dtype(about.get("zero_point", "V0"))
    groups = len(numbers) // (FLOAT32.itemsize + zero.itemsize)
    shape = (-1, 1) if group_size else (-1, *[1] * (dimensions - 1)) if groups > 1 else ()
    scales, zeros = numbers[: FLOAT32.itemsize * groups], numbers[FLOAT32.itemsize * groups :]
    zero_point = torch.zeros(groups, dtype=torch.int32)
    if zero.itemsize:
        found = np.frombuffer(zeros, zero)
        zero_point = torch.from_numpy(found.astype(np.float32 if zero == FLOAT32 else np.int32))
    low = about["low"]
    return QParams(floats(scales).view(shape), zero_point.view(shape), low, low + codes - 1, group_size)


def _powers(largest: Tensor, codes: int) -> Tensor:
    """largest (groups, 1) -> the values (groups, codes); subnormal ones are zero, as in the codebook itself."""
    steps = largest * torch.arange(0.0, -(codes // 2), -1).exp2()
    steps = torch.where(steps < SMALLEST_NORMAL, 0.0, steps)
    return torch.cat([-steps, torch.zeros(len(largest), codes % 2), steps.flip(1)], 1)


def as_bytes(numbers: Tensor, kind: str = FLOAT32.str) -> bytes:
    """numbers, of any shape, as they stand in memory or as whole numbers of another kind."""
    return numbers.numpy().astype(kind).tobytes()


def floats(values: bytes) -> Tensor:
    """float32 numbers (n,) that `as_bytes` wrote."""
    return torch.from_numpy(np.frombuffer(values, FLOAT32).astype(np.float32))
