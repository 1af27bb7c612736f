"""The spec that the settings select, and the settings that select a spec."""

from dataclasses import replace
from functools import lru_cache
from typing import Any

from compression.spec import (
    FLOAT_BITS,
    MAX_BITS,
    ActivationSpec,
    Clip,
    CompressionSpec,
    Criterion,
    Granularity,
    LayerSpec,
    Order,
    PruneSpec,
    QuantSpec,
    Rounding,
    Scheme,
    Structure,
    Unit,
    structure_from,
)
from compression.spec.recipe import from_link, to_link
from pages.ui.state.value import ALL, FLOAT, SPARSITY, THRESHOLD, Settings

ANY_SPARSITY = 0.5  # a target where its value does not matter


@lru_cache(4096)
def spec_of(settings: Settings, target: float | None = None) -> CompressionSpec:
    """Returns the spec that the settings select. `target`, where given, replaces the sparsity or the threshold."""
    settings = fitting(settings)
    quantizer = None if settings.weight_bits is None else quantizer_of(settings)
    folds_first = settings.fold and settings.order is Order.FOLD_FIRST
    return CompressionSpec(
        settings.model,
        pruning_of(settings, target),
        quantizer,
        tuple(layer for each in from_link(settings.layers) if (layer := _with_possible_bits(each, quantizer))),
        fold_bn=settings.fold,
        activations=None if settings.inputs == FLOAT else ActivationSpec(int(settings.inputs), settings.calibration),
        order=settings.order if settings.fold else Order.FOLD_FIRST,
        merge=settings.merge if folds_first else None,
        reestimate_bn=settings.reestimate and not settings.fold,
        vector_format=settings.vector_format,
        **_recovery(settings, folds_first),
    )


def _recovery(settings: Settings, folds_first: bool) -> dict[str, Any]:
    """Returns the steps that give accuracy back. Where batch norm is folded last, there are none."""
    if settings.fold and not folds_first:
        return {}
    return {
        "rounding": _rounding(settings),
        "rate_penalty": settings.rate_penalty,
        "reconstruct": settings.reconstruct,
        "repair_activations": settings.repair,
        "correct_bias": settings.correct_bias,
        "equalize": settings.equalize and folds_first,
    }


def _rounding(settings: Settings) -> Rounding:
    """Returns the rounding that takes effect: nearest if batch norm is folded last, and rate-aware if symmetric."""
    if settings.fold and settings.order is not Order.FOLD_FIRST:
        return Rounding.NEAREST
    other = settings.weight_bits is not None and settings.scheme is not Scheme.SYMMETRIC
    return Rounding.COMPENSATED if other and settings.rounding is Rounding.RATE_AWARE else settings.rounding


@lru_cache(4096)
def fitting(settings: Settings) -> Settings:
    """Returns the settings as they take effect: choices that the others rule out are replaced by possible ones."""
    structure, pattern = structure_from(settings.structure)
    if not is_possible(settings.criterion, structure, pattern):
        settings = replace(settings, criterion=Criterion.L1)
    if not is_possible(settings.criterion, structure, threshold=1.0):
        return replace(settings, by=SPARSITY, unit=Unit.ABSOLUTE)
    if not is_possible(settings.criterion, structure, threshold=1.0, unit=settings.unit):
        return replace(settings, unit=Unit.ABSOLUTE)
    return settings


def bits_of(settings: Settings) -> int:
    """Returns the bits per weight, or the nearest that the scheme supports. Float counts as the most bits."""
    return settings.scheme.nearest_bits(settings.weight_bits or MAX_BITS)


def quantizer_of(settings: Settings) -> QuantSpec:
    """Returns the quantizer that the settings select, with the nearest bits and group size that its scheme supports."""
    width, scheme = bits_of(settings), settings.scheme
    layers: dict[str, Any] = {"only": None if settings.only == ALL else settings.only, "skip_ends": settings.ends}
    if scheme is Scheme.STEP:
        return QuantSpec(width, Scheme.STEP, step=settings.step, **layers)
    clip = settings.clip if has_clip(settings) else Clip.FULL
    group = None
    if settings.granularity is Granularity.GROUP:
        codebook = 2**width if scheme is Scheme.K_MEANS else 0  # a group holds at least as many weights
        group = max(settings.group, codebook)
    at = getattr(settings, f"{clip}_at", None)
    return QuantSpec(width, scheme, settings.granularity, clip, at, group, **layers)


