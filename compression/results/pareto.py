"""Which compressed networks are worth having: accuracy against the bytes of the real file."""

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from compression.evaluation.statistics import Proportion
from compression.results.costs import Costs
from compression.spec import CompressionSpec


@dataclass(frozen=True)
class Point(Proportion):
    """A result without its predictions. `beforehand`: measured where the bundled networks come from, not here."""

    spec: CompressionSpec
    costs: Costs
    correct: int
    total: int
    beforehand: bool = False

    @property
    def bytes(self) -> int:
        """Those of the file."""
        return self.costs.file

    @cached_property
    def name(self) -> str:
        """What it is called in a link: its network and 8 hex digits of the digest of its spec."""
        return f"{self.spec.model}:{hashlib.sha256(self.spec.to_json().encode()).hexdigest()[:8]}"


def front(points: Iterable[Point]) -> list[Point]:
    """Those that no other beats: in more bytes, ever more right. Of equals the first."""
    found: list[Point] = []
    for point in sorted(points, key=lambda point: (point.bytes, -point.accuracy)):
        if not found or point.accuracy > found[-1].accuracy:
            found.append(point)
    return found


def least_correct(before: Point, drop: float) -> int:
    """How many images a network gets right that loses at most `drop` (0..1) of accuracy against `before`."""
    return math.ceil(before.correct - drop * before.total - 1e-6)


def smallest(points: Iterable[Point], least_accuracy: float) -> Point | None:
    """The one with the fewest bytes of those as accurate; of equals the most accurate."""
    able = [point for point in points if point.accuracy >= least_accuracy]
    return min(able, key=lambda point: (point.bytes, -point.accuracy), default=None)


def best(points: Iterable[Point], most_bytes: int) -> Point | None:
    """The most accurate of those as small; of equals the one with the fewest bytes."""
    able = [point for point in points if point.bytes <= most_bytes]
    return min(able, key=lambda point: (-point.accuracy, point.bytes), default=None)
