"""Weights to integers and back.

Most quantizers are three numbers a group of weights: a scale, a zero point and the range of its codes,
w ~ (code - zero_point) * scale. The others are a codebook, a list of values of their own (`codebooks`).
The group is the whole tensor, one output channel (dimension 0), or so many weights of a channel in a row (`groups`).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from compression.quantization.codebooks import CODEBOOKS, Codebook
from compression.quantization.groups import as_channels, from_groups, join_groups, to_groups
from compression.quantization.ranges import CLIPS, Range
from compression.spec import MAX_BITS, Clip, Granularity, QuantSpec, Scheme

WEIGHT_FRACTIONS, SAMPLE = 33, 512  # fractions of a range, and weights of a row to try them on

EXACT = 2**24  # up to here float32 has every whole number

SMALLEST_SCALE = torch.finfo(torch.float32).tiny


@dataclass(frozen=True, eq=False)
class QParams:
    """scale float32 and zero_point int32, both () per tensor, (C_out, 1, ...) per channel or, in groups of `group_size`
    weights, (C_out * G, 1), the G groups of a channel one after another; codes low..high.

    A zero point that is no integer is float32: then no code stands for exactly 0.
    """

    scale: Tensor
    zero_point: Tensor
    low: int
    high: int
    group_size: int | None = None

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


def step_qparams(low: Tensor, high: Tensor, step: float) -> QParams:
    r"""A step that is given, one for the whole network: how many bits the codes take follows from the range of the
    weights.

    Formula: q = \mathrm{round}(w / L) = \mathrm{round}(w\,Q), \quad \hat w = q L,
        \quad b = \lceil \log_2(q_{\max} - q_{\min} + 1) \rceil
    Source: The uniform quantizer of Gray and Neuhoff 1998, Quantization (IEEE Trans. Inf. Theory 44), with L = 1 / Q.
    Fails: where layers differ: a step that is fine enough for the narrowest needs many bits in the widest.

    low, high (): the range of the weights. Raises ValueError where the codes would take more than 16 bits.
    """
    scale = torch.full_like(low, step)
    first, last = (float((end * scale.reciprocal()).round()) for end in (low, high))
    finest = max((float(high) - float(low)) / (2**MAX_BITS - 1), float(high.abs()) / EXACT, float(low.abs()) / EXACT)
    if not (last - first < 2**MAX_BITS and max(-first, last) <= EXACT):
        raise ValueError(
            f"steps of {step:g} from {float(low):.3g} to {float(high):.3g} take more than {MAX_BITS} bits a weight: "
            f"give a step of about {1.01 * finest:.2g} or more"
        )
    return QParams(scale, torch.zeros_like(scale, dtype=torch.int32), int(first), int(last))


def choose_qparams(weight: Tensor, spec: QuantSpec) -> QParams | Codebook:
    """weight (C_out, ...) -> its quantizer. Raises ValueError on NaN, infinity, or a range beyond float32's."""
    if spec.group_size:
        return _for_groups(as_channels(weight), spec, spec.group_size)
    per_channel = spec.granularity is Granularity.CHANNEL and weight.dim() > 1
    found = _for_each(weight if per_channel else weight[None], spec)
    if isinstance(found, Codebook):
        return found
    shape = (-1, *[1] * (weight.dim() - 1)) if per_channel else ()
    return replace(found, scale=found.scale.view(shape), zero_point=found.zero_point.view(shape))


def _for_groups(rows: Tensor, spec: QuantSpec, size: int) -> QParams | Codebook:
    """rows (C_out, n) -> a quantizer for each `size` weights of a row, and one for those that are left at its end."""
    whole = rows.shape[1] - rows.shape[1] % size
    parts = [part for part in (rows[:, :whole].reshape(-1, size), rows[:, whole:]) if part.numel()]
    found = [replace(_for_each(part, spec), group_size=size) for part in parts]
    tensors = [name for name, value in vars(found[0]).items() if isinstance(value, Tensor)]
    joined: dict[str, Any] = {name: join_groups([vars(each)[name] for each in found], len(rows)) for name in tensors}
    return replace(found[0], **joined)