def has_clip(settings: Settings) -> bool:
    """Whether the clipping range takes effect: not if the scheme, or rate-aware rounding, chooses the steps itself."""
    return settings.scheme.clippable and _rounding(settings) is not Rounding.RATE_AWARE


def pruning_of(settings: Settings, target: float | None = None) -> PruneSpec:
    """Returns the pruning that the settings select. `target`, where given, replaces the sparsity or the threshold."""
    settings = fitting(settings)
    structure, pattern = structure_from(settings.structure)
    rule: dict[str, Any] = {"criterion": settings.criterion, "structure": structure, "pattern": pattern}
    if structure is Structure.N_M:
        return PruneSpec(**rule)
    if settings.by == THRESHOLD:
        return PruneSpec(settings.threshold or 0.0 if target is None else target, unit=settings.unit, **rule)
    return PruneSpec(None, settings.sparsity or 0.0 if target is None else target, settings.scope, **rule)


def is_possible(
    criterion: Criterion, structure: Structure, pattern: tuple[int, int] | None = None, **target: Any
) -> bool:
    """Returns whether this combination exists and is not the same as another one under a second name."""
    if structure is not Structure.N_M and not target:
        target = {"sparsity": ANY_SPARSITY}
    try:
        return PruneSpec(criterion=criterion, structure=structure, pattern=pattern, **target).criterion is criterion
    except ValueError:
        return False


def with_recovery(settings: Settings, spec: CompressionSpec) -> Settings:
    """Returns the settings with those steps of `spec` that give accuracy back."""
    return replace(
        settings,
        reestimate=spec.reestimate_bn,
        rounding=spec.rounding,
        rate_penalty=spec.rate_penalty,
        reconstruct=spec.reconstruct,
        repair=spec.repair_activations,
        correct_bias=spec.correct_bias,
    )


def with_spec(settings: Settings, spec: CompressionSpec) -> Settings:
    """Returns `settings` with those of `spec`. What is not part of a spec, such as the layer shown, stays.

    Raises ValueError if `spec` has settings that no widget shows.
    """
    changes: dict[str, Any] = {"model": spec.model, "fold": spec.fold_bn, "order": spec.order, "bits": FLOAT}
    changes |= {"merge": spec.merge or 0.0, "equalize": spec.equalize, "inputs": FLOAT, "structure": "weight"}
    changes |= {"vector_format": spec.vector_format, "by": SPARSITY, "sparsity": 0.0, "layers": to_link(spec.layers)}
    if spec.weights:
        changes |= _quantizer_settings(spec.weights)
    if spec.activations:
        changes |= {"inputs": str(spec.activations.bits), "calibration": spec.activations.calibration}
    if spec.prune:
        changes |= _pruning_settings(spec.prune)
    chosen = replace(with_recovery(settings, spec), **changes)
    if spec_of(chosen) != spec:
        raise ValueError(
            "it has settings that no widget shows, such as a seed, more training images or compressed embeddings"
        )
    return chosen


def _quantizer_settings(weights: QuantSpec) -> dict[str, Any]:
    changes: dict[str, Any] = {"bits": str(weights.bits), "scheme": weights.scheme, "clip": weights.clip}
    changes |= {"granularity": weights.granularity, "only": weights.only or ALL, "ends": weights.skip_ends}
    if weights.clip.default_at is not None:
        changes[f"{weights.clip}_at"] = weights.clip_at or weights.clip.default_at
    numbers = {"group": weights.group_size, "step": weights.step}
    return changes | {key: number for key, number in numbers.items() if number}


def _pruning_settings(prune: PruneSpec) -> dict[str, Any]:
    structure = ":".join(map(str, prune.pattern)) if prune.pattern else str(prune.structure)
    changes: dict[str, Any] = {"structure": structure, "criterion": prune.criterion}
    if prune.threshold is not None:
        return changes | {"by": THRESHOLD, "threshold": prune.threshold, "unit": prune.unit}
    if prune.sparsity is not None:
        return changes | {"by": SPARSITY, "sparsity": prune.sparsity, "scope": prune.scope}
    return changes


def _with_possible_bits(layer: LayerSpec, weights: QuantSpec | None) -> LayerSpec | None:
    """Returns `layer` with the nearest bits that the scheme supports; None if no setting of its own remains."""
    if layer.bits in (None, FLOAT_BITS) or weights is None:
        return layer
    bits = weights.scheme.nearest_bits(layer.bits)
    if bits != weights.bits:
        return replace(layer, bits=bits)
    return None if layer.sparsity is None else replace(layer, bits=None)
