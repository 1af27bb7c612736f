"""Histograms of weights. They are binned here, so that a page receives hundreds of numbers and not millions."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from compression.core.record import CompressedModel, LayerRecord
from compression.networks.weights import swap_channels, weighted_layers
from compression.quantization.codebooks import Codebook
from compression.quantization.groups import from_groups, to_groups
from compression.quantization.quantizers import QParams, levels
from compression.spec import Clip, CompressionSpec, Criterion, Order, PruneSpec, Scheme, Scope, Structure, Unit

Floats = NDArray[np.float32]
Pair = tuple[Floats, Floats]  # weights before and after compression

MOST_LEVELS = 511
BINS = 128
BLOCK = 1 << 15  # weights that are counted at a time


@dataclass(frozen=True)
class Histogram:
    """A histogram: `edges` are bins + 1 values, `counts` the weights per bin. The last bin includes both its edges."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class WeightView:
    """The weights of one layer or of the whole network, before and after compression.

    relative   whether weights are shown in units of their own quantizer, where the levels of all channels coincide:
               1 is half of the distance between its lowest and its highest level, for symmetric quantizers the end of
               the range. Otherwise they are shown as they are
    before     the float weights, in equal bins
    zeroed     how many of them become zero, by bin
    after      the nonzero weights after compression, by bin
    levels     the positions of all levels that the quantizers have, ascending; empty if there are none or more than
               MOST_LEVELS
    held       how many nonzero weights are at each level
    zeros      how many weights are zero after compression
    clipped    how many float weights lie outside the range of their quantizer, by more than rounding
    threshold  the smallest magnitude that survived pruning. None if nothing was pruned, if it differs between layers,
               if batch norm was folded after pruning, if the score is not the magnitude of a single weight, or if
               weights are shown relative to more than one scale
    sqnr_db    signal-to-quantization-noise ratio of these weights in dB; infinite if they are unchanged
    """

    relative: bool
    before: Histogram
    zeroed: tuple[int, ...]
    after: tuple[int, ...]
    levels: tuple[float, ...]
    held: tuple[int, ...]
    zeros: int
    clipped: int
    weights: int
    threshold: float | None
    sqnr_db: float


def build_histogram(weights: Sequence[Tensor], bins: int, low: float, high: float) -> Histogram:
    """Counts all `weights`, of any shapes, in `bins` equal bins from `low` to `high`; others are not counted."""
    counts = torch.stack([torch.histc(weight.detach(), bins, low, high) for weight in weights]).sum(
        0, dtype=torch.int64
    )
    edges = torch.linspace(low, high, bins + 1)
    return Histogram(tuple(edges.tolist()), tuple(counts.tolist()))


def build_weight_view(compressed: CompressedModel, layer: str | None = None, bins: int = BINS) -> WeightView:
    """Returns the weights before and after compression, with histograms that have the same `bins` bins.

    `bins` is odd, so that one bin is centred on zero.
    """
    records = [record for record in compressed.layers if layer in (None, record.name)]
    relative = all(_has_units(record, compressed.spec) for record in records)
    pairs = [_in_units(record) if relative else _as_they_are(record) for record in records]
    reach = max(max(-float(weight.min()), float(weight.max())) for pair in pairs for weight in pair) or 1.0
    positions = _levels(records, relative)
    kept, zeroed = _bin_floats(pairs, bins, reach)
    return WeightView(
        relative=relative,
        before=Histogram(_edges(bins, reach), tuple((kept + zeroed).tolist())),
        zeroed=tuple(zeroed.tolist()),
        after=() if len(positions) else tuple(_bin_nonzero(pairs, bins, reach).tolist()),
        levels=tuple(positions.tolist()),
        held=tuple(_hold(pairs, positions, int(zeroed.sum())).tolist()) if len(positions) else (),
        zeros=sum(record.weights - record.nonzero for record in records),
        clipped=sum(_clipped(record, compressed.spec) for record in records),
        weights=sum(record.weights for record in records),
        threshold=_threshold(compressed.spec, records, relative),
        sqnr_db=_sqnr_db(records),
    )


def find_largest_threshold(model: nn.Module) -> float:
    """Returns the magnitude below which 99 % of the weights are. A larger threshold would prune almost all weights.

    It is above 0: if 99 % of the weights are zero, it is the largest magnitude, and 1 if all weights are zero.
    """
    magnitudes = np.concatenate([weight.detach().abs().flatten().numpy() for weight in weighted_layers(model).values()])
    reach = float(np.quantile(magnitudes, 0.99))  # torch.quantile takes at most 16 million values
    return reach or float(magnitudes.max()) or 1.0


def _has_units(record: LayerRecord, spec: CompressionSpec) -> bool:
    """Whether the levels of all channels of a layer coincide in units of their scales, and zero is one of them."""
    evenly = spec.weights is None or spec.weights.scheme in (Scheme.SYMMETRIC, Scheme.AFFINE)
    return evenly and isinstance(record.qparams, QParams) and record.qparams.zero_is_exact


def _half(qparams: QParams) -> float:
    """Half of the distance between the lowest and the highest level, in steps."""
    return (qparams.codes - 1) / 2


def _as_they_are(record: LayerRecord) -> Pair:
    return record.original.detach().numpy(), record.weight.numpy()


def _in_units(record: LayerRecord) -> Pair:
    """Returns the float and the compressed weights relative to half of the range of their quantizers."""
    qparams = record.qparams
    assert isinstance(qparams, QParams)
    unit = (qparams.scale * _half(qparams)).reciprocal()
    both = swap_channels(record.original.detach(), record.transposed_groups), record.channels_first
    if qparams.group_size is None:
        return both[0].numpy() * unit.numpy(), both[1].numpy() * unit.numpy()
    before, after = (from_groups(to_groups(each, qparams.group_size) * unit, each.shape).numpy() for each in both)
    return before, after


