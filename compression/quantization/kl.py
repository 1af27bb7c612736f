"""The clipping range with the least Kullback-Leibler divergence, as TensorRT's calibration searches it.

Source: Migacz 2017, 8-bit Inference with TensorRT. The magnitudes of a row are counted in 2,048 bins, or in fewer if
the row has fewer weights. A candidate range keeps the first i bins. P is the histogram of the weights clipped to that
range: everything beyond is added to the last bin. Q is the histogram after quantization: each code covers
i / 2^(b-1) neighbouring bins, and the weights of a code are spread evenly over those of its bins where P is not zero.

Only multiples of 2^(b-1) bins are tried, so that every code covers equally many bins. Q is then constant within a code,
and the divergence follows from running sums at the ends of the codes.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

MOST_BINS = 2048

TOLERANCE = 1e-9  # divergences that differ by less count as equal, and the wider range wins

Float64Array = npt.NDArray[np.float64]


def least_divergent_fraction(magnitude: Tensor, bits: int) -> Tensor:
    """magnitude (groups, n) -> the fraction of each row's largest magnitude to cover, float32 (groups, 1) in 0..1.

    Zeros are ignored. The fraction is 1, the whole range, if there are no more bins than codes: clipping gains nothing.
    """
    counts, codes = _counts(magnitude), 2 ** (bits - 1)
    candidates = counts.shape[1] // codes
    if candidates < 2:
        return torch.ones(len(magnitude), 1)
    divergences = _divergences(counts, codes)
    least = divergences.min(1, keepdims=True)
    widest = candidates - 1 - np.argmax((divergences <= least + TOLERANCE)[:, ::-1], axis=1)
    return torch.from_numpy((widest + 1) / candidates).float()[:, None]


def _counts(magnitude: Tensor) -> Float64Array:
    """(groups, n) -> (groups, bins): counts in equal bins from 0 to the largest magnitude; `bins` is a power of two."""
    groups, n = magnitude.shape
    bins = min(MOST_BINS, 2 ** (n.bit_length() - 1))
    top = magnitude.amax(1, keepdim=True).double()
    index = (magnitude.double() * (bins / torch.where(top > 0, top, 1.0))).int().clamp_(max=bins - 1)
    index += bins * torch.arange(groups, dtype=torch.int32)[:, None]
    counts = np.bincount(index[magnitude > 0].numpy(), minlength=groups * bins)
    return counts.reshape(groups, bins).astype(np.float64)


def _divergences(counts: Float64Array, codes: int) -> Float64Array:
    """(groups, bins) -> (groups, candidates): sum P log(P / Q) if the first `codes`, 2 `codes`, ... bins are kept."""
    candidates = counts.shape[1] // codes
    ends = np.arange(1, candidates + 1)[:, None] * np.arange(codes + 1)  # of the codes, in bins
    widths = ends[:, -1]
    below = _running_sums(counts)
    last = counts[:, widths - 1]
    beyond = below[:, -1:] - below[:, widths]
    inside = np.diff(below[:, ends], axis=2)
    nonempty = np.diff(_running_sums(counts > 0)[:, ends], axis=2)
    nonempty[:, :, -1] += (last == 0) & (beyond > 0)
    reference = inside.copy()
    reference[:, :, -1] += beyond
    with np.errstate(divide="ignore"):
        log_spread = np.log(inside / np.maximum(nonempty, 1), where=reference > 0, out=np.zeros_like(inside))
    entropy = _running_sums(_xlogx(counts))[:, widths - 1] + _xlogx(last + beyond)
    total = np.maximum(below[:, -1:], 1)
    return (entropy - (reference * log_spread).sum(2)) / total - np.log(total / np.maximum(below[:, widths], 1))


def _running_sums(values: npt.NDArray) -> Float64Array:
    """(groups, bins) -> (groups, bins + 1): the sums of the first 0, 1, ... bins."""
    return np.pad(np.cumsum(values, 1, dtype=np.float64), ((0, 0), (1, 0)))


def _xlogx(values: Float64Array) -> Float64Array:
    return values * np.log(np.maximum(values, 1))
