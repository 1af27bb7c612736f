"""Clipping ranges of weights: weights outside the range move to its ends, and those inside get finer steps.

Each function takes rows (groups, n) of finite weights and a QuantSpec, and returns low and high, (groups, 1) each.
Weights that are exactly zero have been pruned and do not influence means, deviations and percentiles. No range exceeds
the smallest and the largest weight.
"""

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from torch import Tensor

from compression.quantization.kl import least_divergent_fraction
from compression.spec import DEFAULT_CLIP_AT, Clip, QuantSpec

Range = tuple[Tensor, Tensor]


def full(rows: Tensor, spec: QuantSpec) -> Range:
    r"""The range reaches from the smallest to the largest weight. Nothing is clipped, so the only error is rounding.

    Formula: [\min w, \max w]
    Source: Krishnamoorthi 2018 (arXiv:1806.08342), section 2, as it treats weights.
    Fails: if there is an outlier: one large weight makes the steps coarse for all others.
    """
    low, high = rows.aminmax(dim=1, keepdim=True)
    return low, high


def percentile(rows: Tensor, spec: QuantSpec) -> Range:
    r"""The largest magnitudes are clipped, by default one weight in a thousand. Outliers then do not determine the step
    size.

    Formula: [-P, P], \quad P = P_{99.9}\,\lvert w \rvert
    Source: Wu et al. 2020 (arXiv:2004.09602), section 3.3. Here the percentile is taken of the nonzero weights.
    Fails: if the largest weights matter most: it clips the same share of every layer, with outliers or without. With
        fewer than 1,000 nonzero weights per scale, the default of 99.9 % clips none of them: one weight is more than
        one in a thousand.
    """
    magnitude = np.sort(rows.abs().numpy(), axis=1)  # much faster than torch's sort
    zeros = (magnitude == 0).sum(1, keepdims=True)
    index = zeros + np.ceil((rows.shape[1] - zeros) * (_clip_at(spec, Clip.PERCENTILE) / 100)).astype(int) - 1
    return _range_around_zero(rows, torch.from_numpy(np.take_along_axis(magnitude, np.maximum(index, 0), 1)))


def stds(rows: Tensor, spec: QuantSpec) -> Range:
    r"""The range is the mean plus and minus k standard deviations, by default three. Of a normal distribution, 0.3 %
    lie outside.

    Formula: [\mu - k \sigma, \mu + k \sigma]
    Source: Zmora et al. 2019 (arXiv:1910.12232), the clipping N_STD of Distiller.
    Fails: if the weights are far from normally distributed: outliers enlarge the standard deviation that should exclude
        them.
    """
    mean, deviation = _moments(rows)
    return _range_around(rows, mean, _clip_at(spec, Clip.STDS) * deviation)


def means(rows: Tensor, spec: QuantSpec) -> Range:
    r"""The range is plus and minus k times the mean magnitude, by default five times. Outliers change the mean
    magnitude less than the standard deviation.

    Formula: [-k\,\overline{\lvert w \rvert}, k\,\overline{\lvert w \rvert}]
    Source: A rule of thumb, in the unit that Li and Liu 2016 (arXiv:1605.04711) use for ternary weights.
    Fails: if few bits need a narrower range, or many bits a wider one: it does not depend on the bits per weight.
    """
    return _range_around_zero(rows, _clip_at(spec, Clip.MEANS) * masked_mean(rows.abs(), rows != 0))


def gaussian(rows: Tensor, spec: QuantSpec) -> Range:
    r"""The range has about the least squared error for normally distributed weights with the same mean and standard
    deviation. It is known for each number of bits, so no search is needed.

    Formula: \mu \pm a\sigma, \quad a = \arg\min_a \Big( \mathrm{E}(|w| - a)_+^2 + \frac{a^2}{3 \cdot 4^b} \Big)
        \text{ for } w \sim N(0, 1)
    Source: ACIQ, Banner et al. 2019 (arXiv:1810.05723), section 3.
    Fails: if the weights are not normally distributed: the range is not adapted to them. With few bits even if they
        are: the formula takes the rounding errors for uniform and counts 2^b steps. At 2 bits, symmetric, the error is
        1.27 dB above the least.
    """
    mean, deviation = _moments(rows)
    return _range_around(rows, mean, best_gaussian(spec.bits) * deviation)


