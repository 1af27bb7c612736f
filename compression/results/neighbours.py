"""What is said of a spec where no images are: what was measured of it beforehand, or of its neighbours."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TypeVar

from compression.evaluation.evaluation import Evaluation
from compression.evaluation.reading import Reading
from compression.evaluation.sampling import plain_order
from compression.networks.model import FloatModel
from compression.results.landscape import Landscape, landscape
from compression.results.result import Result
from compression.spec import FLOAT_BITS, CompressionSpec, Criterion, PruneSpec, Scope, Structure, Unit
from compression.spec.grid import GRID_BITS, GRID_SPARSITIES

N = TypeVar("N", int, float)


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The specs nearest to `spec` that were measured: with the next bits above and below, and the next sparsities.

    Nothing says that `spec` itself lies between them; it was not measured. `before`: the float network.
    """

    spec: CompressionSpec
    results: tuple[Result, ...]
    before: Evaluation

    @property
    def low(self) -> float:
        """The least of their accuracies, 0..1."""
        return min(each.evaluation.accuracy for each in self.results)

    @property
    def high(self) -> float:
        return max(each.evaluation.accuracy for each in self.results)


def beforehand(model: FloatModel, spec: CompressionSpec, pruned: Callable[[], float]) -> Reading | Neighbours | None:
    """What is known of `spec`; None where that is nothing.

    `pruned`: which share of its weights (0..1) is pruned, to find neighbours where `spec` itself was not measured.
    """
    known = landscape(model)
    found, base = known.get(spec), known.get(CompressionSpec(spec.model))
    if base is None:
        return None
    if found:
        order = plain_order(found.evaluation.total)
        return Reading(spec, order, found.evaluation, base.evaluation, measured_with=known.torch)
    around = neighbours(known, spec, pruned())
    return Neighbours(spec, around, base.evaluation) if around else None


def neighbours(known: Landscape, spec: CompressionSpec, sparsity: float) -> tuple[Result, ...]:
    """Those of the grid; none where `spec` differs from the grid by more than bits and how much is pruned."""
    prunes: list[PruneSpec | None] = [spec.prune]
    if spec.prune and _by_magnitude(spec.prune):
        targets = _around(GRID_SPARSITIES, sparsity)
        prunes = [PruneSpec(sparsity=each) if each else None for each in targets]
    bits = [spec.weights.bits if spec.weights else FLOAT_BITS]
    if spec.weights and not known.get(replace(spec, prune=None)):
        bits = _around([each or FLOAT_BITS for each in GRID_BITS], spec.weights.bits)
    specs = [
        replace(
            spec, prune=prune, weights=replace(spec.weights, bits=each) if spec.weights and each < FLOAT_BITS else None
        )
        for prune, each in product(prunes, bits)
    ]
    found = [result for each in specs if (result := known.get(each))]
    return tuple(found) if specs and len(found) == len(specs) else ()


def _by_magnitude(prune: PruneSpec) -> bool:
    """Whether the smallest weights of the whole network go, be it up to a sparsity or below a threshold."""
    return (prune.scope, prune.unit, prune.criterion, prune.structure) == (
        *(Scope.GLOBAL, Unit.ABSOLUTE),
        *(Criterion.L1, Structure.WEIGHT),
    )


def _around(values: Sequence[N], x: N) -> list[N]:
    """The nearest of `values` below `x` and above, or `x` itself; nothing where `x` lies beyond them all."""
    below, above = [each for each in values if each <= x], [each for each in values if each >= x]
    return list(dict.fromkeys([max(below), min(above)])) if below and above else []
