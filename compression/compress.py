"""compress(model, spec) -> CompressedModel: prune, then quantize what is left. Never mutates its inputs.

Batch norm is folded before all that or, to see what it costs, after it.
"""

import copy
import difflib
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from compression.activations import InputQuantizer, input_quantizers
from compression.codebooks import Codebook
from compression.evidence import NONE, Evidence, Sample
from compression.folding import folded
from compression.merging import merge_filters
from compression.pruners import Kept
from compression.pruning import silence_, what_is_kept
from compression.quantizers import QParams, choose_qparams, code_bits, rounded
from compression.reestimate import has_statistics, reestimate_
from compression.spec import FLOAT_BITS, Also, CompressionSpec, LayerSpec, Only, Order, QuantSpec, Scheme
from compression.weights import Weight, compressible, turned


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
    the folded weight, and what was pruned was chosen before that, with its `threshold`. `transposed`: the groups of a
    transposed convolution, whose `original` and `weight` have the output channels in dimension 1; 0 for other layers.
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
    transposed: int = 0

    @property
    def weights(self) -> int:
        return self.weight.numel()

    @property
    def activation_bits(self) -> int:
        return self.inputs.bits if self.inputs else FLOAT_BITS

    @property
    def channels_first(self) -> Tensor:
        """`weight` as (C_out, ...), the shape that `qparams` go with."""
        return turned(self.weight, self.transposed)

    @property
    def facts(self) -> LayerFacts:
        return LayerFacts(self.name, self.weights, self.pruned, self.threshold, self.nonzero, self.sqnr_db)


class InLayers:
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
class CompressedModel(InLayers):
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
        module = _with_weights(self.original, self.layers)
        for layer in self.layers:
            if layer.inputs:
                module.get_submodule(layer.name).register_forward_pre_hook(layer.inputs)
        if self.sample:
            reestimate_(module, self.sample)
        return module


def weighted_layers(module: nn.Module, also: Collection[Also] = ()) -> dict[str, Tensor]:
    """The weights that quantizers and pruners touch, by layer name, each of the shape that its module has it in."""
    return {name: weight.tensor for name, weight in compressible(module, also).items()}


def sqnr_db(original: Tensor, changed: Tensor) -> float:
    """Signal-to-quantization-noise ratio, 10 log10(sum w^2 / sum (w - w')^2)."""
    noise = float((original - changed).square().sum())
    signal = float(original.square().sum())
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal else -math.inf


def compress(model: nn.Module, spec: CompressionSpec, evidence: Evidence = NONE) -> CompressedModel:
    """Folds batch norm and merges filters if `spec` says so; then prunes and quantizes the weights of all convolutions
    and linear layers, and those that it says `also`. A parameter that layers share is compressed once and stays shared.

    The inputs of convolutions and linear layers are quantized as the float network's calibration says, whatever becomes
    of the weights; those of a layer whose weight goes by the name of another one stay float.
    Raises ValueError where there is no such layer, where a weight is not finite, where the spec needs evidence that is
    not at hand, where nothing can be merged, or, naming the nearest, where it speaks of a layer that the network does
    not have.
    """
    original = folded(model) if spec.fold_bn else model
    late = spec.order is Order.QUANTIZE_FIRST
    found = compressible(model if late else original, spec.also)
    weights = {name: weight.channels_first for name, weight in found.items()}
    kinds = " or ".join(("convolution", "linear", *spec.also))
    if not weights:
        others = [f"{kind} weights" for kind in Also if compressible(model, (kind,))]
        hint = f"; `also` of the spec adds its {' and '.join(others)}" if others else ""
        raise ValueError(f"{spec.model} has no {kinds} layer to compress{hint}")
    for name, weight in weights.items():
        values = weight.numpy()
        if not np.isfinite((values.min(), values.max())).all():  # a NaN anywhere makes both of them NaN
            raise ValueError(f"cannot compress {spec.model}: layer {name} has weights that are NaN or infinite")
    own = {layer.name: layer for layer in spec.layers}
    for name in own:
        if name not in weights:
            near = difflib.get_close_matches(name, weights, 1, 0)
            raise ValueError(f"{spec.model} has no {kinds} layer {name!r}; the nearest is {near[0]!r}")
    if spec.merge is not None:
        original = merge_filters(original, spec.merge).module
        found = compressible(original, spec.also)
        weights = {name: weight.channels_first for name, weight in found.items()}
    kept = what_is_kept(model if late else original, weights, spec, evidence)
    integer = _chosen(original, weights, spec.weights) if spec.weights else ()
    quants = {name: _quant_spec(spec, own.get(name), name in integer) for name in weights}
    layers = [_compress_layer(name, weight, kept.get(name), quants[name]) for name, weight in found.items()]
    if late:
        after = compressible(folded(_with_weights(model, layers)), spec.also)
        before = weighted_layers(original, spec.also)
        layers = [
            _folded_layer(layer, before[name], after[name], kept.get(name), quants[name])
            for name, layer in zip(weights, layers, strict=True)
        ]
    inputs = input_quantizers(weighted_layers(original), spec, evidence.calibration)
    return CompressedModel(
        spec,
        original,
        tuple(replace(layer, inputs=inputs.get(layer.name)) for layer in layers),
        _sample(original, spec, evidence) if spec.reestimate_bn else None,
    )


