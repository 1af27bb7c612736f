"""The result of a compression: one record per layer, and the compressed network that is built from them."""

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from torch import Tensor, nn

from compression.cached_property import cached_property
from compression.core.batch_norm import reestimate_
from compression.core.evidence import Sample
from compression.core.pruning_plan import zero_pruned_filters_
from compression.networks.weights import swap_channels
from compression.quantization.activations import InputQuantizer
from compression.quantization.codebooks import Codebook
from compression.quantization.quantizers import QParams
from compression.quantization.vectors import round_vectors_
from compression.reconstruction.reconstruct import write_vectors_
from compression.spec import FLOAT_BITS, CompressionSpec


class LayerFacts(NamedTuple):
    """The numbers of a layer record, without its tensors."""

    name: str
    weights: int
    pruned: int
    threshold: float
    nonzero: int
    sqnr_db: float


@dataclass(frozen=True, eq=False)
class LayerRecord:
    """One layer after compression: its weight and, in `inputs`, how its inputs are quantized.

    original           the float weight in its module's layout; with folding after quantization, the folded weight
    weight             the compressed weight, dequantized, in the same layout
    pruned             how many weights were pruned because of their low scores, before quantization
    threshold          the lowest score that was kept, by default a magnitude; infinite if no weight was kept. With
                       folding after quantization, scores are those of the weights before folding
    nonzero            how many weights are nonzero after pruning and rounding
    bits               bits per code; for a given step, as many as the range of the codes takes
    qparams            scale and zero point, or codebook; None if the weight stays float
    sqnr_db            signal-to-quantization-noise ratio in dB; infinite if the weight is unchanged
    filters            bool (C_out,), True for filters that were kept; None if filters were not pruned as a whole
    pattern            (n, m) if n of each m weights were kept, else None
    inputs             the quantizer of the inputs, None if they stay float
    transposed_groups  the groups of a transposed convolution, whose `original` and `weight` have their output channels
                       in dimension 1; 0 for other layers
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
        """`weight` as (C_out, ...), the layout that `qparams` refer to."""
        return swap_channels(self.weight, self.transposed_groups)

    @property
    def facts(self) -> LayerFacts:
        return LayerFacts(self.name, self.weights, self.pruned, self.threshold, self.nonzero, self.sqnr_db)


class LayerTotals:
    """Totals over the `layers` of a network."""

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
    """A compressed network: its layers in the order of its modules, and the float network that they come from.

    `original`: the float network, folded and merged as `spec` says. `sample`: the images to re-estimate batch norm on,
    None if its statistics stay. `vectors`: the biases, means and scales of batch norm that differ from those of
    `original`, by their names in the state dict.
    """

    spec: CompressionSpec
    original: nn.Module
    layers: tuple[LayerRecord, ...]
    sample: Sample | None = None
    vectors: Mapping[str, Tensor] = field(default_factory=dict)

    @cached_property
    def module(self) -> nn.Module:
        """A new network in eval mode with the compressed weights; forward pre-hooks quantize the inputs of layers.

        Everything else but `vectors` is copied from `original`, both rounded to the `vector_format` of the spec.
        The output of a pruned filter is zero, because its bias and its batch norm are zero too. Re-estimating batch
        norm takes a second or more.
        """
        module = with_weights(self.original, self.layers)
        write_vectors_(module, self.vectors)
        for layer in self.layers:
            if layer.inputs:
                module.get_submodule(layer.name).register_forward_pre_hook(layer.inputs)
        if self.sample:
            reestimate_(module, self.sample)
        round_vectors_(module, self.spec.vector_format)
        return module


def sqnr_db(original: Tensor, changed: Tensor) -> float:
    """Signal-to-quantization-noise ratio in dB: 10 log10(sum w^2 / sum (w - w')^2)."""
    noise = float((original - changed).square().sum())
    signal = float(original.square().sum())
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal else -math.inf


def with_weights(module: nn.Module, layers: Sequence[LayerRecord]) -> nn.Module:
    """Returns a copy of `module` in eval mode in which the `original` weights of `layers` are the compressed ones."""
    memo = {id(layer.original): nn.Parameter(layer.weight.clone(), requires_grad=False) for layer in layers}
    module = copy.deepcopy(module, memo).eval()
    zero_pruned_filters_(module, {layer.name: layer.filters for layer in layers if layer.filters is not None})
    return module


def bit_operations(compressed: CompressedModel, macs: dict[str, int]) -> int:
    """The sum over the layers of MACs * weight bits * activation bits (Baskin et al. 2018, arXiv:1804.10969).

    Zero weights count like other weights, because dense kernels multiply by them too.
    """
    return sum(macs[layer.name] * layer.bits * layer.activation_bits for layer in compressed.layers)
