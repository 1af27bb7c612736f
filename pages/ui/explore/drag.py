"""What the browser needs to follow the sliders of Explore: the setting of now, and what was measured around it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from compression.results.neighbours import GridPoint, grid_points
from compression.spec import (
    FLOAT_BITS,
    Clip,
    CompressionSpec,
    Criterion,
    Granularity,
    PruneSpec,
    QuantSpec,
    Scheme,
    Structure,
    Unit,
)
from pages.ui.compute import compressed, networks
from pages.ui.compute.caching import shared
from pages.ui.compute.compressed import Answer
from pages.ui.settings import selection
from pages.ui.state import specs
from pages.ui.state.specs import ANY_SPARSITY

FAMILY_BITS = 4
SKETCHED = (Granularity.TENSOR, Granularity.CHANNEL)


def sketch_name(spec: CompressionSpec) -> str:
    """Returns the name of the sketch that the browser computes from."""
    return f"{networks.float_model(spec.model).digest} {'folded' if spec.fold_bn else 'as it is'}"


def follow(answer: Answer, layer: str | None) -> dict[str, Any] | None:
    """Returns what the browser follows the sliders with, or None where the sketch does not say what they do.

    `answer` is shown now. The sketch knows symmetric quantizers with the full range, and pruning of single weights by
    magnitude. All else is shown when the server has answered, also what has no effect before a slider moves, and all
    of a network that is compressed already.
    """
    spec = answer.spec
    settings = selection.settings(spec.model)
    quantizer, rule = specs.quantizer_of(settings), specs.pruning_of(settings)
    family = specs.spec_of(replace(settings, bits=str(FAMILY_BITS)), ANY_SPARSITY)  # what the sliders lead to
    is_known = _is_sketched(quantizer) and _is_by_magnitude(rule) and _is_plain(family)
    if networks.is_compressed(spec.model) or not is_known:
        return None
    pruned = sum(each.pruned for each in answer.layers) / answer.weights
    measured = _measured(family)
    now = GridPoint(spec.weights.bits if spec.weights else None, pruned, answer.file_bytes, None)
    return {
        "sketch": sketch_name(spec),
        "layer": layer,
        "setting": {
            "bits": now.bits,
            "granularity": quantizer.granularity,
            "sparsity": rule.sparsity or 0.0,
            "threshold": rule.threshold,
            "scope": rule.scope,
            "activationBits": spec.activations.bits if spec.activations else FLOAT_BITS,
        },
        "anchors": [point._asdict() for point in (now, *measured, *_as_float(spec, measured))],
        "fixed": answer.file.rest + answer.file.container,
        "float32": answer.file.float32,
    }


def _as_float(spec: CompressionSpec, measured: Sequence[GridPoint]) -> tuple[GridPoint, ...]:
    """Returns the file of the float network, unless it was measured. It is counted once, for no slider changes it."""
    if any(point.bits is None and point.sparsity == 0 for point in measured):
        return ()
    as_float = compressed.answer(CompressionSpec(spec.model, fold_bn=spec.fold_bn))
    return (GridPoint(None, 0.0, as_float.file_bytes, None),)


@shared(128, quick=True)
def _measured(family: CompressionSpec) -> tuple[GridPoint, ...]:
    """Returns what was measured of a family, whose predictions are unpacked once."""
    return grid_points(networks.float_model(family.model), family)


def _is_sketched(quantizer: QuantSpec) -> bool:
    return (
        quantizer.scheme is Scheme.SYMMETRIC
        and quantizer.granularity in SKETCHED
        and quantizer.clip is Clip.FULL
        and quantizer.only is None
        and not quantizer.skip_ends
    )


def _is_by_magnitude(prune: PruneSpec) -> bool:
    return (prune.criterion, prune.structure, prune.unit) == (Criterion.L1, Structure.WEIGHT, Unit.ABSOLUTE)


def _is_plain(spec: CompressionSpec) -> bool:
    """Whether nothing but bits, pruning, folding before them, and the inputs of layers differs from the defaults."""
    plain = CompressionSpec(
        spec.model,
        spec.prune,
        spec.weights,
        fold_bn=spec.fold_bn,
        activations=spec.activations,
        reestimate_bn=spec.reestimate_bn,
    )
    return spec == plain
