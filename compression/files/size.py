"""Counts the bytes of a compressed network, item by item, without entropy coding.

Two ways to store the weights of a layer are counted:

    dense    every code, packed at b bits; and a mask if weights were pruned and no code stands for zero
    sparse   a mask, and the packed codes of the weights that the mask keeps

Both add the numbers of the quantizer. For each group: a float32 scale and, if the scheme has one, a zero point of one
or two bytes (four if it is not an integer); or the float32 numbers of a codebook. Quantization with a given step stores
the step in each layer and needs four bytes more for the smallest code, unless the number of bits implies it. A layer
with quantized inputs needs one more scale and zero point. Both add the rest, too: biases and batch norm, in the format
of the spec, where 8-bit codes have a float32 scale per tensor. Counters that inference does not read
(`num_batches_tracked` of batch norm) are not counted. Merged filters are counted one by one, like any others;
`duplicates` says what the network takes without them. The packed file (`packed_file`) may be smaller, because frequent
codes take fewer bits there; `ledger` itemises its bytes.

A mask with one bit per weight fits any layer; it keeps the nonzero weights. After filter pruning, a mask with one bit
per filter is enough; it keeps all weights of the surviving filters. After n:m pruning, the number of each choice of n
among m weights is enough: ceil(log2(binomial(m, n))) bits per group (three for 2:4; GPUs take four, two for each
weight). It keeps n weights of each group and all weights in no group. Each layer takes the mask that makes it smallest.
"""

import math
from dataclasses import dataclass, fields
from typing import NamedTuple

from compression.core.record import CompressedModel, LayerRecord
from compression.networks.weights import FLOAT_BYTES, float_bytes, float_tensors
from compression.quantization.codebooks import Codebook
from compression.quantization.quantizers import QParams
from compression.quantization.vectors import is_vector
from compression.spec import FLOAT_BITS, VectorFormat


@dataclass(frozen=True)
class Ledger:
    """The bytes of a network or a layer by item. Adding two ledgers adds them item by item."""

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
    """The bytes of the weight of one layer: uncompressed as `float32`, and stored in each of the two ways."""

    name: str
    float32: int
    dense: Ledger
    sparse: Ledger


@dataclass(frozen=True)
class Size:
    """The bytes of the whole network: uncompressed as `float32`, and stored in each of the two ways."""

    float32: int
    dense: Ledger
    sparse: Ledger
    layers: tuple[LayerSize, ...]

    @property
    def best_name(self) -> str:
        """The way that takes fewer bytes: "dense" or "sparse"; "dense" if they take equally many."""
        return "sparse" if self.sparse.total < self.dense.total else "dense"

    @property
    def best(self) -> Ledger:
        return self.sparse if self.best_name == "sparse" else self.dense


def count_bytes(compressed: CompressedModel) -> Size:
    """Returns the exact bytes of `compressed`, counted without writing a file."""
    layers = tuple(_layer_size(layer) for layer in compressed.layers)
    float32 = float_bytes(compressed.original)
    rest = Ledger(rest=float32 - sum(layer.float32 for layer in layers) - _saved_on_vectors(compressed))
    return Size(
        float32=float32,
        dense=sum((layer.dense for layer in layers), rest),
        sparse=sum((layer.sparse for layer in layers), rest),
        layers=layers,
    )


def _saved_on_vectors(compressed: CompressedModel) -> int:
    """Returns how many bytes fewer biases and batch norm take in the format of the spec than as float32."""
    form = compressed.spec.vector_format
    vectors = [each.numel() for each in float_tensors(compressed.original) if is_vector(each)]
    scales = FLOAT_BYTES * len(vectors) if form is VectorFormat.INT8 else 0
    return FLOAT_BYTES * sum(vectors) - packed_bytes(sum(vectors), form.bits) - scales


def packed_bytes(codes: int, bits: int) -> int:
    """Returns the whole bytes that `codes` codes of `bits` bits each take without gaps."""
    return -(-codes * bits // 8)


class Mask(NamedTuple):
    """A mask that takes `bits` bits and keeps `codes` weights, each of which has a code."""

    bits: int
    codes: int


def possible_masks(layer: LayerRecord) -> list[Mask]:
    """Returns all masks that fit `layer`; the first one, with one bit per weight, fits any layer.

    If no code stands for zero, a mask must leave out all zeros, those that were zero before pruning too.
    """
    masks = [Mask(layer.weights, layer.nonzero)]
    if layer.filters is not None:
        count = len(layer.filters)
        masks.append(Mask(count, int(layer.filters.count_nonzero()) * (layer.weights // count)))
    if layer.pattern is not None:
        n, m = layer.pattern
        inputs = layer.weight.shape[1]
        groups = inputs // m * (layer.weights // inputs)
        masks.append(Mask(groups * (math.comb(m, n) - 1).bit_length(), layer.weights - groups * (m - n)))
    if layer.qparams and not layer.qparams.zero_is_exact:
        return [mask for mask in masks if mask.codes == layer.nonzero]
    return masks


def _layer_size(layer: LayerRecord) -> LayerSize:
    scales = _qparams_bytes(layer.qparams, layer.bits) if layer.qparams else 0
    if layer.inputs:
        scales += FLOAT_BYTES + packed_bytes(1, layer.inputs.bits)
    masks = possible_masks(layer)
    smallest_mask = min(packed_bytes(mask.bits, 1) for mask in masks)
    sparse = [Ledger(packed_bytes(mask.codes, layer.bits), scales, packed_bytes(mask.bits, 1)) for mask in masks]
    needs_mask = bool(layer.nonzero < layer.weights and layer.qparams and not layer.qparams.zero_is_exact)
    return LayerSize(
        name=layer.name,
        float32=packed_bytes(layer.weights, FLOAT_BITS),
        dense=Ledger(packed_bytes(layer.weights, layer.bits), scales, smallest_mask * needs_mask),
        sparse=min(sparse, key=lambda ledger: ledger.total),
    )


def _qparams_bytes(qparams: QParams | Codebook, bits: int) -> int:
    """Returns the bytes of the scales and zero points, or of the codebooks, of one layer."""
    if isinstance(qparams, Codebook):
        return len(qparams.values) * qparams.stored_values * FLOAT_BYTES
    zero_point = {0: packed_bytes(1, bits), 1 - 2 ** (bits - 1): 0}.get(qparams.low, FLOAT_BYTES)
    return qparams.scale.numel() * (FLOAT_BYTES + (zero_point if qparams.zero_is_exact else FLOAT_BYTES))
