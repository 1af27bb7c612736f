"""Prune or quantize? For the same bytes, the best of either way, of both together, and whether they differ."""

from collections.abc import Iterable
from enum import StrEnum

from compression.results.pareto import Point, best
from compression.spec import CompressionSpec


class Way(StrEnum):
    """What makes a network small."""

    PRUNED = "pruned"
    QUANTIZED = "quantized"
    BOTH = "both"


def way(spec: CompressionSpec) -> Way | None:
    """How `spec` makes its network smaller; None where it does not. Filters that merge are pruned, in a way."""
    prunes = bool(spec.prune or spec.merge or any(layer.sparsity for layer in spec.layers))
    if spec.quantizes_weights:
        return Way.BOTH if prunes else Way.QUANTIZED
    return Way.PRUNED if prunes else None


def by_way(points: Iterable[Point]) -> dict[Way, list[Point]]:
    """The points of each way; those that are not compressed are of none."""
    found: dict[Way, list[Point]] = {each: [] for each in Way}
    for point in points:
        if (own := way(point.spec)) is not None:
            found[own].append(point)
    return found


def duel(points: Iterable[Point], most_bytes: int) -> dict[Way, Point | None]:
    """The most accurate of each way within so many bytes, or None where nothing of that way is as small."""
    return {each: best(own, most_bytes) for each, own in by_way(points).items()}
