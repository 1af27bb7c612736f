"""The byte ledger: what a file of the compressed network must hold, item by item.

Two ways of storing the weights are counted. Dense: every code, packed at b bits, and a mask where weights were pruned
and no code stands for zero. Sparse: a mask, and the packed codes of the weights that it leaves. Both add what the
values of each group need: a float32 scale and, where the scheme has one, a zero point of one or two bytes (four, where
it is no integer); or a codebook's float32 numbers. A given step is stored in each layer, and its codes may begin
anywhere: four bytes more, unless their bits imply where. A layer whose inputs are quantized needs one scale and zero
point more. And the float32 rest: biases and batch norm. Counters that inference does not read (batch norm's
`num_batches_tracked`) are not counted. Merged filters are counted one by one, like any others: what the network takes
without them is said by `duplicates`. A file (`codec`) takes less where some codes are more frequent than others;
`waterfall` tells its bytes apart.

A mask that fits any layer has one bit a weight, and leaves those that are not zero. Where whole filters went, one bit a
filter does, and leaves all weights of the others. Where n of each m weights stayed, the number of the choice does, in
ceil(log2(binomial(m, n))) bits a group (three for 2:4; graphics cards take four: two for each weight), and leaves n
of each group and all that is in none. Each layer takes the mask that makes it smallest.
"""

import math
from dataclasses import dataclass, fields
from typing import NamedTuple

from compression.core.record import CompressedModel, LayerRecord
from compression.networks.weights import FLOAT_BYTES, float_bytes
from compression.quantization.codebooks import Codebook
from compression.quantization.quantizers import QParams
from compression.spec import FLOAT_BITS


@dataclass(frozen=True)
class Ledger:
    """Bytes by item; ledgers add up."""

    codes: int = 0
    scales: int = 0
    masks: int = 0
    rest: int = 0

    @property
    def total(self) -> int:
        return self.codes + self.scales + self.masks + self.rest

    def __add__(self, other: "Ledger") -> "Ledger":
        return Ledger(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


@dataclass(frozen=True)
class LayerSize:
    """The weight of one layer, stored in each of the ways; `float32` in bytes."""

    name: str
    float32: int
    dense: Ledger
    sparse: Ledger


@dataclass(frozen=True)
class Size:
    """The whole network, stored in each of the ways; `float32` is the uncompressed network, in bytes."""

    float32: int
    dense: Ledger
    sparse: Ledger
    layers: tuple[LayerSize, ...]

    @property
    def best_name(self) -> str:
        """The way that takes fewer bytes: "dense" or "sparse"."""
        return "sparse" if self.sparse.total < self.dense.total else "dense"

    @property
    def best(self) -> Ledger:
        return self.sparse if self.best_name == "sparse" else self.dense


def measure(compressed: CompressedModel) -> Size:
    """Counts the bytes of `compressed`, exactly, without writing a file."""
    layers = tuple(_layer_size(layer) for layer in compressed.layers)
    rest = Ledger(rest=float_bytes(compressed.original) - sum(layer.float32 for layer in layers))
    return Size(
        float32=float_bytes(compressed.original),
        dense=sum((layer.dense for layer in layers), rest),
        sparse=sum((layer.sparse for layer in layers), rest),
        layers=layers,
    )


def packed_bytes(codes: int, bits: int) -> int:
    """`codes` codes of `bits` bits, packed without gaps, in whole bytes."""
    return -(-codes * bits // 8)


class Mask(NamedTuple):
    """What tells which weights are left, in `bits`, and how many weights that are."""

    bits: int
    left: int


def masks(layer: LayerRecord) -> list[Mask]:
    """All masks that fit `layer`, the one that fits any layer first."""
    found = [Mask(layer.weights, layer.nonzero)]
    if layer.filters is not None:
        count = len(layer.filters)
        found.append(Mask(count, int(layer.filters.count_nonzero()) * (layer.weights // count)))
    if layer.pattern is not None:
        n, m = layer.pattern
        inputs = layer.weight.shape[1]
        groups = inputs // m * (layer.weights // inputs)
        found.append(Mask(groups * (math.comb(m, n) - 1).bit_length(), layer.weights - groups * (m - n)))
    return found


def _layer_size(layer: LayerRecord) -> LayerSize:
    scales = _qparams_bytes(layer.qparams, layer.bits) if layer.qparams else 0
    if layer.inputs:
        scales += FLOAT_BYTES + packed_bytes(1, layer.inputs.bits)
    smallest_mask = min(packed_bytes(mask.bits, 1) for mask in masks(layer))
    sparse = [Ledger(packed_bytes(mask.left, layer.bits), scales, packed_bytes(mask.bits, 1)) for mask in masks(layer)]
    needs_mask = bool(layer.pruned and layer.qparams and not layer.qparams.zero_is_exact)
    return LayerSize(
        name=layer.name,
        float32=packed_bytes(layer.weights, FLOAT_BITS),
        dense=Ledger(packed_bytes(layer.weights, layer.bits), scales, smallest_mask * needs_mask),
        sparse=min(sparse, key=lambda ledger: ledger.total),
    )


def _qparams_bytes(qparams: QParams | Codebook, bits: int) -> int:
    if isinstance(qparams, Codebook):
        return len(qparams.values) * qparams.stored_values * FLOAT_BYTES
    integer = {0: packed_bytes(1, bits), 1 - 2 ** (bits - 1): 0}.get(qparams.low, FLOAT_BYTES)
    return qparams.scale.numel() * (FLOAT_BYTES + (integer if qparams.zero_is_exact else FLOAT_BYTES))
