"""What training begins with: a network, compressed without training, and the masks of its spec."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from compression.core.compress import compress
from compression.core.evidence import NO_EVIDENCE, Evidence
from compression.core.record import CompressedModel, LayerRecord
from compression.files.stored import StoredNetwork
from compression.networks.model import FloatModel
from compression.networks.untrained import is_untrained
from compression.pruning.masks import LayerMask
from compression.quantization.activations import input_quantizer
from compression.retraining.latent import masks_of, plans_on_folded
from compression.retraining.more_bits import inputs_with_bits
from compression.retraining.recipe import Recipe, check_fits
from compression.spec import Calibration, CompressionSpec, Criterion


@dataclass(frozen=True, eq=False)
class Start:
    """What a run begins with: the network, the same compressed without training, and the masks of its spec.

    `continues`: whether it was compressed already, so that its scales are where earlier training has brought them.
    """

    model: FloatModel
    compressed: CompressedModel
    masks: Mapping[str, LayerMask]
    evidence: Evidence = NO_EVIDENCE
    continues: bool = False


def prepare(model: FloatModel, spec: CompressionSpec, evidence: Evidence) -> Start:
    """Returns the start of a run. Raises ValueError where the spec does not fit the network.

    A network that is compressed already and stays as it is goes on with the codes and scales of its file.
    """
    stored = model.compressed if isinstance(model, StoredNetwork) else None
    module = stored.original if stored else model.module  # without quantizers of inputs, which the spec has
    continues = stored is not None and spec == whole_spec(model, CompressionSpec(spec.model))
    compressed = replace(stored, spec=spec) if stored and continues else compress(module, spec, evidence)
    planned_on = compressed.original if plans_on_folded(spec) else module
    masks = masks_of(planned_on, spec, evidence)
    if continues:
        masks = {
            layer.name: _keep_nonzero(masks[layer.name], layer, spec)
            for layer in compressed.layers
            if layer.name in masks
        }
    return Start(model, compressed, masks, evidence, continues)


def _keep_nonzero(planned: LayerMask, layer: LayerRecord, spec: CompressionSpec) -> LayerMask:
    """Returns a mask with which no weight is pruned that the file of a trained network has kept.

    Training may have moved such a weight below the threshold. The criterion `signed` may prune negative weights before
    zeros; with it, the zeros of the file are what is pruned.
    """
    nonzero = layer.channels_first != 0
    by_value = spec.prune is not None and spec.prune.criterion is Criterion.SIGNED
    mask = nonzero if by_value else planned.mask | nonzero
    filters = None if planned.filters is None else mask.flatten(1).any(1)
    return planned._replace(mask=mask, filters=filters)


def least_error_gains(start: Start, bits: int | None = None) -> dict[str, float]:
    """Returns layer name -> the factor of the scale of its inputs that has the least squared error.

    `bits`: those of the inputs, in the range of the start; None for those of the spec. The factor is 1 where nothing is
    rounded, or zero would be another code.
    """
    activations, calibration = start.compressed.spec.activations, start.evidence.calibration
    if not activations or not calibration:
        return {}
    gains = {}
    for layer in start.compressed.layers:
        if layer.inputs:
            now, gains[layer.name] = inputs_with_bits(layer.inputs, bits), 1.0
            if now:
                spec = replace(activations, bits=now.bits, calibration=Calibration.LEAST_ERROR)
                best = input_quantizer(calibration[layer.name], spec)
                if best.zero_point == now.zero_point:
                    gains[layer.name] = best.scale / now.scale
    return gains


def input_shares(start: Start, before: int | None, after: int | None) -> dict[str, float]:
    """Returns layer name -> the factor of the gain of its inputs where their bits change; None: those of the spec."""
    old, new = least_error_gains(start, before), least_error_gains(start, after)
    return {name: gain / old[name] for name, gain in new.items()}


def whole_spec(model: FloatModel, spec: CompressionSpec) -> CompressionSpec:
    """Returns the spec to train `model` with: of a network that is compressed already, also what was done to it.

    So a pruned network stays pruned while it is quantized, and a quantized one quantized while it is pruned.
    """
    if not isinstance(model, StoredNetwork):
        return spec
    own = model.spec
    named = {layer.name for layer in spec.layers}
    return replace(
        spec,
        prune=spec.prune or own.prune,
        weights=spec.weights or own.weights,
        activations=spec.activations or own.activations,
        layers=(*spec.layers, *(layer for layer in own.layers if layer.name not in named)),
        fold_bn=spec.fold_bn or own.fold_bn,
        also=spec.also or own.also,
    )


def has_to_learn(model: FloatModel, spec: CompressionSpec) -> bool:
    """Returns whether training has something to give: what `spec` has cost `model`, or what it has not learned yet.

    A network that was trained here, a student too, can be trained on.
    """
    compresses = spec.prunes or spec.quantizes_weights or spec.activations
    return bool(compresses or is_untrained(model.name) or isinstance(model, StoredNetwork))


def choose_teacher(
    model: FloatModel, spec: CompressionSpec, recipe: Recipe, teacher: FloatModel | None
) -> FloatModel | None:
    """Returns the network that `model` is distilled from, or None: `teacher`, or by default `model` before compression.

    Raises ValueError if `model`, compressed as `spec` says, cannot be trained by `recipe`, or has nothing to learn.
    """
    check_fits(recipe, spec)
    if not has_to_learn(model, spec):
        raise ValueError("there is nothing to recover from: the spec neither prunes nor quantizes")
    if not recipe.distillation:
        return None
    if teacher is None and (is_untrained(model.name) or isinstance(model, StoredNetwork)):
        what = "a network of a packed file" if isinstance(model, StoredNetwork) else "an untrained network"
        raise ValueError(f"{what} cannot be its own teacher: name another one")
    return teacher or model
