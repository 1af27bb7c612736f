"""The cliff: how accuracy falls with fewer bits or more sparsity, and what is left with recovery and with training."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache

from compression.results.pareto import Point
from compression.spec import CompressionSpec, PruneSpec, Rounding

FINE_BITS = 8  # from here on bits cost a pruned network next to nothing, so that sparsity is what it falls with


class Axis(StrEnum):
    """What accuracy falls with."""

    BITS = "bits"
    SPARSITY = "sparsity"


@dataclass(frozen=True)
class Step:
    """A measured network of the cliff. `x`: its bits per weight, or its sparsity (0..1)."""

    x: float
    point: Point


@dataclass(frozen=True)
class Cliff:
    """The networks that differ from the settings at `x` only in what is on the `axis`, each line by ascending x.

    `compressed`: without recovery. `recovered`: the best at each x with recovery but no training. `trained`: all that
    were trained.
    """

    axis: Axis
    x: float
    compressed: tuple[Step, ...]
    recovered: tuple[Step, ...]
    trained: tuple[Step, ...]

    @property
    def best_trained(self) -> tuple[Step, ...]:
        """The best trained network at each x."""
        return _best(self.trained)

    @property
    def beaten(self) -> tuple[Step, ...]:
        """The trained networks that another one with the same x beats."""
        return tuple(step for step in self.trained if step not in self.best_trained)


def cliff_of(
    spec: CompressionSpec, points: Iterable[Point], trained: Iterable[tuple[Point, CompressionSpec]]
) -> Cliff | None:
    """Returns the cliff that the settings `spec` stand on, or None without a number of bits or a target sparsity.

    `points`: what is known of the same float network. `trained`: networks that were trained from it, each with the spec
    that it was trained with. Beside sparsity, networks that were recovered or trained with FINE_BITS or more, or with
    float weights, belong together.
    """
    axis = axis_of(spec)
    if axis is None:
        return None
    x, beside = _split(spec, axis, spec.prune)
    family = _without_fine_bits(beside, axis)
    compressed, recovered, learned = [], [], []
    for point in points:
        at, others = _split(point.spec, axis, spec.prune)
        if point.spec == point.spec.without_recovery:
            if others == beside:
                compressed.append(Step(at, point))
        elif _without_fine_bits(others, axis) == family and point.spec.rounding is not Rounding.RATE_AWARE:
            recovered.append(Step(at, point))
    for point, own in trained:
        at, others = _split(own, axis, spec.prune)
        if _without_fine_bits(others, axis) == family:
            learned.append(Step(at, point))
    learned.sort(key=lambda step: (step.x, step.point.accuracy))
    return Cliff(axis, x, _best(compressed), _best(recovered), tuple(learned))


def axis_of(spec: CompressionSpec) -> Axis | None:
    """Returns what the accuracy of `spec` falls with: sparsity, or bits if there are few or nothing else."""
    has_bits = spec.weights is not None and len(spec.weights.scheme.bits) > 1
    has_sparsity = spec.prune is not None and spec.prune.sparsity is not None
    if has_sparsity and (spec.weights is None or spec.weights.bits >= FINE_BITS or not has_bits):
        return Axis.SPARSITY
    return Axis.BITS if has_bits else None


@lru_cache(maxsize=4096)
def _split(spec: CompressionSpec, axis: Axis, pruned_like: PruneSpec | None) -> tuple[float, CompressionSpec | None]:
    """Returns where `spec` stands on `axis`, and its other settings, without recovery and without a network.

    These are None for a spec that is not on the axis. Nothing pruned is a sparsity of 0 of `pruned_like`.
    """
    plain = replace(spec.without_recovery, model="")
    if axis is Axis.BITS:
        quant = plain.weights
        return (quant.bits, replace(plain, weights=replace(quant, bits=quant.scheme.bits[-1]))) if quant else (0, None)
    prune = plain.prune or pruned_like
    if prune is None or prune.sparsity is None:
        return 0.0, None
    return prune.sparsity if plain.prune else 0.0, replace(plain, prune=replace(prune, sparsity=0.5))


def _without_fine_bits(beside: CompressionSpec | None, axis: Axis) -> CompressionSpec | None:
    """Returns the settings `beside` sparsity with float weights for FINE_BITS and more; others as they are."""
    is_fine = axis is Axis.SPARSITY and beside and beside.weights and beside.weights.bits >= FINE_BITS
    return replace(beside, weights=None) if beside and is_fine else beside


def _best(steps: Iterable[Step]) -> tuple[Step, ...]:
    best: dict[float, Step] = {}
    for step in steps:
        if step.x not in best or step.point.accuracy > best[step.x].point.accuracy:
            best[step.x] = step
    return tuple(best[x] for x in sorted(best))
