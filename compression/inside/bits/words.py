"""Weights as the words that store them, and networks after single bits of these words were flipped.

Weights are stored densely, one after another, as a program holds them in memory: float32 (IEEE 754) or a code. A code
of a symmetric quantizer is in two's complement, as int8 is; other codes are counted from their lowest one. A code that
no weight has, such as -128, is decoded by the same formula; beyond the end of a codebook, the last value counts.
"""

import copy
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from compression.core.record import CompressedModel, LayerRecord
from compression.networks.weights import swap_channels, weighted_layers
from compression.quantization.quantizers import QParams, dequantize, quantize
from compression.spec import FLOAT_BITS


@dataclass(frozen=True)
class Flip:
    """A bit to flip: bit number `bit`, 0 the lowest, of the weight `weight` of a layer, output channels first."""

    layer: str
    weight: int
    bit: int


@dataclass(frozen=True)
class Trial:
    """Which bits are flipped: `count` of them, drawn with `seed`, of all bits or only at one `position` of the word."""

    count: int
    seed: int = 0
    position: int | None = None


def draw(layers: Sequence[LayerRecord], trial: Trial) -> tuple[Flip, ...]:
    """Returns different bits of the weights of `layers`, each equally likely; all of them if there are too few."""
    widths = [
        (record, record.bits if trial.position is None else int(record.bits > trial.position)) for record in layers
    ]
    ends = np.cumsum([record.weights * width for record, width in widths])
    total = int(ends[-1])
    numbers = np.random.Generator(np.random.PCG64(trial.seed)).choice(total, min(trial.count, total), replace=False)
    flips = []
    for number in np.sort(numbers).tolist():
        place = int(np.searchsorted(ends, number, side="right"))
        record, width = widths[place]
        weight, bit = divmod(number - int(ends[place]) + record.weights * width, width)
        flips.append(Flip(record.name, weight, bit if trial.position is None else trial.position))
    return tuple(flips)


def flip_bits(compressed: CompressedModel, flips: Sequence[Flip]) -> nn.Module:
    """Returns the compressed network after `flips`; it shares all other tensors with it."""
    by_layer: dict[str, list[Flip]] = defaultdict(list)
    for each in flips:
        by_layer[each.layer].append(each)
    module, weights = compressed.module, weighted_layers(compressed.module, compressed.spec.also)
    memo: dict[int, Any] = {id(each): each for each in (*module.parameters(), *module.buffers())}
    for record in compressed.layers:
        if own := by_layer.get(record.name):
            changed = swap_channels(flip_layer(record, own), record.transposed_groups)
            memo[id(weights[record.name])] = nn.Parameter(changed, requires_grad=False)
    return copy.deepcopy(module, memo)


def flip_layer(record: LayerRecord, flips: Sequence[Flip]) -> Tensor:
    """Returns the weight of a layer after `flips`, output channels first."""
    weight = record.channels_first.contiguous()
    words, decode = words_of(record)
    words = words.clone()
    for each in flips:
        words[each.weight] ^= 1 << each.bit
    return torch.where((words == words_of(record)[0]).view(weight.shape), weight, decode(words).view(weight.shape))


def words_of(record: LayerRecord) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Returns the words of a layer's weights (n,) int64, of `record.bits` bits, and what turns words into weights."""
    weight, qparams, size = record.channels_first.contiguous(), record.qparams, 1 << record.bits
    if qparams is None:
        words = weight.flatten().view(torch.int32).long() & 0xFFFF_FFFF
        return words, lambda each: _as_signed(each, FLOAT_BITS).int().view(torch.float32)
    codes = quantize(weight, qparams).flatten().long()
    if not isinstance(qparams, QParams):
        return codes, lambda each: dequantize(each.clamp(max=qparams.codes - 1).int().view(weight.shape), qparams)
    if qparams.low == -qparams.high:
        return codes % size, lambda each: dequantize(_as_signed(each, record.bits).int().view(weight.shape), qparams)
    return codes - qparams.low, lambda each: dequantize((each + qparams.low).int().view(weight.shape), qparams)


def _as_signed(words: Tensor, bits: int) -> Tensor:
    """Returns words of two's complement as the numbers that they mean."""
    return torch.where(words >= 1 << (bits - 1), words - (1 << bits), words)


def count_right(logits: Tensor, labels: Tensor) -> int:
    """logits (N, classes), labels (N,) -> how many are right. An image with a logit that is not finite counts as wrong.

    >>> count_right(torch.tensor([[1.0, 2.0], [torch.nan, 0.0]]), torch.tensor([1, 0]))
    1
    """
    return int(((logits.argmax(1) == labels) & logits.isfinite().all(1)).sum())
