"""A quantizer as a staircase: its levels, the bounds between them, and how many weights get each level."""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from compression.core.record import LayerRecord, sqnr_db
from compression.inspect.histogram import Histogram, build_histogram
from compression.quantization.codebooks import Codebook
from compression.quantization.quantizers import QParams, dequantize, quantize

LARGEST = torch.tensor(torch.finfo(torch.float32).max).view(torch.int32).item()


@dataclass(frozen=True)
class Staircase:
    """One quantizer, and the weights of a layer, or of one of its output channels, that it rounds.

    `levels` (K) are the values that it can give, ascending, and `counts` (K) the weights that get each of them. Weights
    up to `bounds[k]` (K - 1) get at most `levels[k]`, and larger weights get a higher level. `weights` is the histogram
    of the float weights, and `noise` the share (0..1) of their squared error in each bin; all zero without error.
    `clipped_share` (0..1) is the share of the weights that lie more than half a step beyond the last level on their
    side; None for a codebook, which has no clipping range.
    """

    weights: Histogram
    noise: tuple[float, ...]
    levels: tuple[float, ...]
    counts: tuple[int, ...]
    bounds: tuple[float, ...]
    bits: int
    sqnr_db: float
    clipped_share: float | None

    @property
    def used_levels(self) -> int:
        """The number of levels that at least one weight gets."""
        return sum(count > 0 for count in self.counts)

    @property
    def entropy_bits(self) -> float:
        """The order-0 entropy of the codes, -sum p log2 p: the least bits per weight for a coder of single codes."""
        total = sum(self.counts)
        return sum(count / total * math.log2(total / count) for count in self.counts if count)

    def polyline(self, low: float, high: float) -> tuple[list[float], list[float]]:
        """Returns the steps between `low` and `high` as weights and levels: two points for each visible step."""
        ends = [low, *(min(max(bound, low), high) for bound in self.bounds), high]
        visible = [(step, level) for step, level in zip(pairwise(ends), self.levels, strict=True) if step[0] < step[1]]
        return [end for step, _ in visible for end in step], [level for _, level in visible for _ in range(2)]


def build_staircase(record: LayerRecord, channel: int | None = None, bins: int = 121) -> Staircase:
    """Returns the staircase of the quantizer of `record` for all its weights, or those of one output `channel`.

    As in `build_weight_view`, there is an odd number of equal bins from minus to plus the largest magnitude. Raises
    ValueError if the layer is float or pruned, or if each channel has its own quantizer and no channel is given.
    """
    if record.qparams is None or record.pruned:
        state = "pruned" if record.pruned else "float"
        raise ValueError(f"layer {record.name} is {state}; a staircase needs a quantized layer that is not pruned")
    own = find_quantizer(record.qparams, channel)
    weights = record.original.detach() if channel is None else record.original.detach()[channel]
    codes = quantize(weights, own)
    rounded = dequantize(codes, own)
    reach = float(weights.abs().max()) or 1.0
    first = 0 if isinstance(own, Codebook) else own.low
    all_codes = torch.arange(first, first + own.codes, dtype=torch.int32)
    levels = dequantize(all_codes, own)
    return Staircase(
        weights=build_histogram([weights], bins, -reach, reach),
        noise=_noise(weights, rounded, bins, reach),
        levels=tuple(levels.tolist()),
        counts=tuple((codes.flatten() - first).bincount(minlength=own.codes).tolist()),
        bounds=tuple(_bounds(own, all_codes[:-1]).tolist()),
        bits=record.bits,
        sqnr_db=sqnr_db(weights, rounded),
        clipped_share=None if isinstance(own, Codebook) else _clipped_share(weights, levels, float(own.scale)),
    )


def find_quantizer(qparams: QParams | Codebook, channel: int | None) -> QParams | Codebook:
    """Returns the quantizer of one output channel, or the one of all channels. Raises ValueError if there is none."""
    if qparams.group_size:
        raise ValueError(
            f"each group of {qparams.group_size} weights has its own quantizer; a staircase needs the granularity "
            "tensor or channel"
        )
    groups = len(qparams.values) if isinstance(qparams, Codebook) else qparams.scale.numel()
    if groups > 1 and channel is None:
        raise ValueError(f"each of {groups} output channels has its own quantizer; give the number of a channel")
    index = channel if groups > 1 and channel is not None else 0
    if isinstance(qparams, Codebook):
        return Codebook(qparams.values[index : index + 1], qparams.bounds[index : index + 1], qparams.stored_values)
    return QParams(qparams.scale.flatten()[index], qparams.zero_point.flatten()[index], qparams.low, qparams.high)


def _bounds(qparams: QParams | Codebook, codes: Tensor) -> Tensor:
    """Returns, for each of codes (K,), the largest float32 that the quantizer gives at most that code (K,).

    This bisects the integers that number all floats in ascending order, so it is exact after 32 steps.
    """
    low, high = torch.full(codes.shape, -LARGEST), torch.full(codes.shape, LARGEST)
    for _ in range(32):
        middle = (low + high) // 2
        below = quantize(_float(middle), qparams) <= codes
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return _float(low)


def _float(place: Tensor) -> Tensor:
    """Returns the float32 (K,) with the numbers `place` (K,) int64 in ascending order of all floats; 0 is 0.0."""
    magnitude = place.abs().int().view(torch.float32)
    return torch.where(place < 0, -magnitude, magnitude)


def _noise(weights: Tensor, rounded: Tensor, bins: int, reach: float) -> tuple[float, ...]:
    error = (rounded - weights).double().square().flatten()
    place = ((weights.flatten() + reach) * (bins / (2 * reach))).long().clamp(0, bins - 1)
    by_bin = torch.zeros(bins, dtype=torch.float64).index_add_(0, place, error)
    return tuple((by_bin / (by_bin.sum() or 1)).tolist())


def _clipped_share(weights: Tensor, levels: Tensor, scale: float) -> float:
    beyond = (weights < levels[0] - scale / 2) | (weights > levels[-1] + scale / 2)
    return float(beyond.float().mean())
