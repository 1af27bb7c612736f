"""Calibration: the ranges of layer inputs that integers cover, chosen from the inputs of training images.

Each function takes the statistics of one layer's inputs in the float network and the number of bits, and returns low
and high with low <= 0 <= high. Zero is therefore represented exactly; ReLU and padding make it the most common input.
Inputs outside the range are clipped to its ends.
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

INPUT_FRACTIONS = 128  # fractions of the range of inputs that are tried; divides BINS

TAIL = 0.001  # share of the inputs outside each end of the percentile range

InputRange = tuple[float, float]

Counts = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class InputStats:
    """Statistics of the inputs of one layer.

    `low` <= 0 <= `high`: the smallest and largest input. `counts` (BINS,) int64: a histogram with equal bins over
    low..high. `average_low` and `average_high`: moving averages of the smallest and largest input of each batch, where
    0 counts as an input.
    """

    low: float
    high: float
    average_low: float
    average_high: float
    counts: Tensor

    @property
    def edges(self) -> Counts:
        """The edges of the bins, (BINS + 1,), ascending."""
        return np.linspace(self.low, self.high, BINS + 1)

    @property
    def zero_bin(self) -> int:
        """The index of the bin that contains 0."""
        return min(int(BINS * -self.low / (self.high - self.low)), BINS - 1) if self.high > self.low else 0

    @property
    def values(self) -> Counts:
        """The input that stands for each bin, (BINS,): its middle, or 0 for the bin of 0, where most inputs are 0."""
        middles = (self.edges[1:] + self.edges[:-1]) / 2
        middles[self.zero_bin] = 0
        return middles


LayerInputs = Mapping[str, InputStats]


def min_max(stats: InputStats, bits: int) -> InputRange:
    r"""The range reaches from the smallest to the largest input in the training images. None of these is clipped.

    Formula: l = \min x, \quad h = \max x
    Source: Wu et al. 2020 (arXiv:2004.09602), "max".
    Fails: with few bits: one rare large input makes the steps coarse for all others.

    stats, bits -> low, high.
    """
    return stats.low, stats.high


def moving_average(stats: InputStats, bits: int) -> InputRange:
    r"""The range reaches from the moving average of the smallest inputs of batches of 50 images to that of the largest
    inputs. An outlier in one batch has little influence.

    Formula: h \leftarrow 0.9\,h + 0.1\,\max x_{\mathrm{batch}}
    Source: Jacob et al. 2018 (arXiv:1712.05877), section 3.1.
    Fails: if every batch has outliers. The range also depends on the order and the size of the batches.

    stats, bits -> low, high.
    """
    return stats.average_low, stats.average_high


def percentile(stats: InputStats, bits: int) -> InputRange:
    r"""The range reaches from the 0.1th to the 99.9th percentile of all inputs, zeros included. After a ReLU no input
    is negative, so only the largest inputs are clipped.

    Formula: l = Q_{0.001}(x), \quad h = Q_{0.999}(x)
    Source: Wu et al. 2020 (arXiv:2004.09602), "percentile".
    Fails: if rare large inputs matter to the network, and with many bits, where clipping gains nothing.

    stats, bits -> low, high, which are edges of bins of the histogram.
    """
    share = np.cumsum(stats.counts.double().numpy()) / int(stats.counts.sum())
    first, last = np.searchsorted(share, [TAIL, 1 - TAIL])
    return _with_zero(stats.edges[first], stats.edges[last + 1])


def least_error(stats: InputStats, bits: int) -> InputRange:
    r"""The fraction of the full range with the least squared error of the inputs is used, out of 128 fractions. It
    balances the error of clipping large inputs against the error of rounding the others.

    Formula: \min_{f} \sum_x (x - \hat x_f)^2, \quad l = f \min x, \quad h = f \max x
    Source: Choukroun et al. 2019 (arXiv:1902.06822), where it is applied to weights.
    Fails: if errors of small inputs matter more to the network than errors of large inputs: it weights them equally.

    stats, bits -> low, high. The error is computed on the bins of the histogram.
    """
    values, counts = torch.from_numpy(stats.values).float(), stats.counts.double()

    def error(fraction: float) -> float:
        ends = torch.tensor([fraction * stats.low, fraction * stats.high])
        qparams = affine_qparams(ends[0], ends[1], bits)
        return float(((dequantize(quantize(values, qparams), qparams) - values).double().square() * counts).sum())

    best = min(_fractions(), key=error)
    return best * stats.low, best * stats.high


def kl(stats: InputStats, bits: int) -> InputRange:
    r"""The fraction of the full range with the least Kullback-Leibler divergence is used, out of 128 fractions. P is
    the distribution of the clipped inputs, Q that of the inputs within the range after quantization to 2^b levels.

    Formula: \min_{f} \sum_i P_i \log (P_i / Q_i)
    Source: Migacz 2017, "8-bit inference with TensorRT" (GTC), where it is applied to magnitudes.
    Fails: with few bits: it clips many large inputs to preserve the distribution of small ones. With ten bits or more
        it never clips.

    stats, bits -> low, high, which are edges of bins of the histogram. The bin of 0 is counted like its neighbour: most
    of its inputs are exactly 0, which every range represents exactly. With 10 bits or more each bin has a level of its
    own, and the full range is used.
    """
    counts = stats.counts.double().numpy()
    zero = stats.zero_bin
    counts[zero] = counts[zero + 1 if zero + 1 < BINS else zero - 1]
    windows = [(round(zero * (1 - f)), BINS - round((BINS - zero) * (1 - f))) for f in _fractions()]
    candidates = [window for window in windows if window[1] - window[0] > 2**bits] or windows[:1]
    start, stop = min(candidates, key=lambda window: _divergence(counts, window, 2**bits))
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
    """Returns the range of the inputs that `spec` covers, low <= 0 <= high. Cached: a search takes milliseconds."""
    return CALIBRATIONS[spec.calibration](stats, spec.bits)


def _divergence(counts: Counts, window: tuple[int, int], levels: int) -> float:
    """Returns the Kullback-Leibler divergence, in nats, for a window of bins: its first bin and one past its last.

    P is the histogram clipped to the window. Q is the histogram inside the window, divided into `levels` equal parts,
    each spread evenly over its nonempty bins.
    """
    start, stop = window
    inside = counts[start:stop]
    clipped = inside.copy()
    clipped[0] += counts[:start].sum()
    clipped[-1] += counts[stop:].sum()
    level = np.arange(len(inside)) * levels // len(inside)
    nonempty = inside > 0
    spread = np.bincount(level, inside) / np.maximum(np.bincount(level, nonempty), 1)
    q = np.where(nonempty, spread[level], 0) / max(inside.sum(), 1)
    p = clipped / max(clipped.sum(), 1)
    with np.errstate(divide="ignore"):
        return float(np.sum(p[p > 0] * np.log(p[p > 0] / q[p > 0])))


def _fractions() -> list[float]:
    """Returns the fractions in descending order, so that the widest of equally good ranges wins."""
    return [number / INPUT_FRACTIONS for number in range(INPUT_FRACTIONS, 0, -1)]


def _with_zero(low: float, high: float) -> InputRange:
    return min(float(low), 0.0), max(float(high), 0.0)
