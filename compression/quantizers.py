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

from compression.clips import CLIPS, Range
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
    r"""Zero in the middle and equal steps to both sides: a product needs no correction, and zero is exact.

    Formula: q = \mathrm{round}(w / s), \quad s = \max\lvert w \rvert \,/\, (2^{b-1} - 1),
        \quad \lvert q \rvert \le 2^{b-1} - 1
    Source: Krishnamoorthi 2018 (arXiv:1806.08342), section 2.2.
    Fails: where the weights of a group lie mostly to one side of zero: the codes of the other side are wasted.

    low, high: the range of each group of weights.
    """
    top = 2 ** (bits - 1) - 1
    scale = _usable(torch.maximum(-low, high) / top)
    return QParams(scale, torch.zeros_like(scale, dtype=torch.int32), -top, top)


def affine_qparams(low: Tensor, high: Tensor, bits: int) -> QParams:
    r"""Equal steps from the smallest weight to the largest, a range that is widened to contain zero. The zero point is
    an integer, so that zero is exact: what was pruned stays zero.

    Formula: q = \mathrm{round}(w / s) + z, \quad s = (\max w - \min w) / (2^b - 1),
        \quad z = \mathrm{round}(-\min w / s)
    Source: Jacob et al. 2018 (arXiv:1712.05877), section 2.1.
    Fails: to be as fast as symmetric: each product needs a correction for the zero point.

    low, high: the range of each group of weights.
    """
    top = 2**bits - 1
    low, high = low.clamp(max=0), high.clamp(min=0)
    scale = _usable((high - low) / top)
    return QParams(scale, (-low / scale).round().clamp(0, top).to(torch.int32), 0, top)


def min_max_qparams(low: Tensor, high: Tensor, bits: int) -> QParams:
    r"""The range as it is, cut into equal steps: both ends are exact, but zero is not: the zero point is no integer.

    Formula: q = \mathrm{round}\left(\frac{w - \min w}{\max w - \min w} (2^b - 1)\right)
    Source: Many a tutorial; Jacob et al. 2018 (arXiv:1712.05877), section 2.1, say why to round the zero point.
    Fails: where weights are pruned: no code stands for zero, and a mask must keep them there.

    low, high: the range of each group of weights.
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
    if spec.clip is not Clip.FULL:
        low, high = RANGES[spec.clip](rows(), spec)
    shape = (-1, *[1] * len(dims)) if per_channel else ()
    return QPARAMS[spec.scheme](low.view(shape), high.view(shape), spec.bits)


def least_error(rows: Tensor, spec: QuantSpec) -> Range:
    r"""Of 33 fractions of the full range, from all of it down to a fifth, the one with the least squared error.

    Formula: [\alpha \min w, \alpha \max w], \quad \alpha = \arg\min_\alpha \sum (w - \hat w_\alpha)^2
    Source: OMSE, Choukroun et al. 2019 (arXiv:1902.06822).
    Fails: where the network minds other errors more: a large weight clipped may cost more than many that are rounded.

    Long rows are tried on SAMPLE evenly spaced quantiles of theirs.
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


RANGES: dict[Clip, Callable[[Tensor, QuantSpec], Range]] = {**CLIPS, Clip.LEAST_ERROR: least_error}


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
