"""A sketch of the weights of a network: small enough for a browser, which computes from it while a slider moves.

For each output channel it holds the largest magnitude and a histogram of the weights in units of that. From this follow
codes, zeros, noise and entropy for any number of bits and any threshold, up to the width of a bin.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

BINS = 128  # for each sign
TINY = 1 / 2048  # of the peak: dead channels hold hundreds of weights that are smaller
PERCENTS = 101  # the sparsities whose thresholds are known exactly: 0, 0.01, ..., 1


@dataclass(frozen=True, eq=False)
class LayerSketch:
    """The weights of one layer.

    `peaks`: the largest magnitude of each channel, float32 (C,). `counts`: how many weights of a channel are in each
    bin, uint16 (C, 2 * BINS). The first BINS bins are for negative weights and divide the magnitudes from 0 to the
    peak, the others are for positive weights. `weights`: how many there are, with those that are zero or below TINY and
    in no bin. `tiny`: how many of these are not zero. `thresholds`: the lowest magnitude that is kept if the layer is
    pruned to 0, 1, ..., 100 %, float32 (PERCENTS,), infinite if nothing is kept.
    """

    name: str
    weights: int
    tiny: int
    peaks: NDArray[np.float32]
    counts: NDArray[np.uint16]
    thresholds: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class WeightSketch:
    """The sketches of all layers. `thresholds`: as in a layer, if all layers are pruned together."""

    layers: tuple[LayerSketch, ...]
    thresholds: NDArray[np.float32]


def sketch_weights(weights: Mapping[str, Tensor]) -> WeightSketch:
    """Returns the sketch of the `weights` of layers, each (C_out, ...)."""
    arrays = {name: weight.detach().numpy() for name, weight in weights.items()}
    magnitudes = [np.abs(array).ravel() for array in arrays.values()]
    layers = tuple(_sketch_layer(name, array) for name, array in arrays.items())
    return WeightSketch(layers, thresholds(magnitudes))


def thresholds(magnitudes: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Returns the lowest magnitude that is kept at each of the PERCENTS sparsities, as `keep_largest` prunes."""
    ordered = np.sort(np.concatenate(magnitudes))
    pruned = [int(percent / 100 * len(ordered)) for percent in range(PERCENTS)]
    return np.append(ordered, np.float32(np.inf))[pruned]


def _sketch_layer(name: str, weight: NDArray[np.float32]) -> LayerSketch:
    rows = weight.reshape(len(weight), -1)
    magnitudes = np.abs(rows)
    peaks = magnitudes.max(1)
    units = magnitudes / np.where(peaks > 0, peaks, 1)[:, None]
    bins = np.minimum((units * BINS).astype(np.int64), BINS - 1) + BINS * (rows >= 0)
    places = bins + 2 * BINS * np.arange(len(rows))[:, None]
    counts = np.bincount(places[units >= TINY], minlength=2 * BINS * len(rows))
    return LayerSketch(
        name=name,
        weights=weight.size,
        tiny=int(np.count_nonzero((units < TINY) & (rows != 0))),
        peaks=peaks,
        counts=counts.reshape(len(rows), -1).astype(np.uint16),
        thresholds=thresholds([magnitudes.ravel()]),
    )
