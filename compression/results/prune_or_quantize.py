"""Compares pruning, quantization and both together at the same file size."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from compression.evaluation.evaluation import Evaluation
from compression.evaluation.multiplicity import PickedTest, compare_best
from compression.results.pareto import Point, most_accurate
from compression.spec import CompressionSpec


class Way(StrEnum):
    """What makes a network smaller."""

    PRUNED = "pruned"
    QUANTIZED = "quantized"
    BOTH = "both"


def way_of(spec: CompressionSpec) -> Way | None:
    """Returns how `spec` makes its network smaller, or None if it does not. Merging filters counts as pruning."""
    prunes = bool(spec.prune or spec.merge or any(layer.sparsity for layer in spec.layers))
    if spec.quantizes_weights:
        return Way.BOTH if prunes else Way.QUANTIZED
    return Way.PRUNED if prunes else None


def group_by_way(points: Iterable[Point]) -> dict[Way, list[Point]]:
    """Returns the points of each way. Points that are not compressed are left out."""
    groups: dict[Way, list[Point]] = {way: [] for way in Way}
    for point in points:
        if (way := way_of(point.spec)) is not None:
            groups[way].append(point)
    return groups


def best_of_each_way(points: Iterable[Point], max_bytes: int) -> dict[Way, Point | None]:
    """Returns the most accurate point of each way whose file has at most `max_bytes`, or None if there is none."""
    return {way: most_accurate(own, max_bytes) for way, own in group_by_way(points).items()}


@dataclass(frozen=True)
class WinnerTests:
    """Tests of the winners at one file size, each None if a side has no spec that fits.

    `between` compares pruning and quantizing, `together` compares doing both with the better of these two. Winners are
    picked among all specs that fit, on the images that they are compared on, so p is corrected for that.
    """

    between: PickedTest | None
    together: PickedTest | None


def compare_winners(
    points: Iterable[Point], max_bytes: int, evaluations: Mapping[CompressionSpec, Evaluation]
) -> WinnerTests:
    """Returns the tests of `best_of_each_way`. `evaluations` has those of all `points`."""
    pruned, quantized, both = (
        [evaluations[point.spec] for point in own if point.file_bytes <= max_bytes]
        for own in group_by_way(points).values()
    )
    alone = [*pruned, *quantized]
    return WinnerTests(
        compare_best(pruned, quantized) if pruned and quantized else None,
        compare_best(both, alone) if both and alone else None,
    )
