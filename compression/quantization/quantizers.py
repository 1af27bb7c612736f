"""Quantizers of weights: how they are chosen, and how weights become integer codes and codes become weights.

Most quantizers have a scale, a zero point and a range of codes for each group of weights:
w ~ (code - zero_point) * scale. The others have a codebook, a list of values (`codebooks`). A group is the whole
tensor, one output channel (dimension 0), or a number of consecutive weights of a channel (`groups`).
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

WEIGHT_FRACTIONS = 33  # fractions of the full range that the least-error range is chosen from

LEAST_ERROR_SAMPLE = 512  # weights of a row that the error of a fraction is computed on

LARGEST_EXACT_INTEGER = 2**24  # float32 represents every whole number up to here

SMALLEST_SCALE = torch.finfo(torch.float32).tiny


@dataclass(frozen=True, eq=False)
class QParams:
    """A quantizer with evenly spaced values: (code - zero_point) * scale for the codes `low`..`high`.

    `scale` (float32) and `zero_point` (int32) are () per tensor, (C_out, 1, ...) per channel, and (C_out * G, 1) per
    group of `group_size` weights, with the G groups of a channel one after another. The zero point is float32 if it is
    not an integer; then no code stands for exactly 0.
    """

    scale: Tensor
    zero_point: Tensor
    low: int
    high: int
    group_size: int | None = None

    @property
    def codes(self) -> int:
        """The number of values in each group."""
        return self.high - self.low + 1

    @property
    def zero_is_exact(self) -> bool:
        """Whether a code stands for exactly 0."""
        return not self.zero_point.is_floating_point()


def symmetric_qparams(low: Tensor, high: Tensor, bits: int) -> QParams:
    r"""The range is symmetric around zero and divided into equal steps. Zero is represented exactly, and the zero point
    is 0, so integer products need no correction.

    Formula: q = \mathrm{round}(w / s), \quad s = \max\lvert w \rvert \,/\, (2^{b-1} - 1),
        \quad \lvert q \rvert \le 2^{b-1} - 1
    Source: Krishnamoorthi 2018 (arXiv:1806.08342), section 2.2.
    Fails: if most weights of a group have the same sign: the codes of the other sign are wasted.

    low, high: the range of each group of weights.
    """
    top = 2 ** (bits - 1) - 1
    scale = _replace_zero_scales(torch.maximum(-low, high) / top)
    return QParams(scale, torch.zeros_like(scale, dtype=torch.int32), -top, top)


def affine_qparams(low: Tensor, high: Tensor, bits: int) -> QParams:
    r"""The range from the smallest to the largest weight, widened to contain zero, is divided into equal steps. The
    zero point is rounded to an integer, so zero is represented exactly and pruned weights stay zero.

    Formula: q = \mathrm{round}(w / s) + z, \quad s = (\max w - \min w) / (2^b - 1),
        \quad z = \mathrm{round}(-\min w / s)
    Source: Jacob et al. 2018 (arXiv:1712.05877), section 2.1.
    Fails: to be as fast as symmetric quantization: each integer product needs a correction for the zero point.

    low, high: the range of each group of weights.
    """
    top = 2**bits - 1
    low, high = low.clamp(max=0), high.clamp(min=0)
    scale = _replace_zero_scales((high - low) / top)
    return QParams(scale, (-low / scale).round().clamp(0, top).to(torch.int32), 0, top)


def min_max_qparams(low: Tensor, high: Tensor, bits: int) -> QParams:
    r"""The range from the smallest to the largest weight is divided into equal steps. Both ends are represented
    exactly, but zero is not, because the zero point is not rounded to an integer.

    Formula: q = \mathrm{round}\left(\frac{w - \min w}{\max w - \min w} (2^b - 1)\right)
    Source: Many tutorials. Jacob et al. 2018 (arXiv:1712.05877), section 2.1, explain why to round the zero point.
    Fails: for pruned weights: no code stands for zero, so a mask must be stored.

    low, high: the range of each group of weights.
    """
    scale = _replace_zero_scales((high - low) / (2**bits - 1))
    low = torch.where(low.abs() < SMALLEST_SCALE, 0.0, low)
    return QParams(scale, -low / scale, 0, 2**bits - 1)


QPARAMS: dict[Scheme, Callable[[Tensor, Tensor, int], QParams]] = {
    Scheme.SYMMETRIC: symmetric_qparams,
    Scheme.AFFINE: affine_qparams,
    Scheme.MIN_MAX: min_max_qparams,
}


def step_qparams(low: Tensor, high: Tensor, step: float) -> QParams:
    r"""You choose the step between neighbouring values, one for the whole network. The number of bits per weight then
    follows from the range of the weights in each layer.

    Formula: q = \mathrm{round}(w / L) = \mathrm{round}(w\,Q), \quad \hat w = q L,
        \quad b = \lceil \log_2(q_{\max} - q_{\min} + 1) \rceil
    Source: The uniform quantizer of Gray and Neuhoff 1998, Quantization (IEEE Trans. Inf. Theory 44), with L = 1 / Q.
    Fails: if the ranges of the layers differ: a step that is fine enough for the narrowest range needs many bits in the
        widest.

    low, high (): the range of the weights. Raises ValueError if the codes would need more than 16 bits.
    """
    scale = torch.full_like(low, step)
    first, last = (float((end * scale.reciprocal()).round()) for end in (low, high))
    largest = max(float(high.abs()), float(low.abs()))
    smallest_step = max((float(high) - float(low)) / (2**MAX_BITS - 1), largest / LARGEST_EXACT_INTEGER)
    if not (last - first < 2**MAX_BITS and max(-first, last) <= LARGEST_EXACT_INTEGER):
        raise ValueError(
            f"steps of {step:g} from {float(low):.3g} to {float(high):.3g} need more than {MAX_BITS} bits per weight; "
            f"give a step of about {1.01 * smallest_step:.2g} or more"
        )
    return QParams(scale, torch.zeros_like(scale, dtype=torch.int32), int(first), int(last))


def choose_qparams(weight: Tensor, spec: QuantSpec) -> QParams | Codebook:
    """Returns the quantizer of `spec` for weight (C_out, ...).

    Raises ValueError for NaN, infinite weights, or a range that exceeds float32's.
    """
    if spec.group_size:
        return _choose_for_groups(as_channels(weight), spec, spec.group_size)
    per_channel = spec.granularity is Granularity.CHANNEL and weight.dim() > 1
    qparams = _choose_for_rows(weight if per_channel else weight[None], spec)
    if isinstance(qparams, Codebook):
        return qparams
    shape = (-1, *[1] * (weight.dim() - 1)) if per_channel else ()
    return replace(qparams, scale=qparams.scale.view(shape), zero_point=qparams.zero_point.view(shape))


def _choose_for_groups(rows: Tensor, spec: QuantSpec, size: int) -> QParams | Codebook:
    """rows (C_out, n) -> one quantizer with a group for every `size` weights of a row, the last group being shorter."""
    whole = rows.shape[1] - rows.shape[1] % size
    parts = [part for part in (rows[:, :whole].reshape(-1, size), rows[:, whole:]) if part.numel()]
    quantizers = [replace(_choose_for_rows(part, spec), group_size=size) for part in parts]
    names = [name for name, value in vars(quantizers[0]).items() if isinstance(value, Tensor)]
    tensors: dict[str, Any] = {
        name: join_groups([vars(quantizer)[name] for quantizer in quantizers], len(rows)) for name in names
    }
    return replace(quantizers[0], **tensors)


def _choose_for_rows(groups: Tensor, spec: QuantSpec) -> QParams | Codebook:
    """groups (groups, ...) -> a quantizer with scales (groups, 1), or a codebook."""
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
    r"""Thirty-three fractions of the full range are tried, from all of it down to a fifth. The fraction with the least
    squared error of the weights is used.

    Formula: [\alpha \min w, \alpha \max w], \quad \alpha = \arg\min_\alpha \sum (w - \hat w_\alpha)^2
    Source: OMSE, Choukroun et al. 2019 (arXiv:1902.06822).
    Fails: if the squared error of the weights predicts the accuracy badly: one large clipped weight may cost more
        accuracy than many rounded ones. Of more than 512 weights, only 512 evenly spaced quantiles are judged, with
        the smallest and the largest among them. Few extreme weights then count too much, and the range is too wide for
        the least error of all weights: its error is 2.46 times that for the layer features.17 of vgg at 6 bits with one
        scale per tensor. For accuracy this need not be worse.

    For rows longer than LEAST_ERROR_SAMPLE the error is computed on that many evenly spaced quantiles. Errors are
    computed in units of a power of two near the largest weight, so that their squares do not overflow.
    """
    sample = rows
    if rows.shape[1] > LEAST_ERROR_SAMPLE:
        positions = torch.linspace(0, rows.shape[1] - 1, LEAST_ERROR_SAMPLE).long()
        sample = torch.from_numpy(np.sort(rows.numpy(), axis=1))[:, positions]
    low, high = rows.aminmax(dim=1, keepdim=True)
    exponent = torch.frexp(torch.maximum(-low, high)).exponent
    least = torch.full_like(low, torch.inf)
    best = torch.ones_like(low)
    for fraction in torch.linspace(1, 0.2, WEIGHT_FRACTIONS):
        qparams = QPARAMS[spec.scheme](fraction * low, fraction * high, spec.bits)
        difference = dequantize(quantize(sample, qparams), qparams) - sample
        error = torch.ldexp(difference, -exponent).square_().sum(1, keepdim=True)
        best = torch.where(error < least, fraction, best)
        least = torch.minimum(error, least)
    return best * low, best * high


RANGES: dict[Clip, Callable[[Tensor, QuantSpec], Range]] = {**CLIPS, Clip.LEAST_ERROR: least_error}


def quantize(weight: Tensor, qparams: QParams | Codebook) -> Tensor:
    """Returns the int32 codes of `weight`, in its shape: round(w / scale) + zero_point, clamped to the range.

    Rounds half to even. A codebook gives each weight the code of its value.
    """
    if qparams.group_size:
        groups = to_groups(weight, qparams.group_size)
        return from_groups(quantize(groups, replace(qparams, group_size=None)), weight.shape)
    if isinstance(qparams, Codebook):
        return qparams.quantize(weight)
    return _codes(weight, qparams).to(torch.int32)


def _codes(weight: Tensor, qparams: QParams) -> Tensor:
    """Returns the codes of `weight` as float32, which represents them exactly. Zeros are positive."""
    codes = weight * qparams.scale.reciprocal()
    if qparams.zero_is_exact:
        codes = codes.round_().add_(qparams.zero_point)
    else:
        codes = codes.add_(qparams.zero_point).round_().add_(0)
    return codes.clamp_(qparams.low, qparams.high)


def dequantize(codes: Tensor, qparams: QParams | Codebook) -> Tensor:
    """Returns the float32 weights of `codes`, in their shape: (code - zero_point) * scale, or values of a codebook."""
    if qparams.group_size:
        groups = to_groups(codes, qparams.group_size)
        return from_groups(dequantize(groups, replace(qparams, group_size=None)), codes.shape)
    if isinstance(qparams, Codebook):
        return qparams.dequantize(codes)
    return (codes - qparams.zero_point) * qparams.scale


def fake_quantize(weight: Tensor, qparams: QParams | Codebook) -> Tensor:
    r"""Each weight becomes the nearest value of its quantizer, whatever becomes of the others.

    Formula: \hat w = \arg\min_v\, \lvert w - v \rvert
    Source: Krishnamoorthi 2018 (arXiv:1806.08342), section 2.
    Fails: with few bits: the errors of many weights add up in each output of a layer.

    Returns `dequantize(quantize(weight, qparams), qparams)`.
    Without a codebook and without groups it skips the conversion to integers, which would take twice as long.
    """
    if qparams.group_size or isinstance(qparams, Codebook):
        return dequantize(quantize(weight, qparams), qparams)
    return _codes(weight, qparams).sub_(qparams.zero_point).mul_(qparams.scale)


def code_bits(qparams: QParams | Codebook) -> int:
    """Returns the number of bits that distinguish the codes of `qparams`, at least 1."""
    return max(1, (qparams.codes - 1).bit_length())


def levels(qparams: QParams | Codebook) -> Tensor:
    """Returns all different values of the quantizer, ascending: at most (groups * codes,)."""
    if isinstance(qparams, Codebook):
        return qparams.values.unique()
    codes = torch.arange(qparams.low, qparams.high + 1, dtype=torch.int32)
    return ((codes - qparams.zero_point.reshape(-1, 1)) * qparams.scale.reshape(-1, 1)).unique()


def _replace_zero_scales(scale: Tensor) -> Tensor:
    """Returns `scale` with 1 for groups whose weights are all zero or subnormal, which count as zero."""
    return torch.where(scale < SMALLEST_SCALE, 1.0, scale)
