"""The Pareto front of compressed networks: accuracy against the bytes of the packed file."""

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from compression.cached_property import cached_property
from compression.evaluation.statistics import Proportion
from compression.results.costs import Costs
from compression.spec import CompressionSpec


@dataclass(frozen=True)
class Point(Proportion):
    """A result without its predictions: `correct` of `total` test images.

    `precomputed`: the result comes from the committed landscape; otherwise it was measured on this machine.
    """

    spec: CompressionSpec
    costs: Costs
    correct: int
    total: int
    precomputed: bool = False

    @property
    def file_bytes(self) -> int:
        """The bytes of the packed file."""
        return self.costs.file

    @cached_property
    def name(self) -> str:
        """The name in links: the network, a colon, and 8 hex digits of the digest of the spec."""
        return f"{self.spec.model}:{hashlib.sha256(self.spec.to_json().encode()).hexdigest()[:8]}"


def pareto_front(points: Iterable[Point]) -> list[Point]:
    """Returns the points that no other point beats, by ascending bytes and accuracy; of equal points the first."""
    front: list[Point] = []
    for point in sorted(points, key=lambda point: (point.file_bytes, -point.accuracy)):
        if not front or point.accuracy > front[-1].accuracy:
            front.append(point)
    return front


def recovered_pairs(
    points: Iterable[Point], trained: Mapping[str, CompressionSpec] = MappingProxyType({})
) -> list[tuple[Point, Point]]:
    """Returns each point that gave accuracy back, after the one of the same spec without that, if it is there.

    Accuracy is given back by a spec, or by training: `trained` has the specs of the networks that were trained, by the
    name of what came out.
    """
    points = list(points)
    by_spec = {point.spec: point for point in points}

    def before(spec: CompressionSpec) -> Point | None:
        origin = trained.get(spec.model) if spec == CompressionSpec(spec.model) else None
        return by_spec.get(origin or spec.without_recovery) or (
            by_spec.get(origin.without_recovery) if origin else None
        )

    bases = [(before(point.spec), point) for point in points]
    return [(base, point) for base, point in bases if base is not None and base is not point]


def least_correct(before: Point, drop: float) -> int:
    """Returns how many images a network classifies correctly if it loses `drop` (0..1) of accuracy against `before`."""
    return math.ceil(before.correct - drop * before.total - 1e-6)


def smallest(points: Iterable[Point], min_accuracy: float) -> Point | None:
    """Returns the point with the fewest bytes of those with at least `min_accuracy`; of equals the most accurate."""
    able = [point for point in points if point.accuracy >= min_accuracy]
    return min(able, key=lambda point: (point.file_bytes, -point.accuracy), default=None)


def most_accurate(points: Iterable[Point], max_bytes: int) -> Point | None:
    """Returns the most accurate point of those with at most `max_bytes`; of equals the one with the fewest bytes."""
    able = [point for point in points if point.file_bytes <= max_bytes]
    return min(able, key=lambda point: (-point.accuracy, point.file_bytes), default=None)
