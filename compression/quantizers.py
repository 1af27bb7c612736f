"""Weights to integers and back.

Most quantizers are three numbers a group of weights: a scale, a zero point and the range of its codes,
w ~ (code - zero_point) * scale. The others are a codebook, a list of values of their own (`codebooks`).
The group is the whole tensor or one output channel (dimension 0).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from compression.clips import CLIPS
from compression.codebooks import CODEBOOKS, Codebook
from compression.spec import Clip, Granularity, QuantSpec, Scheme

TRIED, SAMPLE = 33, 512  # fractions of a range, and weights of a row to try them on
SMALLEST_SCALE = torch.finfo(torch.float32).tiny


@dataclass(frozen=True, eq=False)
class QParams:
    """scale float32 and zero_point int32, both () per tensor or (C_out, 1, ...) per channel; codes low..high.

    A zero point that is no integer is float32: then no code stands for exactly 0.
    """

    scale: Tensor
    zero_point: Tensor
    low: int
    high: int

    @property
    def codes(self) -> int:
        """How many values there are in a group."""
        return self.high - self.low + 1

    @property
    def zero_is_exact(self) -> bool:
        return not self.zero_point.is_floating_point()


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


def min_max_qparams(low: Tensor, high: Tensor, bits: int) -> QParams:
    """code = round((w - min) / (max - min) * (2^b - 1)): the range as it is, and a zero point that is no integer.

    The quantizer of many tutorials. Both ends are exact and zero is not, so a pruned weight needs a mask to stay zero.
    """
    scale = _usable((high - low) / (2**bits - 1))
    low = torch.where(low.abs() < SMALLEST_SCALE, 0.0, low)
    return QParams(scale, -low / scale, 0, 2**bits - 1)


QPARAMS: dict[Scheme, Callable[[Tensor, Tensor, int], QParams]] = {
    Scheme.SYMMETRIC: symmetric_qparams,
    Scheme.AFFINE: affine_qparams,
    Scheme.MIN_MAX: min_max_qparams,
}


def choose_qparams(weight: Tensor, spec: QuantSpec) -> QParams | Codebook:
    """weight (C_out, ...) -> its quantizer. Raises ValueError on NaN, infinity, or a range beyond float32's."""
    per_channel = spec.granularity is Granularity.CHANNEL and weight.dim() > 1
    dims = tuple(range(1, weight.dim())) if per_channel else tuple(range(weight.dim()))
    low = weight.amin(dims, keepdim=per_channel)
    high = weight.amax(dims, keepdim=per_channel)
    if not (high - low).isfinite().all():
        raise ValueError("cannot quantize weights that are NaN, infinite, or span more than float32 holds")
    rows = partial(weight.reshape, (len(weight) if per_channel else 1, -1))
    if spec.scheme in CODEBOOKS:
        return CODEBOOKS[spec.scheme](rows(), spec.bits)
    if spec.clip is Clip.LEAST_ERROR:
        low, high = _least_error(rows(), spec)
    elif spec.clip is not Clip.FULL:
        low, high = CLIPS[spec.clip](rows(), spec.bits)
    shape = (-1, *[1] * len(dims)) if per_channel else ()
    return QPARAMS[spec.scheme](low.view(shape), high.view(shape), spec.bits)


def _least_error(rows: Tensor, spec: QuantSpec) -> tuple[Tensor, Tensor]:
    """Of TRIED fractions of the range, the largest of each row's with the least squared error: the OMSE of
    Choukroun et al. 2019 (arXiv:1902.06822). Long rows are tried on SAMPLE evenly spaced quantiles of theirs.
    """
    sample = rows
    if rows.shape[1] > SAMPLE:
        places = torch.linspace(0, rows.shape[1] - 1, SAMPLE).long()
        sample = torch.from_numpy(np.sort(rows.numpy(), axis=1))[:, places]
    low, high = rows.aminmax(dim=1, keepdim=True)
    least = torch.full_like(low, torch.inf)
    best = torch.ones_like(low)
    for fraction in torch.linspace(1, 0.2, TRIED):
        qparams = QPARAMS[spec.scheme](fraction * low, fraction * high, spec.bits)
        error = (dequantize(quantize(sample, qparams), qparams) - sample).square_().sum(1, keepdim=True)
        best = torch.where(error < least, fraction, best)
        least = torch.minimum(error, least)
    return best * low, best * high


def quantize(weight: Tensor, qparams: QParams | Codebook) -> Tensor:
    """weight -> int32 codes of the same shape: round(w / scale) + zero_point, ties to even, clamped to the range."""
    if isinstance(qparams, Codebook):
        return qparams.quantize(weight)
    codes = weight * qparams.scale.reciprocal()
    if qparams.zero_is_exact:
        codes = codes.round_().add_(qparams.zero_point)
    else:
        codes = codes.add_(qparams.zero_point).round_()
    return codes.clamp_(qparams.low, qparams.high).to(torch.int32)


def dequantize(codes: Tensor, qparams: QParams | Codebook) -> Tensor:
    """codes -> float32 weights (code - zero_point) * scale."""
    if isinstance(qparams, Codebook):
        return qparams.dequantize(codes)
    return (codes - qparams.zero_point) * qparams.scale


def levels(qparams: QParams | Codebook) -> Tensor:
    """Every value that the quantizer can give, ascending: (groups * codes,), shared ones once."""
    if isinstance(qparams, Codebook):
        return qparams.values.unique()
    codes = torch.arange(qparams.low, qparams.high + 1, dtype=torch.int32)
    return ((codes - qparams.zero_point.reshape(-1, 1)) * qparams.scale.reshape(-1, 1)).unique()


def _usable(scale: Tensor) -> Tensor:
    """A group of zeros (or of subnormals, which count as zeros) gets scale 1: it has nothing to tell apart."""
    return torch.where(scale < SMALLEST_SCALE, 1.0, scale)
