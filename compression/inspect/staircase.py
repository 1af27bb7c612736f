"""A quantizer as the staircase that it is: its levels, where one ends and the next begins, and who stands on which."""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from compression.core.record import LayerRecord, sqnr_db
from compression.inspect.histogram import Histogram, histogram
from compression.quantization.codebooks import Codebook
from compression.quantization.quantizers import QParams, dequantize, quantize

LARGEST = torch.tensor(torch.finfo(torch.float32).max).view(torch.int32).item()


@dataclass(frozen=True)
class Staircase:
    """One quantizer, and the weights of a layer, or of one output channel of it, that it rounds.

    `levels` (K) are the values that it can give, ascending, and `counts` (K) the weights that get each; a weight of up
    to `bounds[k]` (K - 1), and no further, gets a level of up to `levels[k]`. `weights` are the float weights, and
    `noise` the share (0..1) of their squared error that arises in each bin; all zero where there is no error.
    `clipped`: the share of the weights that lie more than half a step beyond the last level on their side; None where
    a quantizer finds values of its own and covers no range.
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
        """How many levels any weight gets."""
        return sum(count > 0 for count in self.counts)

    @property
    def entropy_bits(self) -> float:
        """-sum p log2 p over the codes: the bits a weight that no entropy coder gets below, seeing codes alone."""
        total = sum(self.counts)
        return sum(count / total * math.log2(total / count) for count in self.counts if count)

    def polyline(self, low: float, high: float) -> tuple[list[float], list[float]]:
        """The steps from `low` to `high` as weights and levels: two points for each step that is seen there."""
        ends = [low, *(min(max(bound, low), high) for bound in self.bounds), high]
        seen = [(step, level) for step, level in zip(pairwise(ends), self.levels, strict=True) if step[0] < step[1]]
        return [end for step, _ in seen for end in step], [level for _, level in seen for _ in range(2)]


def staircase(record: LayerRecord, channel: int | None = None, bins: int = 121) -> Staircase:
    """The quantizer of `record` and all its weights, or those of one output `channel`.

    The bins are those of `weight_view`: equal ones, an odd number, from minus to plus the largest magnitude.
    Raises ValueError where the layer is not quantized or was pruned, and where each channel has a quantizer of its own
    but no channel is named.
    """
    if record.qparams is None or record.pruned:
        raise ValueError(f"layer {record.name} has no staircase: it is {'pruned' if record.pruned else 'float'}")
    own = quantizer_of(record.qparams, channel)
    weights = record.original.detach() if channel is None else record.original.detach()[channel]
    codes = quantize(weights, own)
    rounded = dequantize(codes, own)
    reach = float(weights.abs().max()) or 1.0
    first = 0 if isinstance(own, Codebook) else own.low
    all_codes = torch.arange(first, first + own.codes, dtype=torch.int32)
    levels = dequantize(all_codes, own)
    return Staircase(
        weights=histogram([weights], bins, -reach, reach),
        noise=_noise(weights, rounded, bins, reach),
        levels=tuple(levels.tolist()),
        counts=tuple((codes.flatten() - first).bincount(minlength=own.codes).tolist()),
        bounds=tuple(_bounds(own, all_codes[:-1]).tolist()),
        bits=record.bits,
        sqnr_db=sqnr_db(weights, rounded),
        clipped_share=None if isinstance(own, Codebook) else _clipped(weights, levels, float(own.scale)),
    )


def quantizer_of(qparams: QParams | Codebook, channel: int | None) -> QParams | Codebook:
    """The quantizer of one output channel, or the one that all share. Raises ValueError where they share none."""
    if qparams.group_size:
        raise ValueError(f"each {qparams.group_size} weights have a quantizer of their own: a channel has no staircase")
    groups = len(qparams.values) if isinstance(qparams, Codebook) else qparams.scale.numel()
    if groups > 1 and channel is None:
        raise ValueError(f"each of {groups} output channels has a quantizer of its own: name one")
    one = channel if groups > 1 and channel is not None else 0
    if isinstance(qparams, Codebook):
        return Codebook(qparams.values[one : one + 1], qparams.bounds[one : one + 1], qparams.stored_values)
    return QParams(qparams.scale.flatten()[one], qparams.zero_point.flatten()[one], qparams.low, qparams.high)


def _bounds(qparams: QParams | Codebook, codes: Tensor) -> Tensor:
    """codes (K,) -> the largest float32 that gets at most each of them (K,), by asking the quantizer itself.

    Bisection on the floats in their order, where neighbours are one apart: exact after 32 questions.
    """
    low, high = torch.full(codes.shape, -LARGEST), torch.full(codes.shape, LARGEST)
    for _ in range(32):
        middle = (low + high) // 2
        below = quantize(_float(middle), qparams) <= codes
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return _float(low)


def _float(place: Tensor) -> Tensor:
    """place (K,) int64 in the order of the floats, 0 being 0.0 -> float32."""
    magnitude = place.abs().int().view(torch.float32)
    return torch.where(place < 0, -magnitude, magnitude)


def _noise(weights: Tensor, rounded: Tensor, bins: int, reach: float) -> tuple[float, ...]:
    error = (rounded - weights).double().square().flatten()
    place = ((weights.flatten() + reach) * (bins / (2 * reach))).long().clamp(0, bins - 1)
    by_bin = torch.zeros(bins, dtype=torch.float64).index_add_(0, place, error)
    return tuple((by_bin / (by_bin.sum() or 1)).tolist())


def _clipped(weights: Tensor, levels: Tensor, scale: float) -> float:
    beyond = (weights < levels[0] - scale / 2) | (weights > levels[-1] + scale / 2)
    return float(beyond.float().mean())
