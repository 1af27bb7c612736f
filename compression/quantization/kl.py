"""How far the distribution of quantized weights is from that of the weights: the search of TensorRT's calibration.

Migacz 2017, 8-bit Inference with TensorRT. The magnitudes of a row are counted in 2,048 bins, or fewer where it has
fewer weights. A candidate keeps the first i bins, and what lies beyond is added to the last of them: P. In Q,
i / 2^(b-1) bins side by side share a code: their weights are spread evenly over those of them where P has any.

Candidates are the multiples of 2^(b-1), so that every code has equally many bins. Then a bin's part of Q is the same
all over a code, and the divergence follows from running sums at the ends of the codes alone.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

MOST_BINS = 2048

SAME = 1e-9  # divergences that differ by less are the same: the wider range is better

Float64Array = npt.NDArray[np.float64]


def least_divergent_fraction(magnitude: Tensor, bits: int) -> Tensor:
    """magnitude (groups, n) -> which fraction of its largest to cover: float32 (groups, 1) in 0..1. Zeros do not count.

    1, the whole range, where there are no more bins than codes, for then nothing can be won.
    """
    counts, codes = _counts(magnitude), 2 ** (bits - 1)
    tried = counts.shape[1] // codes
    if tried < 2:
        return torch.ones(len(magnitude), 1)
    divergences = _divergences(counts, codes)
    least = divergences.min(1, keepdims=True)
    widest = tried - 1 - np.argmax((divergences <= least + SAME)[:, ::-1], axis=1)
    return torch.from_numpy((widest + 1) / tried).float()[:, None]


def _counts(magnitude: Tensor) -> Float64Array:
    """(groups, n) -> (groups, bins): how many are in each of equal bins up to the largest, a power of two of them."""
    groups, n = magnitude.shape
    bins = min(MOST_BINS, 2 ** (n.bit_length() - 1))
    top = magnitude.amax(1, keepdim=True).double()
    place = (magnitude.double() * (bins / torch.where(top > 0, top, 1.0))).int().clamp_(max=bins - 1)
    place += bins * torch.arange(groups, dtype=torch.int32)[:, None]
    found = np.bincount(place[magnitude > 0].numpy(), minlength=groups * bins)
    return found.reshape(groups, bins).astype(np.float64)


def _divergences(counts: Float64Array, codes: int) -> Float64Array:
    """(groups, bins) -> (groups, tried): sum P log(P / Q) where the first `codes`, 2 `codes`, ... bins are kept."""
    tried = counts.shape[1] // codes
    ends = np.arange(1, tried + 1)[:, None] * np.arange(codes + 1)  # of the codes, in bins
    kept = ends[:, -1]
    below = _running(counts)
    last = counts[:, kept - 1]
    beyond = below[:, -1:] - below[:, kept]
    inside = np.diff(below[:, ends], axis=2)
    filled = np.diff(_running(counts > 0)[:, ends], axis=2)
    filled[:, :, -1] += (last == 0) & (beyond > 0)
    reference = inside.copy()
    reference[:, :, -1] += beyond
    with np.errstate(divide="ignore"):
        spread = np.log(inside / np.maximum(filled, 1), where=reference > 0, out=np.zeros_like(inside))
    entropy = _running(_xlogx(counts))[:, kept - 1] + _xlogx(last + beyond)
    total = np.maximum(below[:, -1:], 1)
    return (entropy - (reference * spread).sum(2)) / total - np.log(total / np.maximum(below[:, kept], 1))


def _running(values: npt.NDArray) -> Float64Array:
    """(groups, bins) -> (groups, bins + 1): the sums of those before each, and of all."""
    return np.pad(np.cumsum(values, 1, dtype=np.float64), ((0, 0), (1, 0)))


def _xlogx(values: Float64Array) -> Float64Array:
    return values * np.log(np.maximum(values, 1))
