"""Conversion of a quantizer's numbers to bytes and back: what a file needs to turn codes into weights again.

    kind       numbers, for all groups one after another                     weight
    even       all scales; then all zero points, unless all are zero         (code - zero point) * scale
    codebook   the K values of each group                                    the value at index `code`
    powers     the largest of the K values of each group, called a           -a / 2^k, a / 2^k or, if K is odd, zero
    float      the nonzero weights themselves; there are no codes            the number

A group is a tensor, an output channel, or `group_size` weights of a channel. Numbers are float32, except integer zero
points, which take one byte for at most 256 codes and two bytes for more. The values of `powers` are sorted from -a to
a, with k = 0, 1, ..., K // 2 - 1 on either side. Ternary and binary codebooks are powers with k = 0 alone. All bytes
are little-endian.
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


class QuantizerKind(StrEnum):
    """How the weights of a layer follow from their codes; see the table of this module."""

    EVEN = "even"
    CODEBOOK = "codebook"
    POWERS = "powers"
    FLOAT = "float"


def as_numbers(qparams: QParams | Codebook) -> tuple[QuantizerKind, bytes, dict[str, Any]]:
    """Returns the kind of a quantizer, the bytes of its numbers, and the header fields that a reader also needs.

    Fields: `group_size` for quantization per group; of kind EVEN, `low`, the smallest code, and `zero_point`, the NumPy
    type of the zero points, which is missing if all of them are zero.
    """
    fields: dict[str, Any] = {"group_size": qparams.group_size} if qparams.group_size else {}
    if isinstance(qparams, Codebook):
        if qparams.stored_values == qparams.codes:
            return QuantizerKind.CODEBOOK, as_bytes(qparams.values), fields
        return QuantizerKind.POWERS, as_bytes(qparams.values[:, -1]), fields
    fields["low"] = qparams.low
    if not qparams.zero_point.any():
        return QuantizerKind.EVEN, as_bytes(qparams.scale), fields
    integer = np.dtype("u1" if qparams.codes <= 256 else "<u2")
    fields["zero_point"] = (integer if qparams.zero_is_exact else FLOAT32).str
    numbers = as_bytes(qparams.scale) + as_bytes(qparams.zero_point, fields["zero_point"])
    return QuantizerKind.EVEN, numbers, fields


def from_numbers(
    kind: QuantizerKind, numbers: bytes, codes: int, dimensions: int, fields: Mapping[str, Any]
) -> QParams | Codebook:
    """Returns the quantizer with `codes` codes that `as_numbers` wrote, for a weight with `dimensions` dimensions.

    The result can `dequantize` but not quantize: a file does not hold the bounds between the values of a codebook.
    """
    group_size = fields.get("group_size")
    if kind is not QuantizerKind.EVEN:
        values = as_floats(numbers)
        book = values.view(-1, codes) if kind is QuantizerKind.CODEBOOK else _powers(values[:, None], codes)
        return Codebook(book, book.new_empty(len(book), 0), book.shape[1], group_size)
    zero_type = np.dtype(fields.get("zero_point", "V0"))
    groups = len(numbers) // (FLOAT32.itemsize + zero_type.itemsize)
    shape = (-1, 1) if group_size else (-1, *[1] * (dimensions - 1)) if groups > 1 else ()
    scales, zeros = numbers[: FLOAT32.itemsize * groups], numbers[FLOAT32.itemsize * groups :]
    zero_point = torch.zeros(groups, dtype=torch.int32)
    if zero_type.itemsize:
        array = np.frombuffer(zeros, zero_type)
        zero_point = torch.from_numpy(array.astype(np.float32 if zero_type == FLOAT32 else np.int32))
    low = fields["low"]
    return QParams(as_floats(scales).view(shape), zero_point.view(shape), low, low + codes - 1, group_size)


def _powers(largest: Tensor, codes: int) -> Tensor:
    """largest (groups, 1) -> the values (groups, codes); subnormal ones are zero, as in the codebook itself."""
    steps = largest * torch.arange(0.0, -(codes // 2), -1).exp2()
    steps = torch.where(steps < SMALLEST_NORMAL, 0.0, steps)
    return torch.cat([-steps, torch.zeros(len(largest), codes % 2), steps.flip(1)], 1)


def as_bytes(numbers: Tensor, dtype: str = FLOAT32.str) -> bytes:
    """Returns the bytes of `numbers`, of any shape, converted to the NumPy type `dtype`."""
    return numbers.numpy().astype(dtype).tobytes()


def as_floats(content: bytes) -> Tensor:
    """Returns the float32 numbers (n,) that `as_bytes` wrote."""
    return torch.from_numpy(np.frombuffer(content, FLOAT32).astype(np.float32))
