"""Prunes a network, then quantizes the remaining weights: `compress(model, spec, evidence) -> CompressedModel`.

Batch norm is folded before that or, to show what the other order costs, after it. The inputs are never changed.
"""

import difflib
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from compression.core.batch_norm import has_statistics
from compression.core.evidence import NO_EVIDENCE, Evidence, Sample
from compression.core.pruning_plan import plan_pruning
from compression.core.record import CompressedModel, LayerRecord, sqnr_db, with_weights
from compression.core.recovery import Report, no_report, recover
from compression.networks.folding import fold_batch_norm
from compression.networks.weights import Weight, compressible_weights, swap_channels, weighted_layers
from compression.pruning.masks import LayerMask
from compression.pruning.merging import merge_filters
from compression.quantization.activations import input_quantizers
from compression.quantization.quantizers import choose_qparams, code_bits, fake_quantize
from compression.reconstruction.equalization import equalize
from compression.spec import FLOAT_BITS, Also, CompressionSpec, LayerSpec, Only, Order, QuantSpec, Scheme


def compress(
    model: nn.Module, spec: CompressionSpec, evidence: Evidence = NO_EVIDENCE, report: Report = no_report
) -> CompressedModel:
    """Returns `model` compressed as `spec` says; `model` stays unchanged.

    Folds batch norm, merges filters and equalizes channels if `spec` says so. Then prunes and quantizes the weights of
    all convolutions and linear layers, and of the kinds of layers in `spec.also`, and at last sets them so that outputs
    stay, if `spec` says so. A parameter that several layers share is compressed once and stays shared.
    The inputs of convolutions and linear layers are quantized by the calibration of the float network, independent of
    the weights. If a layer uses the weight of another layer, its inputs stay float. `report` is called with how many
    layers are set from images, and of how many; what it raises ends the work.
    Raises ValueError if there is no layer to compress, a weight is not finite, `spec` needs evidence that is missing or
    a batch norm that does not exist, nothing can be merged or equalized, or `spec` names a layer that does not exist.
    """
    fold_last = spec.order is Order.QUANTIZE_FIRST
    original = fold_batch_norm(model) if spec.fold_bn else model
    start = model if fold_last else original
    weights = compressible_weights(start, spec.also)
    _check(model, spec, weights)
    if spec.merge is not None:  # a spec merges only if it folds first
        original = start = merge_filters(original, spec.merge).module
        weights = compressible_weights(original, spec.also)
    if spec.equalize:
        original = start = equalize(original)
        weights = compressible_weights(original, spec.also)
    tensors = {name: weight.channels_first for name, weight in weights.items()}
    masks = plan_pruning(start, tensors, spec, evidence)
    quants = _quant_specs(original, tensors, spec)
    layers = [_compress_layer(name, weight, masks.get(name), quants[name]) for name, weight in weights.items()]
    if fold_last:
        after = compressible_weights(fold_batch_norm(with_weights(model, layers)), spec.also)
        before = weighted_layers(original, spec.also)
        layers = [
            _folded_layer(layer, before[layer.name], after[layer.name], masks.get(layer.name), quants[layer.name])
            for layer in layers
        ]
    inputs = input_quantizers(weighted_layers(original), spec, evidence.calibration)
    layers = [replace(layer, inputs=inputs.get(layer.name)) for layer in layers]
    vectors: dict[str, Tensor] = {}
    sample = _sample(original, spec, evidence) if spec.reestimate_bn else None
    if spec.recovers:
        layers, vectors = recover(original, layers, masks, quants, spec, evidence, report)
    return CompressedModel(spec, original, tuple(layers), sample, vectors)


def _check(model: nn.Module, spec: CompressionSpec, weights: Mapping[str, Weight]) -> None:
    """Raises ValueError if there are no `weights`, if one is not finite, or if `spec` names a layer without one."""
    kinds = " or ".join(("convolution", "linear", *spec.also))
    if not weights:
        others = [f"{kind} weights" for kind in Also if compressible_weights(model, (kind,))]
        hint = f"; to compress its {' and '.join(others)}, list them in `also` of the spec" if others else ""
        raise ValueError(f"{spec.model} has no {kinds} layer to compress{hint}")
    for name, weight in weights.items():
        values = weight.tensor.detach().numpy()
        if not np.isfinite((values.min(), values.max())).all():  # one NaN makes both of them NaN
            raise ValueError(f"cannot compress {spec.model}: layer {name} has weights that are NaN or infinite")
    for layer in spec.layers:
        if layer.name not in weights:
            nearest = difflib.get_close_matches(layer.name, weights, 1, 0)[0]
            raise ValueError(f"{spec.model} has no {kinds} layer {layer.name!r}; the nearest is {nearest!r}")


