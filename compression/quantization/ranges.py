"""The range that a quantizer covers: what lies beyond is clipped to its ends, and the rest gets finer steps.

Each function takes rows (groups, n), all finite, and what is wanted of the quantizer, and returns low and high,
(groups, 1) each. A weight that is exactly zero has been pruned and has no say in what is typical. No range goes beyond
the weights.
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
    r"""From the smallest weight to the largest: nothing is clipped, so no weight is off by more than its rounding.

    Formula: [\min w, \max w]
    Source: Krishnamoorthi 2018 (arXiv:1806.08342), section 2, as it treats weights.
    Fails: where one weight lies far out, for it makes the steps coarse for all others.
    """
    low, high = rows.aminmax(dim=1, keepdim=True)
    return low, high


def percentile(rows: Tensor, spec: QuantSpec) -> Range:
    r"""The largest magnitudes are clipped, one weight in a thousand unless told otherwise, so that outliers do not set
    the steps of all.

    Formula: [-P, P], \quad P = P_{99.9}\,\lvert w \rvert
    Source: Wu et al. 2020 (arXiv:2004.09602), section 3.3; here of the weights that are not zero.
    Fails: where the largest weights are the ones that matter, for it clips that share of any layer.
    """
    magnitude = np.sort(rows.abs().numpy(), axis=1)  # a fraction of the time of torch's
    zeros = (magnitude == 0).sum(1, keepdims=True)
    place = zeros + np.ceil((rows.shape[1] - zeros) * (_at(spec, Clip.PERCENTILE) / 100)).astype(int) - 1
    return _within(rows, torch.from_numpy(np.take_along_axis(magnitude, np.maximum(place, 0), 1)))


def stds(rows: Tensor, spec: QuantSpec) -> Range:
    r"""The mean plus and minus k standard deviations, three unless told otherwise: beyond, a Gaussian has 0.3 %.

    Formula: [\mu - k \sigma, \mu + k \sigma]
    Source: Zmora et al. 2019 (arXiv:1910.12232), the clipping N_STD of Distiller.
    Fails: where weights are far from a Gaussian's: outliers widen the deviation that should keep them out.
    """
    mean, deviation = _moments(rows)
    return _around(rows, mean, _at(spec, Clip.STDS) * deviation)


def means(rows: Tensor, spec: QuantSpec) -> Range:
    r"""Plus and minus k times the mean magnitude, five unless told otherwise, which outliers move less than they move a
    standard deviation.

    Formula: [-k\,\overline{\lvert w \rvert}, k\,\overline{\lvert w \rvert}]
    Source: A rule of thumb, in the unit that Li and Liu 2016 (arXiv:1605.04711) have for ternary weights.
    Fails: where few bits would need a tighter range, or many bits a wider one: it does not look at them.
    """
    return _within(rows, _at(spec, Clip.MEANS) * masked_mean(rows.abs(), rows != 0))


def gaussian(rows: Tensor, spec: QuantSpec) -> Range:
    r"""The range with the least squared error if the weights were a Gaussian's, with their mean and standard deviation:
    known beforehand for each bit width, without a search.

    Formula: \mu \pm a\sigma, \quad a = \arg\min_a \mathrm{E}(w - \hat w)^2 \text{ for } w \sim N(0, 1)
    Source: ACIQ, Banner et al. 2019 (arXiv:1810.05723), section 3.
    Fails: where they are no Gaussian's, and cannot know.
    """
    mean, deviation = _moments(rows)
    return _around(rows, mean, best_gaussian(spec.bits) * deviation)


def laplace(rows: Tensor, spec: QuantSpec) -> Range:
    r"""The range with the least squared error if the weights were a Laplace distribution's, which has longer tails than
    a Gaussian: its width is the mean distance from the mean.

    Formula: \mu \pm a\beta, \quad \beta = \overline{\lvert w - \mu \rvert}, \quad
        a = \arg\min_a \mathrm{E}(w - \hat w)^2 \text{ for } w \sim \mathrm{Laplace}(0, 1)
    Source: ACIQ, Banner et al. 2019 (arXiv:1810.05723), section 3.
    Fails: where tails are shorter: at many bits it then covers what is empty, though never beyond the weights.
    """
    mean, _ = _moments(rows)
    return _around(rows, mean, best_laplace(spec.bits) * masked_mean((rows - mean).abs(), rows != 0))


def kl(rows: Tensor, spec: QuantSpec) -> Range:
    r"""The range that keeps most of what the histogram says: the distribution of the quantized weights diverges least
    from that of the weights, those beyond the range put at its end.

    Formula: [-T, T], \quad T = \arg\min_T \sum_i P_i \log \frac{P_i}{Q_i}
    Source: Migacz 2017, 8-bit Inference with TensorRT, as it calibrates activations.
    Fails: where a group has few weights, whose histogram says little; and it never clips beyond eleven bits.
    """
    magnitude = rows.abs()
    return _within(rows, least_divergent_fraction(magnitude, spec.bits) * magnitude.amax(1, keepdim=True))


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
    """The half-width, in standard deviations, with the least squared error of 2^bits even steps under a Gaussian."""

    def error(a: float) -> float:
        beyond = (a * a + 1) * math.erfc(a / math.sqrt(2)) - math.sqrt(2 / math.pi) * a * math.exp(-a * a / 2)
        return beyond + a * a / (3 * 4**bits)

    return _least(error)


@cache
def best_laplace(bits: int) -> float:
    """The half-width, in mean distances from the mean, with the least squared error under a Laplace distribution."""
    return _least(lambda a: 2 * math.exp(-a) + a * a / (3 * 4**bits))


def _least(error: Callable[[float], float]) -> float:
    """Where `error`, which has one minimum in 0..50, is least, by ternary search."""
    low, high = 0.0, 50.0
    while high - low > 1e-6:
        third = (high - low) / 3
        if error(low + third) < error(high - third):
            high -= third
        else:
            low += third
    return (low + high) / 2


def _at(spec: QuantSpec, clip: Clip) -> float:
    return DEFAULT_CLIP_AT[clip] if spec.clip_at is None else spec.clip_at


def _moments(rows: Tensor) -> Range:
    """Mean and standard deviation of the weights that are not zero."""
    mean = _mean(rows, rows != 0)
    return mean.float(), _mean((rows.double() - mean).square(), rows != 0).sqrt().float()


def masked_mean(values: Tensor, among: Tensor) -> Tensor:
    """The mean of each row among some of it, and 0 where there is none: values (groups, n) -> float32 (groups, 1)."""
    return _mean(values, among).float()


def _mean(values: Tensor, among: Tensor) -> Tensor:
    """In float64, where sums and squares of no float32 overflow."""
    return (values * among).sum(1, keepdim=True, dtype=torch.float64) / among.sum(1, keepdim=True).clamp(min=1)


def _around(rows: Tensor, middle: Tensor, reach: Tensor) -> Range:
    low, high = rows.aminmax(dim=1, keepdim=True)
    return torch.maximum(low, middle - reach), torch.minimum(high, middle + reach)


def _within(rows: Tensor, reach: Tensor) -> Range:
    return _around(rows, torch.zeros_like(reach), reach)
