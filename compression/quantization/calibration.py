"""The range of a layer's inputs that integers cover, fixed before any image is compressed with it.

Each function takes what the float network's layer saw of training images, and the bits, and returns low and high,
low <= 0 <= high: zero, which ReLU and padding bring in masses, is always exact. What lies beyond goes to the ends.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from compression.quantization.quantizers import affine_qparams, dequantize, quantize
from compression.spec import ActivationSpec, Calibration

BINS = 1024

INPUT_FRACTIONS = 128  # fractions of a range; a multiple of them is BINS

TAIL = 0.001  # of the inputs, beyond each end

InputRange = tuple[float, float]

Counts = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class InputStats:
    """What one layer saw: `low` <= 0 <= `high` are its extremes, `counts` (BINS,) int64 its inputs in equal bins of
    low..high. `average_low` and `average_high` are moving averages of the extremes of the batches, 0 among them.
    """

    low: float
    high: float
    average_low: float
    average_high: float
    counts: Tensor

    @property
    def edges(self) -> Counts:
        """(BINS + 1,), ascending."""
        return np.linspace(self.low, self.high, BINS + 1)

    @property
    def zero_bin(self) -> int:
        """Which bin has 0 in it."""
        return min(int(BINS * -self.low / (self.high - self.low)), BINS - 1) if self.high > self.low else 0

    @property
    def values(self) -> Counts:
        """(BINS,): what the inputs in each bin are taken for, its middle; but 0 in the bin of 0, where most are 0."""
        middles = (self.edges[1:] + self.edges[:-1]) / 2
        middles[self.zero_bin] = 0
        return middles


LayerInputs = Mapping[str, InputStats]


def min_max(stats: InputStats, bits: int) -> InputRange:
    r"""Everything that was seen: nothing is clipped, and one rare large input makes the steps coarse for all others.

    Formula: l = \min x, \quad h = \max x
    Source: Wu et al. 2020 (arXiv:2004.09602), "max".
    Fails: with few bits, where a few outliers stretch the range.

    stats, bits -> low, high.
    """
    return stats.low, stats.high


def moving_average(stats: InputStats, bits: int) -> InputRange:
    r"""The extremes of each batch of 50 images, averaged as they come: an outlier in one batch counts for little.

    Formula: h \leftarrow 0.9\,h + 0.1\,\max x_{\mathrm{batch}}
    Source: Jacob et al. 2018 (arXiv:1712.05877), section 3.1.
    Fails: where outliers are in every batch, and in depending on the order and the size of the batches.

    stats, bits -> low, high.
    """
    return stats.average_low, stats.average_high


def percentile(stats: InputStats, bits: int) -> InputRange:
    r"""From the 0.1th to the 99.9th percentile of all inputs, zeros included; after a ReLU, which leaves nothing below
    zero, only the largest are clipped.

    Formula: l = Q_{0.001}(x), \quad h = Q_{0.999}(x)
    Source: Wu et al. 2020 (arXiv:2004.09602), "percentile".
    Fails: where the network listens to what is rare and large, and with many bits, where clipping gains nothing.

    stats, bits -> low, high, edges of bins of the histogram.
    """
    share = np.cumsum(stats.counts.double().numpy()) / int(stats.counts.sum())
    first, last = np.searchsorted(share, [TAIL, 1 - TAIL])
    return _with_zero(stats.edges[first], stats.edges[last + 1])


def least_error(stats: InputStats, bits: int) -> InputRange:
    r"""Of 128 fractions of the range, the one with the least squared error of the inputs: wide enough for what is
    large, narrow enough for fine steps.

    Formula: \min_{f} \sum_x (x - \hat x_f)^2, \quad l = f \min x, \quad h = f \max x
    Source: Choukroun et al. 2019 (arXiv:1902.06822), there of weights.
    Fails: where a small error of large inputs matters less to the network than one of small inputs.

    stats, bits -> low, high. The error is that of the bins of the histogram.
    """
    values, counts = torch.from_numpy(stats.values).float(), stats.counts.double()

    def error(fraction: float) -> float:
        ends = torch.tensor([fraction * stats.low, fraction * stats.high])
        qparams = affine_qparams(ends[0], ends[1], bits)
        return float(((dequantize(quantize(values, qparams), qparams) - values).double().square() * counts).sum())

    best = min(_fractions(), key=error)
    return best * stats.low, best * stats.high


def kl(stats: InputStats, bits: int) -> InputRange:
    r"""Of 128 fractions of the range, the one whose integers keep the distribution of the inputs best: P are the inputs
    with those beyond at the ends, Q is what 2^b levels can tell of those inside.

    Formula: \min_{f} \sum_i P_i \log (P_i / Q_i)
    Source: Migacz 2017, "8-bit inference with TensorRT" (GTC), there of magnitudes.
    Fails: with few bits, where it clips much to keep the shape of what is small; beyond nine it has nothing to tell.

    stats, bits -> low, high, edges of bins of the histogram. The bin of 0 counts as much as its neighbour, because most
    of its inputs are exactly 0, which every level set has. With 10 bits or more all is covered: a bin has a level then.
    """
    counts = stats.counts.double().numpy()
    zero = stats.zero_bin
    counts[zero] = counts[zero + 1 if zero + 1 < BINS else zero - 1]
    windows = [(round(zero * (1 - f)), BINS - round((BINS - zero) * (1 - f))) for f in _fractions()]
    wide = [window for window in windows if window[1] - window[0] > 2**bits] or windows[:1]
    start, stop = min(wide, key=lambda window: _divergence(counts, window, 2**bits))
    return _with_zero(stats.edges[start], stats.edges[stop])


CALIBRATIONS: dict[Calibration, Callable[[InputStats, int], InputRange]] = {
    Calibration.MIN_MAX: min_max,
    Calibration.MOVING_AVERAGE: moving_average,
    Calibration.PERCENTILE: percentile,
    Calibration.LEAST_ERROR: least_error,
    Calibration.KL: kl,
}


@lru_cache(maxsize=4096)
def input_range(stats: InputStats, spec: ActivationSpec) -> InputRange:
    """The range of the inputs that `spec` covers, low <= 0 <= high. Kept, because a search takes milliseconds."""
    return CALIBRATIONS[spec.calibration](stats, spec.bits)


def _divergence(counts: Counts, window: tuple[int, int], levels: int) -> float:
    """The Kullback-Leibler divergence, in nats, of the inputs clipped to a window of bins (the first, and one past the
    last) from those inside it in `levels` equal stretches, each spread evenly over its bins that are not empty.
    """
    start, stop = window
    inside = counts[start:stop]
    clipped = inside.copy()
    clipped[0] += counts[:start].sum()
    clipped[-1] += counts[stop:].sum()
    level = np.arange(len(inside)) * levels // len(inside)
    full = inside > 0
    spread = np.bincount(level, inside) / np.maximum(np.bincount(level, full), 1)
    q = np.where(full, spread[level], 0) / max(inside.sum(), 1)
    p = clipped / max(clipped.sum(), 1)
    with np.errstate(divide="ignore"):
        return float(np.sum(p[p > 0] * np.log(p[p > 0] / q[p > 0])))


def _fractions() -> list[float]:
    """From all of the range downwards, so that the widest of equals wins."""
    return [number / INPUT_FRACTIONS for number in range(INPUT_FRACTIONS, 0, -1)]


def _with_zero(low: float, high: float) -> InputRange:
    return min(float(low), 0.0), max(float(high), 0.0)
