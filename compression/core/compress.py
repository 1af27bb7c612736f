"""compress(model, spec) -> CompressedModel: prune, then quantize what is left. Never mutates its inputs.

Batch norm is folded before all that or, to see what it costs, after it.
"""

import difflib
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from compression.core.batch_norm import has_statistics
from compression.core.evidence import NO_EVIDENCE, Evidence, Sample
from compression.core.pruning_plan import plan_pruning
from compression.core.record import CompressedModel, LayerRecord, sqnr_db, with_weights
from compression.networks.folding import fold_batch_norm
from compression.networks.weights import Weight, compressible_weights, swap_channels, weighted_layers
from compression.pruning.masks import LayerMask
from compression.pruning.merging import merge_filters
from compression.quantization.activations import input_quantizers
from compression.quantization.quantizers import choose_qparams, code_bits, fake_quantize
from compression.spec import FLOAT_BITS, Also, CompressionSpec, LayerSpec, Only, Order, QuantSpec, Scheme


def compress(model: nn.Module, spec: CompressionSpec, evidence: Evidence = NO_EVIDENCE) -> CompressedModel:
    """Folds batch norm and merges filters if `spec` says so; then prunes and quantizes the weights of all convolutions
    and linear layers, and those that it says `also`. A parameter that layers share is compressed once and stays shared.

    The inputs of convolutions and linear layers are quantized as the float network's calibration says, whatever becomes
    of the weights; those of a layer whose weight goes by the name of another one stay float.
    Raises ValueError where there is no such layer, where a weight is not finite, where the spec needs evidence that is
    not at hand, where nothing can be merged, or, naming the nearest, where it speaks of a layer that the network does
    not have.
    """
    original = fold_batch_norm(model) if spec.fold_bn else model
    late = spec.order is Order.QUANTIZE_FIRST
    found = compressible_weights(model if late else original, spec.also)
    weights = {name: weight.channels_first for name, weight in found.items()}
    kinds = " or ".join(("convolution", "linear", *spec.also))
    if not weights:
        others = [f"{kind} weights" for kind in Also if compressible_weights(model, (kind,))]
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
        found = compressible_weights(original, spec.also)
        weights = {name: weight.channels_first for name, weight in found.items()}
    kept = plan_pruning(model if late else original, weights, spec, evidence)
    integer = _chosen(original, weights, spec.weights) if spec.weights else ()
    quants = {name: _quant_spec(spec, own.get(name), name in integer) for name in weights}
    layers = [_compress_layer(name, weight, kept.get(name), quants[name]) for name, weight in found.items()]
    if late:
        after = compressible_weights(fold_batch_norm(with_weights(model, layers)), spec.also)
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


def _compress_layer(name: str, weight: Weight, kept: LayerMask | None, quant: QuantSpec | None) -> LayerRecord:
    """The quantizer's range is that of the weights that are left, zeros included; what is pruned stays exactly zero."""
    original = changed = weight.channels_first
    if kept:
        changed = changed * kept.mask
    qparams, bits = None, FLOAT_BITS
    if quant:
        qparams = choose_qparams(changed, quant)
        changed = fake_quantize(changed, qparams)
        if kept and not qparams.zero_is_exact:
            changed = changed * kept.mask
        bits = code_bits(qparams) if quant.scheme is Scheme.STEP else quant.bits
    return LayerRecord(
        name=name,
        original=weight.tensor,
        weight=swap_channels(changed, weight.transposed_groups),
        pruned=changed.numel() - _count(kept.mask) if kept else 0,
        threshold=kept.threshold if kept else 0.0,
        nonzero=_count(changed != 0),
        bits=bits,
        qparams=qparams,
        sqnr_db=sqnr_db(original, changed),
        transposed_groups=weight.transposed_groups,
        filters=kept.filters if kept else None,
        pattern=kept.pattern if kept else None,
    )


def _folded_layer(
    layer: LayerRecord, original: Tensor, weight: Weight, kept: LayerMask | None, quant: QuantSpec | None
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
