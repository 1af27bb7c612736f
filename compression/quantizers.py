"""Weights to integers and back.

A quantizer is three numbers a group of weights: a scale, a zero point and the range of its codes,
w ~ (code - zero_point) * scale. The group is the whole tensor or one output channel (dimension 0).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from compression.spec import Granularity, QuantSpec, Scheme

SMALLEST_SCALE = torch.finfo(torch.float32).tiny


@dataclass(frozen=True, eq=False)
class QParams:
    """scale float32 and zero_point int32, both () per tensor or (C_out, 1, ...) per channel; codes low..high."""

    scale: Tensor
    zero_point: Tensor
    low: int
    high: int


def symmetric_qparams(low: Tensor, high: Tensor, bits: int) -> QParams:
    """scale = max|w| / (2^(b-1) - 1), zero point 0, narrow range -(2^(b-1)-1) .. 2^(b-1)-1.

    Krishnamoorthi 2018 (arXiv:1806.08342), section 2.2. low, high: the range of each group of weights.
    """
    top = 2 ** (bits - 1) - 1
    scale = _usable(torch.maximum(-low, high) / top)
    return QParams(scale, torch.zeros_like(scale, dtype=torch.int32), -top, top)


def affine_qparams(low: Tensor, high: Tensor, bits: int) -> QParams:
    """Range widened to contain 0, scale = (max - min) / (2^b - 1), zero_point = round(-min / scale), codes 0 .. 2^b-1.

    Jacob et al. 2018 (arXiv:1712.05877), section 2.1: the zero point is an integer, so 0 is exact.
    """
    top = 2**bits - 1
    low, high = low.clamp(max=0), high.clamp(min=0)
    scale = _usable((high - low) / top)
    return QParams(scale, (-low / scale).round().clamp(0, top).to(torch.int32), 0, top)


QPARAMS: dict[Scheme, Callable[[Tensor, Tensor, int], QParams]] = {
    Scheme.SYMMETRIC: symmetric_qparams,
    Scheme.AFFINE: affine_qparams,
}


def choose_qparams(weight: Tensor, spec: QuantSpec) -> QParams:
    """weight (C_out, ...) -> the quantizer that covers its whole range. Raises ValueError on NaN or infinity."""
    per_channel = spec.granularity is Granularity.CHANNEL and weight.dim() > 1
    dims = tuple(range(1, weight.dim())) if per_channel else tuple(range(weight.dim()))
    low = weight.amin(dims, keepdim=per_channel)
    high = weight.amax(dims, keepdim=per_channel)
    qparams = QPARAMS[spec.scheme](low, high, spec.bits)
    if not qparams.scale.isfinite().all():
        raise ValueError("cannot quantize weights that are NaN, infinite, or span more than float32 holds")
    return qparams


def quantize(weight: Tensor, qparams: QParams) -> Tensor:
    """weight -> int32 codes of the same shape: round(w / scale) + zero_point, ties to even, clamped to the range."""
    codes = (weight * qparams.scale.reciprocal()).round_().add_(qparams.zero_point)
    return codes.clamp_(qparams.low, qparams.high).to(torch.int32)


def dequantize(codes: Tensor, qparams: QParams) -> Tensor:
    """codes -> float32 weights (code - zero_point) * scale."""
    return (codes - qparams.zero_point) * qparams.scale


def levels(qparams: QParams) -> Tensor:
    """Every value that the quantizer can give, ascending: (groups * codes,), shared ones once."""
    codes = torch.arange(qparams.low, qparams.high + 1, dtype=torch.int32)
    return ((codes - qparams.zero_point.reshape(-1, 1)) * qparams.scale.reshape(-1, 1)).unique()


def _usable(scale: Tensor) -> Tensor:
    """A group of zeros (or of subnormals, which count as zeros) gets scale 1: it has nothing to tell apart."""
    return torch.where(scale < SMALLEST_SCALE, 1.0, scale)