def _with_weights(module: nn.Module, layers: Sequence[LayerRecord]) -> nn.Module:
    """A copy of `module`, whose weights are the `original` ones of `layers`, with the compressed ones."""
    memo = {id(layer.original): nn.Parameter(layer.weight.clone(), requires_grad=False) for layer in layers}
    module = copy.deepcopy(module, memo).eval()
    silence_(module, {layer.name: layer.filters for layer in layers if layer.filters is not None})
    return module


def _sample(model: nn.Module, spec: CompressionSpec, evidence: Evidence) -> Sample:
    """What batch norms see anew. Raises ValueError where there is nothing to see or nobody to see it."""
    if not has_statistics(model):
        left = " once it is folded" if spec.fold_bn else ""
        raise ValueError(f"{spec.model} has no batch norm{left}, so there are no statistics to re-estimate")
    if evidence.sample is None:
        raise ValueError("re-estimating batch norm needs training images, and there are none at hand")
    return evidence.sample


def _chosen(model: nn.Module, weights: dict[str, Tensor], quant: QuantSpec) -> set[str]:
    """The layers that `quant` is for, by its `only` and `skip_ends`."""
    names = list(weights)[1:-1] if quant.skip_ends else list(weights)
    if quant.only is Only.CONV:
        return {name for name in names if weights[name].dim() > 2}
    linear = {name for name, layer in model.named_modules() if isinstance(layer, nn.Linear)}
    return linear.intersection(names) if quant.only is Only.LINEAR else set(names)


def _quant_spec(spec: CompressionSpec, layer: LayerSpec | None, chosen: bool) -> QuantSpec | None:
    if layer is None or layer.bits is None:
        return spec.weights if chosen else None
    if layer.bits == FLOAT_BITS:
        return None
    return replace(spec.weights, bits=layer.bits) if spec.weights else QuantSpec(layer.bits)


def _compress_layer(name: str, weight: Weight, kept: Kept | None, quant: QuantSpec | None) -> LayerRecord:
    """The quantizer's range is that of the weights that are left, zeros included; what is pruned stays exactly zero."""
    original = changed = weight.channels_first
    if kept:
        changed = changed * kept.mask
    qparams, bits = None, FLOAT_BITS
    if quant:
        qparams = choose_qparams(changed, quant)
        changed = rounded(changed, qparams)
        if kept and not qparams.zero_is_exact:
            changed = changed * kept.mask
        bits = code_bits(qparams) if quant.scheme is Scheme.STEP else quant.bits
    return LayerRecord(
        name=name,
        original=weight.tensor,
        weight=turned(changed, weight.transposed),
        pruned=changed.numel() - _count(kept.mask) if kept else 0,
        threshold=kept.threshold if kept else 0.0,
        nonzero=_count(changed != 0),
        bits=bits,
        qparams=qparams,
        sqnr_db=sqnr_db(original, changed),
        transposed=weight.transposed,
        filters=kept.filters if kept else None,
        pattern=kept.pattern if kept else None,
    )


def _folded_layer(
    layer: LayerRecord, original: Tensor, weight: Weight, kept: Kept | None, quant: QuantSpec | None
) -> LayerRecord:
    """`layer` once batch norm has been folded into it. Its values are off their integers then, and are rounded again.

    `original`: its float weight, folded; `weight`: its compressed one, folded; `kept`: what was not pruned. A layer
    that folding leaves as it is keeps its integers.
    """
    if torch.equal(weight.tensor, layer.weight):
        return replace(layer, original=original)
    again = _compress_layer(layer.name, weight, kept, quant)
    return replace(
        again,
        original=original,
        threshold=layer.threshold,
        sqnr_db=sqnr_db(original.detach(), again.weight),
    )


def _count(mask: Tensor) -> int:
    """How many of `mask` are true; torch takes several times as long."""
    return int(np.count_nonzero(mask.numpy()))