def _edges(bins: int, reach: float) -> tuple[float, ...]:
    return tuple(np.linspace(-reach, reach, bins + 1).tolist())


def _bins_of(weights: Floats, bins: int, reach: float) -> NDArray[np.intp]:
    """Returns the bin, 0..bins - 1, of each of the `weights`, which lie within the reach."""
    return np.minimum(((weights + reach) * (bins / (2 * reach))).astype(np.intp), bins - 1)


def _blocks(pairs: Sequence[Pair]) -> Iterator[Pair]:
    """Yields all weights in pieces that a processor keeps in its cache while they are counted."""
    for pair in pairs:
        alike = pair[0].strides == pair[1].strides
        before, after = (each.ravel("K" if alike else "C") for each in pair)  # in the order of memory without a copy
        for start in range(0, len(before), BLOCK):
            yield before[start : start + BLOCK], after[start : start + BLOCK]


def _bin_floats(pairs: Sequence[Pair], bins: int, reach: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Returns how many float weights stay nonzero and how many become zero, (bins,) each."""
    counts = sum(
        np.bincount(_bins_of(before, bins, reach) + bins * (after == 0), minlength=2 * bins)
        for before, after in _blocks(pairs)
    )
    assert isinstance(counts, np.ndarray)
    return counts[:bins], counts[bins:]


def _bin_nonzero(pairs: Sequence[Pair], bins: int, reach: float) -> NDArray[np.intp]:
    """Returns the histogram of the nonzero compressed weights (bins,)."""
    counts = sum(np.bincount(_bins_of(after[after != 0], bins, reach), minlength=bins) for _, after in pairs)
    assert isinstance(counts, np.ndarray)
    return counts


def _hold(pairs: Sequence[Pair], positions: Floats, zeros: int) -> NDArray[np.intp]:
    """Returns how many nonzero compressed weights are nearest to each of the ascending `positions` (L,).

    `zeros`: how many compressed weights are zero.
    """
    counts = sum(np.bincount(_nearest(after, positions), minlength=len(positions)) for _, after in _blocks(pairs))
    assert isinstance(counts, np.ndarray)
    counts[_nearest(np.zeros(1, np.float32), positions)] -= zeros
    return counts


def _nearest(values: Floats, positions: Floats) -> NDArray[np.intp]:
    """Returns the index of the nearest position for each value. Evenly spaced positions take a fraction of the time."""
    gaps = np.diff(positions)
    if len(gaps) and np.ptp(gaps) < 1e-3 * gaps[0]:
        return np.rint((values - positions[0]) * (len(gaps) / (positions[-1] - positions[0]))).astype(np.intp)
    return np.searchsorted((positions[1:] + positions[:-1]) / 2, values)


def _levels(records: Sequence[LayerRecord], relative: bool) -> Floats:
    """Returns the positions of all levels, ascending (L,); none if there are too many or a layer has no quantizer."""
    values = np.empty(0, np.float32)
    quantizers = [record.qparams for record in records if record.qparams]
    if len(quantizers) < len(records) or any(qparams.codes > MOST_LEVELS for qparams in quantizers):
        return values
    for qparams in quantizers:
        values = np.union1d(values, _steps(qparams) if relative else levels(qparams).numpy())
        if len(values) > MOST_LEVELS:
            return values[:0]
    return values


def _steps(qparams: QParams | Codebook) -> Floats:
    """Returns the positions of the levels in units of half of the range."""
    assert isinstance(qparams, QParams)
    first, last = (qparams.low - qparams.zero_point).min(), (qparams.high - qparams.zero_point).max()
    return (np.arange(int(first), int(last) + 1) / _half(qparams)).astype(np.float32)


def _clipped(record: LayerRecord, spec: CompressionSpec) -> int:
    """Returns how many float weights of a layer lie more than half a step outside the range of their quantizer."""
    if spec.weights is None or spec.weights.clip is Clip.FULL or not isinstance(record.qparams, QParams):
        return 0
    weight, qparams = swap_channels(record.original.detach(), record.transposed_groups), record.qparams
    values = to_groups(weight, qparams.group_size) if qparams.group_size else weight
    codes = (values * qparams.scale.reciprocal() + qparams.zero_point).round()
    return int(((codes < qparams.low) | (codes > qparams.high)).count_nonzero())


def _sqnr_db(records: Sequence[LayerRecord]) -> float:
    """Returns the ratio of the energy of the weights to the energy of their changes in dB."""
    signals = [float(record.original.detach().square().sum()) for record in records]
    noise = sum(signal / 10 ** (record.sqnr_db / 10) for signal, record in zip(signals, records, strict=True) if signal)
    return 10 * math.log10(sum(signals) / noise) if noise else math.inf


def _threshold(spec: CompressionSpec, records: Sequence[LayerRecord], relative: bool) -> float | None:
    prune = spec.prune or PruneSpec(sparsity=0)
    if (prune.criterion, prune.structure, spec.order) != (Criterion.L1, Structure.WEIGHT, Order.FOLD_FIRST):
        return None
    one_for_all = prune.scope is Scope.GLOBAL and prune.unit is Unit.ABSOLUTE
    alike = len(records) == 1 or (one_for_all and all(own.sparsity is None for own in spec.layers))
    if not any(record.pruned for record in records) or not alike:
        return None
    smallest = min(record.threshold for record in records)
    if not math.isfinite(smallest):
        return None
    if not relative:
        return smallest
    qparams = records[0].qparams
    assert isinstance(qparams, QParams)
    return (
        smallest / float(qparams.scale * _half(qparams)) if len(records) == 1 and qparams.scale.numel() == 1 else None
    )
