"""Rounding that lets gradients pass: straight-through estimators for weights and for inputs of layers.

The forward pass uses the quantizer of the spec itself. In the backward pass rounding counts as the identity, and the
gradient is zero for values outside the clip: those whose error is more than half a step beyond the last value (Bengio
et al. 2013, arXiv:1308.3432; torch's fake_quantize has the same gradient). The gain of a quantizer, a factor of all its
values, has the gradient of learned steps: sum of (rounded - value) inside, of the last value outside (LSQ, Esser et
al. 2020, arXiv:1902.08153, equation 3). With PACT's clip only what lies outside moves the gain.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from compression.quantization.activations import InputQuantizer
from compression.quantization.codebooks import Codebook
from compression.quantization.groups import from_groups, to_groups
from compression.quantization.quantizers import SMALLEST_SCALE, QParams, fake_quantize
from compression.quantization.ranges import masked_mean

Quantizer = QParams | Codebook

FRACTIONS = 33  # of the scale of the start, from which a learned scale begins


def gains_of(qparams: Quantizer) -> Tensor:
    """Returns a gain of 1 for each group, in the shape of the scales, or (groups, 1) for codebooks."""
    return torch.ones_like(qparams.values[:, :1] if isinstance(qparams, Codebook) else qparams.scale)


def scaled(qparams: Quantizer, gain: Tensor) -> Quantizer:
    """Returns `qparams` with all values of each group multiplied by its gain; codes keep their meaning."""
    if isinstance(qparams, Codebook):
        return replace(qparams, values=qparams.values * gain, bounds=qparams.bounds * gain)
    return replace(qparams, scale=qparams.scale * gain)


def least_error_gain(weight: Tensor, qparams: Quantizer) -> Tensor:
    """Returns the gain of each group, of FRACTIONS, with the least squared error of weight (C_out, ...)."""
    best, least = gains_of(qparams), torch.full_like(gains_of(qparams), torch.inf)
    for fraction in torch.linspace(1, 0.2, FRACTIONS):
        gain = torch.full_like(best, float(fraction))
        error = _sum_groups((fake_quantize(weight, scaled(qparams, gain)) - weight).square(), qparams, gain)
        best = torch.where(error < least, gain, best)
        least = torch.minimum(error, least)
    return best


def clip_of(qparams: Quantizer) -> tuple[Tensor, Tensor]:
    """Returns the ends of the clip in the shape of the gains: the first and the last value, and half a step more."""
    if isinstance(qparams, Codebook):
        first, last = qparams.values[:, :1], qparams.values[:, -1:]
        step_below, step_above = qparams.values[:, 1:2] - first, last - qparams.values[:, -2:-1]
        return first - step_below / 2, last + step_above / 2
    low, high = (end - qparams.zero_point for end in (qparams.low - 0.5, qparams.high + 0.5))
    return low * qparams.scale, high * qparams.scale


def round_weight(weight: Tensor, qparams: Quantizer, gain: Tensor) -> Tensor:
    """Returns weight (C_out, ...) rounded by `qparams` with `gain`; gradients pass to both."""
    return _RoundedWeight.apply(weight, gain, qparams)


class _RoundedWeight(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, gain: Tensor, qparams: Quantizer) -> Tensor:
        grown = scaled(qparams, gain.detach())
        rounded = fake_quantize(weight.detach(), grown)
        low, high = (spread_groups(end, weight, qparams) for end in clip_of(grown))
        ctx.save_for_backward(weight, gain, rounded, (weight >= low) & (weight <= high))
        ctx.qparams = qparams
        return rounded

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, Tensor | None, None]:
        weight, gain, rounded, inside = ctx.saved_tensors
        passed = gradients[0] * inside
        if not ctx.needs_input_grad[1]:
            return passed, None, None
        product = gradients[0] * rounded - passed * weight
        return passed, _sum_groups(product, ctx.qparams, gain) / gain, None


def centred(qparams: QParams) -> QParams:
    """Returns the quantizer with as many codes whose range is symmetric and reaches as far as that of `qparams`."""
    reach = torch.maximum(qparams.zero_point - qparams.low, qparams.high - qparams.zero_point) * qparams.scale
    middle = (qparams.low + qparams.high) / 2
    zero_point = torch.full_like(qparams.zero_point, math.ceil(middle) if qparams.zero_is_exact else middle)
    return replace(qparams, scale=2 * reach / (qparams.codes - 1), zero_point=zero_point)


def dorefa_weight(weight: Tensor, qparams: Quantizer) -> tuple[Tensor, Tensor]:
    r"""Rounds weights that fill the range of their quantizer, however large they are; gradients pass to all of them.

    Formula: \hat w = Q\left(m\,\frac{\tanh w}{\max \lvert\tanh w\rvert}\right), \quad
        \mathrm{1\ bit:}\; \hat w = \mathrm{sign}(w)\,\overline{\lvert w \rvert}
    Source: DoReFa-Net, Zhou et al. 2016 (arXiv:1606.06160), equations 7 and 9, there with one group per layer and the
        range m = 1.
    Fails: where a single large weight of a group sets the range, and the others get few codes.

    weight (C_out, ...), `qparams`: even steps in a symmetric range of -m to m, or the codebook of binary weights.
    Returns the rounded weight and the gain that `qparams` has by now, in the shape of the gains.
    """
    gain = gains_of(qparams)
    if isinstance(qparams, Codebook):
        magnitude = _in_groups(weight.detach(), qparams, gain).abs()
        gain = masked_mean(magnitude, magnitude > 0) / qparams.values[:, 1:].clamp_min(SMALLEST_SCALE)
        return fake_quantize(weight.detach(), scaled(qparams, gain)) + (weight - weight.detach()), gain
    bounded = weight.tanh()
    peak = _in_groups(bounded, qparams, gain).abs().amax(1).view(gain.shape).clamp_min(SMALLEST_SCALE)
    reach = qparams.scale * ((qparams.codes - 1) / 2) / peak
    return round_weight(bounded * spread_groups(reach, weight, qparams), qparams, gain), gain


def spread_groups(numbers: Tensor, weight: Tensor, qparams: Quantizer) -> Tensor:
    """Returns `numbers`, one per group, as a tensor that broadcasts with `weight` (C_out, ...)."""
    if qparams.group_size:
        return from_groups(numbers.expand(-1, qparams.group_size).contiguous(), weight.shape)
    if isinstance(qparams, Codebook):
        return numbers.view(-1, *[1] * (weight.dim() - 1))
    return numbers


def _sum_groups(values: Tensor, qparams: Quantizer, gain: Tensor) -> Tensor:
    """values (C_out, ...) -> their sums in each group, in the shape of `gain`."""
    return _in_groups(values, qparams, gain).sum(1).view(gain.shape)


def _in_groups(values: Tensor, qparams: Quantizer, gain: Tensor) -> Tensor:
    """values (C_out, ...) -> (groups, n), with a row for each number of `gain`."""
    return to_groups(values, qparams.group_size) if qparams.group_size else values.reshape(gain.numel(), -1)


@dataclass(eq=False)
class TrainedInput:
    """Quantizes the inputs of a layer as `quantizer` with `gain` () does, and lets gradients pass; a pre-hook.

    Without a quantizer they stay as they are. `clips`: whether the gain learns from values outside of the clip alone
    (PACT, Choi et al. 2018, arXiv:1805.06085).
    """

    quantizer: InputQuantizer | None
    gain: Tensor
    clips: bool = False

    def __call__(self, layer: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        if self.quantizer is None:
            return inputs
        x, *others = inputs
        return _RoundedInput.apply(x, self.gain, self.quantizer, self.clips), *others


def grown_input(quantizer: InputQuantizer, gain: Tensor) -> InputQuantizer:
    """Returns `quantizer` with its scale multiplied by gain ()."""
    return replace(quantizer, scale=float(np.float32(quantizer.scale * float(gain))))


class _RoundedInput(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, gain: Tensor, quantizer: InputQuantizer, clips: bool) -> Tensor:
        grown = grown_input(quantizer, gain)
        ctx.ends = tuple(
            (end - quantizer.zero_point) * grown.scale for end in (-0.5, 2**quantizer.bits - 0.5)
        )  # of the clip
        [rounded] = grown(_NO_LAYER, (x.detach(),))
        ctx.save_for_backward(x, gain, rounded if gain.requires_grad else None)
        ctx.clips = clips
        return rounded

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, gain, rounded = ctx.saved_tensors
        passed = torch.ops.aten.hardtanh_backward(gradients[0], x, *ctx.ends)
        if rounded is None:
            return passed, None, None, None
        inside = rounded if ctx.clips else x
        product = torch.dot(_flat(gradients[0], x), _flat(rounded, x)) - torch.dot(_flat(passed, x), _flat(inside, x))
        return passed, product.view(gain.shape) / gain, None, None


_NO_LAYER = nn.Identity()  # the hook does not look at its layer


def _flat(values: Tensor, like: Tensor) -> Tensor:
    """Returns `values` as one row of float32 in the order in which `like` lies in memory, without a copy if it is one.

    On a CPU the dot product of two rows of bfloat16 takes five times as long as that of their copies.
    """
    if like.dim() == 4 and like.is_contiguous(memory_format=torch.channels_last):
        values = values.permute(0, 2, 3, 1)
    return values.reshape(-1).float()
