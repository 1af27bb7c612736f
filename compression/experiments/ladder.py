"""The ladder of recovery: what gives accuracy back without training, from the cheapest step to the dearest."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from compression.spec import CompressionSpec, Order, Rounding

AS_SET = "Compressed"


@dataclass(frozen=True)
class Rung:
    """A step of the ladder: its `spec` has this step and all before it. `deed` says what it does, as a sentence."""

    name: str
    deed: str
    spec: CompressionSpec


def rungs(spec: CompressionSpec, has_batch_norm: bool) -> tuple[Rung, ...]:
    """Returns the steps that are possible for `spec`, each with those before it; the first has none of them.

    Batch norm that is folded cannot be re-estimated, and if it is folded last, weights cannot be set from images:
    then the first rung is the only one. `has_batch_norm` says whether the network has any.
    """
    base = spec.without_recovery
    ladder = [Rung(AS_SET, "All settings without any recovery.", base)]
    for name, deed, changes in _steps(base, has_batch_norm):
        ladder.append(Rung(name, deed, replace(ladder[-1].spec, **changes)))
    return tuple(ladder)


def _steps(base: CompressionSpec, has_batch_norm: bool) -> Iterator[tuple[str, str, dict[str, Any]]]:
    if not (base.prunes or base.quantizes_weights or base.activations):
        return
    if has_batch_norm and not base.fold_bn:
        yield "Batch norm", "Computes means and variances of batch norm again.", {"reestimate_bn": True}
    if base.order is Order.QUANTIZE_FIRST:
        return
    yield "Bias", "Gives each channel of each layer its mean back.", {"correct_bias": True}
    yield "Spread", "Gives each channel its standard deviation back.", {"repair_activations": True}
    if base.prunes:
        yield "Survivors", "Moves the weights that pruning keeps so that outputs stay.", {"reconstruct": True}
    if base.quantizes_weights:
        yield (
            "Rounding",
            "Rounds weights one after another, and lets the next ones make up for the error.",
            {"rounding": Rounding.COMPENSATED},
        )
