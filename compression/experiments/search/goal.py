"""What a search is for, and what it picks: by the half of the images that it may see, and by nothing else."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist

from compression.evaluation.statistics import Z_95
from compression.spec import CompressionSpec

CHANCES = 10  # networks of a search, about, that would be picked if they were lucky

Z_TO_SPARE = NormalDist().inv_cdf(1 - 0.05 / CHANCES)


@dataclass(frozen=True)
class Goal:
    """The smallest file that loses at most `drop` (0..1) of accuracy, or the best network within so many bytes."""

    drop: float | None = None
    bytes: int | None = None

    def __post_init__(self) -> None:
        if (self.drop is None) == (self.bytes is None):
            raise ValueError("a search takes one goal: a drop of accuracy or a number of bytes")
        if self.drop is not None and not 0 <= self.drop < 1:
            raise ValueError(f"the drop must be at least 0 and below 100 points, got {100 * self.drop:g}")
        if self.bytes is not None and self.bytes < 1:
            raise ValueError(f"the bytes must be at least 1, got {self.bytes}")

    @property
    def most_bytes(self) -> float:
        return math.inf if self.bytes is None else self.bytes

    @property
    def words(self) -> str:
        if self.drop is not None:
            return f"the smallest file that loses at most {100 * self.drop:g} points"
        return f"the best network within {self.bytes:,} bytes"


@dataclass(frozen=True)
class Tried:
    """A spec, the bytes of its file, and how it did on the first `images` of the search half.

    `lost` of them are wrong now and were right in float, `won` the other way round.
    """

    spec: CompressionSpec
    bytes: int
    images: int
    correct: int
    lost: int
    won: int

    @property
    def accuracy(self) -> float:
        return self.correct / self.images

    @property
    def drop(self) -> float:
        """Of accuracy (0..1), against float on the same images."""
        return (self.lost - self.won) / self.images

    @property
    def spread(self) -> float:
        """The standard error of `drop`, with half an image more in each of the four cells of the paired table (Agresti
        and Min 2005, Statistics in Medicine 24:729-740).
        """
        changed, images = self.lost + self.won + 1, self.images + 2
        return math.sqrt(changed - (self.lost - self.won) ** 2 / images) / images

    @property
    def least_drop(self) -> float:
        """The lower end of its 95 % interval."""
        return self.drop - Z_95 * self.spread


def within(goal: Goal, tried: Tried) -> bool:
    """Whether it keeps to the goal on the images that it was tried on."""
    return tried.bytes <= goal.most_bytes if goal.drop is None else tried.drop <= goal.drop


def to_spare(goal: Goal, tried: Tried) -> bool:
    """The same with a confidence of 95 % for all of CHANCES together (one-sided, Bonferroni): of many that are just
    within, the smallest is partly lucky.
    """
    if goal.drop is not None:
        return tried.drop + Z_TO_SPARE * tried.spread <= goal.drop
    return within(goal, tried)


def beyond(goal: Goal, tried: Tried) -> float:
    """How far it is beyond the goal, at the least that chance allows: in bytes or in accuracy (0..1), above 0 if so."""
    return tried.bytes - goal.most_bytes if goal.drop is None else tried.least_drop - goal.drop


def may_win(goal: Goal, tried: Tried, whole: Iterable[Tried]) -> bool:
    """Whether more images could still make it the winner, beside those that are tried on the `whole` half."""
    return beyond(goal, tried) <= 0 and not any(
        other.bytes <= tried.bytes and other.drop <= tried.least_drop for other in whole
    )


def best(goal: Goal, tried: Iterable[Tried], images: int, spare: bool = False) -> Tried | None:
    """Of those tried on `images` and within the goal the smallest, or the most accurate; None where there is none.

    With `spare`, one that is so with confidence comes first.
    """
    found = [each for each in tried if each.images == images and within(goal, each)]
    if spare:
        found = [each for each in found if to_spare(goal, each)] or found
    by_bytes = goal.drop is not None
    return min(
        found, key=lambda each: (each.bytes, -each.correct) if by_bytes else (-each.correct, each.bytes), default=None
    )


def front(tried: Iterable[Tried]) -> tuple[Tried, ...]:
    """Those that no other one beats, smallest first: none has fewer bytes and loses no more."""
    found: list[Tried] = []
    for each in sorted(tried, key=lambda each: (each.bytes, each.drop)):
        if not found or each.drop < found[-1].drop:
            found.append(each)
    return tuple(found)
