"""Accuracy without test images: the committed result of a spec, or of the specs next to it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import NamedTuple, TypeVar

from compression.evaluation.evaluation import Evaluation
from compression.evaluation.reading import Reading
from compression.evaluation.sampling import plain_order
from compression.networks.model import FloatModel
from compression.results.landscape import Landscape, read_landscape
from compression.results.result import Result
from compression.spec import FLOAT_BITS, CompressionSpec, Criterion, PruneSpec, Scope, Structure, Unit
from compression.spec.grid import GRID_BITS, GRID_SPARSITIES

N = TypeVar("N", int, float)


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The committed specs next to `spec`: with the next bits and sparsities above and below its own.

    The accuracy of `spec` need not lie between theirs: it was not measured. `before` evaluates the float network.
    """

    spec: CompressionSpec
    results: tuple[Result, ...]
    before: Evaluation

    @property
    def low(self) -> float:
        """The lowest of their accuracies, 0..1."""
        return min(each.evaluation.accuracy for each in self.results)

    @property
    def high(self) -> float:
        """The highest of their accuracies, 0..1."""
        return max(each.evaluation.accuracy for each in self.results)


class GridPoint(NamedTuple):
    """What is known at a place of the grid of bits and sparsities. `bits` is None for float weights.

    `sparsity` is the share of the weights that is pruned, `bytes` the size of the packed file, `accuracy` 0..1 or None.
    """

    bits: int | None
    sparsity: float
    bytes: int
    accuracy: float | None


def committed_reading(
    model: FloatModel, spec: CompressionSpec, pruned: Callable[[], float]
) -> Reading | Neighbours | None:
    """Returns the committed result of `spec`, or those of its neighbours, or None if there are none.

    `pruned` returns the share of the weights (0..1) that `spec` prunes. It is called only to find the neighbours.
    """
    landscape = read_landscape(model)
    result, base = landscape.get(spec), landscape.get(CompressionSpec(spec.model))
    if base is None:
        return None
    if result:
        order = plain_order(result.evaluation.total)
        return Reading(spec, order, result.evaluation, base.evaluation, measured_with=landscape.torch)
    results = neighbouring_results(landscape, spec, pruned())
    return Neighbours(spec, results, base.evaluation) if results else None


def neighbouring_results(landscape: Landscape, spec: CompressionSpec, sparsity: float) -> tuple[Result, ...]:
    """Returns the results next to `spec` on the grid; none if it differs in more than bits and sparsity."""
    prunes: list[PruneSpec | None] = [spec.prune]
    if spec.prune and _by_magnitude(spec.prune):
        targets = _around(GRID_SPARSITIES, sparsity)
        prunes = [PruneSpec(sparsity=each) if each else None for each in targets]
    bits = [spec.weights.bits if spec.weights else FLOAT_BITS]
    if spec.weights and not landscape.get(replace(spec, prune=None)):
        bits = _around([each or FLOAT_BITS for each in GRID_BITS], spec.weights.bits)
    specs = [
        replace(
            spec, prune=prune, weights=replace(spec.weights, bits=each) if spec.weights and each < FLOAT_BITS else None
        )
        for prune, each in product(prunes, bits)
    ]
    results = tuple(result for each in specs if (result := landscape.get(each)))
    return results if specs and len(results) == len(specs) else ()


def grid_points(model: FloatModel, spec: CompressionSpec) -> tuple[GridPoint, ...]:
    """Returns the committed results of all specs that differ from `spec` in bits and sparsity only.

    `spec` quantizes the weights. With another pruning scope than the global one, only what is not pruned is known.
    """
    assert spec.weights is not None
    landscape, rule = read_landscape(model), spec.prune or PruneSpec(sparsity=0.0)
    points = []
    for bits, sparsity in product(GRID_BITS, GRID_SPARSITIES if _by_magnitude(rule) else (0.0,)):
        prune = PruneSpec(sparsity=sparsity) if sparsity else None
        each = replace(spec, prune=prune, weights=replace(spec.weights, bits=bits) if bits else None)
        if result := landscape.get(each):
            points.append(GridPoint(bits, sparsity, result.costs.file, result.evaluation.accuracy))
    return tuple(points)


def _by_magnitude(prune: PruneSpec) -> bool:
    """Whether the smallest weights of the whole network are pruned, up to a sparsity or below a threshold."""
    return (prune.scope, prune.unit, prune.criterion, prune.structure) == (
        *(Scope.GLOBAL, Unit.ABSOLUTE),
        *(Criterion.L1, Structure.WEIGHT),
    )


def _around(values: Sequence[N], x: N) -> list[N]:
    """Returns the nearest of `values` below and above `x`, `x` alone if it is one of them, nothing outside of them."""
    below, above = [each for each in values if each <= x], [each for each in values if each >= x]
    return list(dict.fromkeys([max(below), min(above)])) if below and above else []