def _sample(model: nn.Module, spec: CompressionSpec, evidence: Evidence) -> Sample:
    """Returns the images to re-estimate batch norm on. Raises ValueError without a batch norm or without images."""
    if not has_statistics(model):
        condition = " after folding" if spec.fold_bn else ""
        raise ValueError(f"{spec.model} has no batch norm{condition}, so there are no statistics to re-estimate")
    if evidence.sample is None:
        raise ValueError("re-estimating batch norm needs training images, and none are available")
    return evidence.sample


def _quant_specs(model: nn.Module, weights: Mapping[str, Tensor], spec: CompressionSpec) -> dict[str, QuantSpec | None]:
    """Layer name -> how its weight is quantized, None if it stays float."""
    overrides = {layer.name: layer for layer in spec.layers}
    selected = _selected_layers(model, weights, spec.weights) if spec.weights else set()
    return {name: _quant_spec(spec, overrides.get(name), name in selected) for name in weights}


def _selected_layers(model: nn.Module, weights: Mapping[str, Tensor], quant: QuantSpec) -> set[str]:
    """The names of the layers that `quant` applies to, by its `only` and `skip_ends`."""
    names = list(weights)[1:-1] if quant.skip_ends else list(weights)
    if quant.only is Only.CONV:
        return {name for name in names if weights[name].dim() > 2}
    linear = {name for name, layer in model.named_modules() if isinstance(layer, nn.Linear)}
    return linear.intersection(names) if quant.only is Only.LINEAR else set(names)


def _quant_spec(spec: CompressionSpec, layer: LayerSpec | None, selected: bool) -> QuantSpec | None:
    if layer is None or layer.bits is None:
        return spec.weights if selected else None
    if layer.bits == FLOAT_BITS:
        return None
    return replace(spec.weights, bits=layer.bits) if spec.weights else QuantSpec(layer.bits)


def _compress_layer(name: str, weight: Weight, pruning: LayerMask | None, quant: QuantSpec | None) -> LayerRecord:
    """Prunes and quantizes one weight. Zeros stay exactly zero: those pruned here, and those of the float network."""
    original = values = weight.channels_first
    if pruning:
        values = values * pruning.mask
    qparams, bits = None, FLOAT_BITS
    if quant:
        qparams = choose_qparams(values, quant)
        rounded = fake_quantize(values, qparams)
        values = rounded if qparams.zero_is_exact else rounded * (values != 0)
        bits = code_bits(qparams) if quant.scheme is Scheme.STEP else quant.bits
    return LayerRecord(
        name=name,
        original=weight.tensor,
        weight=swap_channels(values, weight.transposed_groups),
        pruned=values.numel() - _count(pruning.mask) if pruning else 0,
        threshold=pruning.threshold if pruning else 0.0,
        nonzero=_count(values != 0),
        bits=bits,
        qparams=qparams,
        sqnr_db=sqnr_db(original, values),
        transposed_groups=weight.transposed_groups,
        filters=pruning.filters if pruning else None,
        pattern=pruning.pattern if pruning else None,
    )


def _folded_layer(
    layer: LayerRecord, original: Tensor, weight: Weight, pruning: LayerMask | None, quant: QuantSpec | None
) -> LayerRecord:
    """Returns `layer` after batch norm was folded into it, with its values quantized once more.

    Folding scales the values, so they are no longer multiples of the quantizer's step. A layer that folding leaves
    unchanged keeps its codes. `original` is the folded float weight, `weight` the folded compressed weight.
    """
    if torch.equal(weight.tensor, layer.weight):
        return replace(layer, original=original)
    refitted = _compress_layer(layer.name, weight, pruning, quant)
    return replace(
        refitted,
        original=original,
        threshold=layer.threshold,
        sqnr_db=sqnr_db(original.detach(), refitted.weight),
    )


def _count(mask: Tensor) -> int:
    """The number of True values in `mask`. NumPy takes a fraction of the time of torch."""
    return int(np.count_nonzero(mask.numpy()))