def laplace(rows: Tensor, spec: QuantSpec) -> Range:
    r"""The range has about the least squared error for weights with a Laplace distribution, which has longer tails than
    a normal distribution. It is measured in mean absolute deviations from the mean.

    Formula: \mu \pm a\beta, \quad \beta = \overline{\lvert w - \mu \rvert}, \quad
        a = \arg\min_a \Big( \mathrm{E}(|w| - a)_+^2 + \frac{a^2}{3 \cdot 4^b} \Big)
        \text{ for } w \sim \mathrm{Laplace}(0, 1)
    Source: ACIQ, Banner et al. 2019 (arXiv:1810.05723), section 3.
    Fails: if the tails are shorter: with many bits the range is then wider than necessary, up to the full range. With
        few bits the formula is not exact: at 2 bits, symmetric, the error is 0.73 dB above the least.
    """
    mean, _ = _moments(rows)
    return _range_around(rows, mean, best_laplace(spec.bits) * masked_mean((rows - mean).abs(), rows != 0))


def kl(rows: Tensor, spec: QuantSpec) -> Range:
    r"""The range minimizes the Kullback-Leibler divergence between the distribution of the clipped weights and that of
    the quantized weights.

    Formula: [-T, T], \quad T = \arg\min_T \sum_i P_i \log \frac{P_i}{Q_i}
    Source: Migacz 2017, 8-bit Inference with TensorRT, where it calibrates activations.
    Fails: for groups with few weights, whose histograms are unreliable. With more than eleven bits it never clips.
    """
    magnitude = rows.abs()
    return _range_around_zero(rows, least_divergent_fraction(magnitude, spec.bits) * magnitude.amax(1, keepdim=True))


CLIPS: dict[Clip, Callable[[Tensor, QuantSpec], Range]] = {
    Clip.FULL: full,
    Clip.PERCENTILE: percentile,
    Clip.STDS: stds,
    Clip.MEANS: means,
    Clip.GAUSSIAN: gaussian,
    Clip.LAPLACE: laplace,
    Clip.KL: kl,
}


@cache
def best_gaussian(bits: int) -> float:
    """Returns the half-width of the range with the least squared error by ACIQ's formula, in standard deviations.

    The formula is for 2^bits equal steps under a normal distribution, with uniform rounding errors.
    """

    def error(a: float) -> float:
        clipping = (a * a + 1) * math.erfc(a / math.sqrt(2)) - math.sqrt(2 / math.pi) * a * math.exp(-a * a / 2)
        return clipping + a * a / (3 * 4**bits)

    return _minimize(error)


@cache
def best_laplace(bits: int) -> float:
    """Returns the half-width of the range with the least squared error by ACIQ's formula, in mean absolute deviations.

    The formula is for 2^bits equal steps under a Laplace distribution, with uniform rounding errors.
    """
    return _minimize(lambda a: 2 * math.exp(-a) + a * a / (3 * 4**bits))


def _minimize(error: Callable[[float], float]) -> float:
    """Returns the argument in 0..50 that minimizes `error`, which has one minimum there, by ternary search."""
    low, high = 0.0, 50.0
    while high - low > 1e-6:
        third = (high - low) / 3
        if error(low + third) < error(high - third):
            high -= third
        else:
            low += third
    return (low + high) / 2


def _clip_at(spec: QuantSpec, clip: Clip) -> float:
    """Returns the number that `clip` is measured in: that of `spec`, or the default."""
    return DEFAULT_CLIP_AT[clip] if spec.clip_at is None else spec.clip_at


def _moments(rows: Tensor) -> Range:
    """Returns the mean and the standard deviation of the nonzero weights of each row, (groups, 1) each."""
    mean = _masked_mean_in_double(rows, rows != 0)
    return mean.float(), _masked_mean_in_double((rows.double() - mean).square(), rows != 0).sqrt().float()


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """values, mask (groups, n) -> the mean of the masked values of each row, or 0 without any: float32 (groups, 1)."""
    return _masked_mean_in_double(values, mask).float()


def _masked_mean_in_double(values: Tensor, mask: Tensor) -> Tensor:
    """Returns the masked mean in float64, where sums and squares of float32 numbers cannot overflow."""
    return (values * mask).sum(1, keepdim=True, dtype=torch.float64) / mask.sum(1, keepdim=True).clamp(min=1)


def _range_around(rows: Tensor, middle: Tensor, half_width: Tensor) -> Range:
    """Returns `middle` plus and minus `half_width`, limited to the smallest and the largest weight."""
    low, high = rows.aminmax(dim=1, keepdim=True)
    return torch.maximum(low, middle - half_width), torch.minimum(high, middle + half_width)


def _range_around_zero(rows: Tensor, half_width: Tensor) -> Range:
    return _range_around(rows, torch.zeros_like(half_width), half_width)
