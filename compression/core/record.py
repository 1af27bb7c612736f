"""core/record.py"""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from torch import Tensor, nn

from compression.core.batch_norm import reestimate_
from compression.core.evidence import Sample
from compression.core.pruning_plan import zero_pruned_filters_
from compression.networks.weights import swap_channels
from compression.quantization.activations import InputQuantizer
from compression.quantization.codebooks import Codebook
from compression.quantization.quantizers import QParams
from compression.spec import FLOAT_BITS, CompressionSpec


class LayerFacts(NamedTuple):
    """A layer record in numbers alone."""

    name: str
    weights: int
    pruned: int
    threshold: float
    nonzero: int
    sqnr_db: float


@dataclass(frozen=True, eq=False)
class LayerRecord:
    """What became of the weight of one layer, and, with `inputs`, of what it sees.

    `weight` is dequantized. `pruned` weights went for their small scores; `threshold` is the smallest score of those
    that were kept (infinite where none was), by default a magnitude. `nonzero` counts what is left after rounding too.
    `bits` are those of its codes: with a given step, as many as their range takes. `sqnr_db` is infinite where the
    weight is unchanged. `filters` (C_out,) are True where a filter is kept, None where filters did not go as a whole;
    `pattern` is (n, m) where n of each m weights were kept. Where batch norm was folded after quantizing, `original` is
    the folded weight, and what was pruned was chosen before that, with its `threshold`. `transposed_groups`: the groups
    of a transposed convolution, whose `original` and `weight` have the output channels in dimension 1; 0 for others.
    """

    name: str
    original: Tensor
    weight: Tensor
    pruned: int
    threshold: float
    nonzero: int
    bits: int
    qparams: QParams | Codebook | None
    sqnr_db: float
    filters: Tensor | None = None
    pattern: tuple[int, int] | None = None
    inputs: InputQuantizer | None = None
    transposed_groups: int = 0

    @property
    def weights(self) -> int:
        return self.weight.numel()

    @property
    def activation_bits(self) -> int:
        return self.inputs.bits if self.inputs else FLOAT_BITS

    @property
    def channels_first(self) -> Tensor:
        """`weight` as (C_out, ...), the shape that `qparams` go with."""
        return swap_channels(self.weight, self.transposed_groups)

    @property
    def facts(self) -> LayerFacts:
        return LayerFacts(self.name, self.weights, self.pruned, self.threshold, self.nonzero, self.sqnr_db)


class LayerTotals:
    """What is known of a whole network from its `layers`."""

    layers: Sequence[LayerFacts | LayerRecord]

    @property
    def weights(self) -> int:
        return sum(layer.weights for layer in self.layers)

    @property
    def nonzero(self) -> int:
        return sum(layer.nonzero for layer in self.layers)

    @property
    def sparsity(self) -> float:
        return 1 - self.nonzero / self.weights


@dataclass(frozen=True, eq=False)
class CompressedModel(LayerTotals):
    """The compressed layers of a network, in the order of its modules.

    `original`: folded and merged as `spec` says. `sample`: what batch norms see anew, None where they go on as before.
    """

    spec: CompressionSpec
    original: nn.Module
    layers: tuple[LayerRecord, ...]
    sample: Sample | None = None

    @cached_property
    def module(self) -> nn.Module:
        """A fresh network in eval mode with the compressed weights, its inputs quantized by forward pre-hooks; what
        else it holds is copied.

        A filter that is gone has an output of zero: its bias and what batch norm adds are zero too. Where statistics of
        batch norm are taken anew, that takes a second or more.
        """
        module = with_weights(self.original, self.layers)
        for layer in self.layers:
            if layer.inputs:
                module.get_submodule(layer.name).register_forward_pre_hook(layer.inputs)
        if self.sample:
            reestimate_(module, self.sample)
        return module


def sqnr_db(original: Tensor, changed: Tensor) -> float:
    """Signal-to-quantization-noise ratio, 10 log10(sum w^2 / sum (w - w')^2)."""
    noise = float((original - changed).square().sum())
    signal = float(original.square().sum())
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal else -math.inf


def with_weights(module: nn.Module, layers: Sequence[LayerRecord]) -> nn.Module:
    """A copy of `module`, whose weights are the `original` ones of `layers`, with the compressed ones."""
    memo = {id(layer.original): nn.Parameter(layer.weight.clone(), requires_grad=False) for layer in layers}
    module = copy.deepcopy(module, memo).eval()
    zero_pruned_filters_(module, {layer.name: layer.filters for layer in layers if layer.filters is not None})
    return module


def bit_operations(compressed: CompressedModel, macs: dict[str, int]) -> int:
    """Sum of MACs * weight bits * activation bits over the layers (Baskin et al. 2018, arXiv:1804.10969).

    Zeros count like other weights: dense kernels multiply them all the same.
    """
    return sum(macs[layer.name] * layer.bits * layer.activation_bits for layer in compressed.layers)