def _for_each(groups: Tensor, spec: QuantSpec) -> QParams | Codebook:
    """groups (groups, ...) -> a quantizer for each, with scales (groups, 1), or a codebook."""
    dims = tuple(range(1, groups.dim()))
    low, high = groups.amin(dims)[:, None], groups.amax(dims)[:, None]
    if not (high - low).isfinite().all():
        raise ValueError("cannot quantize weights that are NaN, infinite, or span more than float32 holds")
    if spec.step is not None:
        return step_qparams(low, high, spec.step)
    if spec.scheme in CODEBOOKS:
        return CODEBOOKS[spec.scheme](groups.flatten(1), spec.bits)
    if spec.clip is not Clip.FULL:
        low, high = RANGES[spec.clip](groups.flatten(1), spec)
    return QPARAMS[spec.scheme](low, high, spec.bits)


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
    for fraction in torch.linspace(1, 0.2, WEIGHT_FRACTIONS):
        qparams = QPARAMS[spec.scheme](fraction * low, fraction * high, spec.bits)
        error = (dequantize(quantize(sample, qparams), qparams) - sample).square_().sum(1, keepdim=True)
        best = torch.where(error < least, fraction, best)
        least = torch.minimum(error, least)
    return best * low, best * high


RANGES: dict[Clip, Callable[[Tensor, QuantSpec], Range]] = {**CLIPS, Clip.LEAST_ERROR: least_error}


def quantize(weight: Tensor, qparams: QParams | Codebook) -> Tensor:
    """weight -> int32 codes of the same shape: round(w / scale) + zero_point, ties to even, clamped to the range."""
    if qparams.group_size:
        groups = to_groups(weight, qparams.group_size)
        return from_groups(quantize(groups, replace(qparams, group_size=None)), weight.shape)
    if isinstance(qparams, Codebook):
        return qparams.quantize(weight)
    return _codes(weight, qparams).to(torch.int32)


def _codes(weight: Tensor, qparams: QParams) -> Tensor:
    """weight -> its codes as float32, which holds them exactly; zero has no sign."""
    codes = weight * qparams.scale.reciprocal()
    if qparams.zero_is_exact:
        codes = codes.round_().add_(qparams.zero_point)
    else:
        codes = codes.add_(qparams.zero_point).round_().add_(0)
    return codes.clamp_(qparams.low, qparams.high)


def dequantize(codes: Tensor, qparams: QParams | Codebook) -> Tensor:
    """codes -> float32 weights (code - zero_point) * scale."""
    if qparams.group_size:
        groups = to_groups(codes, qparams.group_size)
        return from_groups(dequantize(groups, replace(qparams, group_size=None)), codes.shape)
    if isinstance(qparams, Codebook):
        return qparams.dequantize(codes)
    return (codes - qparams.zero_point) * qparams.scale


def fake_quantize(weight: Tensor, qparams: QParams | Codebook) -> Tensor:
    """weight -> the values of its codes; without a codebook, not by way of integers, which takes twice as long."""
    if qparams.group_size or isinstance(qparams, Codebook):
        return dequantize(quantize(weight, qparams), qparams)
    return _codes(weight, qparams).sub_(qparams.zero_point).mul_(qparams.scale)


def code_bits(qparams: QParams | Codebook) -> int:
    """How many bits tell its codes apart; one, where there is one code."""
    return max(1, (qparams.codes - 1).bit_length())


def levels(qparams: QParams | Codebook) -> Tensor:
    """Every value that the quantizer can give, ascending: (groups * codes,), shared ones once."""
    if isinstance(qparams, Codebook):
        return qparams.values.unique()
    codes = torch.arange(qparams.low, qparams.high + 1, dtype=torch.int32)
    return ((codes - qparams.zero_point.reshape(-1, 1)) * qparams.scale.reshape(-1, 1)).unique()


def _usable(scale: Tensor) -> Tensor:
    """A group of zeros (or of subnormals, which count as zeros) gets scale 1: it has nothing to tell apart."""
    return torch.where(scale < SMALLEST_SCALE, 1.0, scale)
