"""The goal of a search, and the trial that it picks: by the search half of the images, and by nothing else."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist

from compression.evaluation.statistics import Z_95
from compression.spec import CompressionSpec

LUCKY_TRIALS = 10  # Bonferroni factor: about how many trials of a search are close enough to the goal to win by luck

Z_CONFIDENT = NormalDist().inv_cdf(1 - 0.05 / LUCKY_TRIALS)


@dataclass(frozen=True)
class Goal:
    """The smallest file that loses at most `drop` (0..1) of accuracy, or the best network within `file_bytes`.

    Exactly one of the two is given. Raises ValueError.
    """

    drop: float | None = None
    file_bytes: int | None = None

    def __post_init__(self) -> None:
        if (self.drop is None) == (self.file_bytes is None):
            raise ValueError("a search takes one goal: a drop of accuracy or a number of bytes")
        if self.drop is not None and not 0 <= self.drop < 1:
            raise ValueError(f"the drop must be at least 0 and below 100 points, got {100 * self.drop:g}")
        if self.file_bytes is not None and self.file_bytes < 1:
            raise ValueError(f"the bytes must be at least 1, got {self.file_bytes}")

    @property
    def most_bytes(self) -> float:
        """The largest file that is allowed, in bytes; infinity if the goal limits the drop."""
        return math.inf if self.file_bytes is None else self.file_bytes

    @property
    def words(self) -> str:
        """The goal as part of a sentence."""
        if self.drop is not None:
            return f"the smallest file that loses at most {100 * self.drop:g} points"
        return f"the best network within {self.file_bytes:,} bytes"


@dataclass(frozen=True)
class Trial:
    """A spec, the size of its file, and its result on the first `images` of the search half.

    `lost` images are classified correctly by the float network only, `won` by the compressed network only.
    """

    spec: CompressionSpec
    file_bytes: int
    images: int
    correct: int
    lost: int
    won: int

    @property
    def accuracy(self) -> float:
        """The share (0..1) of images that are classified correctly."""
        return self.correct / self.images

    @property
    def drop(self) -> float:
        """The drop of accuracy (0..1) from the float network on the same images."""
        return (self.lost - self.won) / self.images

    @property
    def standard_error(self) -> float:
        """The standard error of `drop`.

        Half an image is added to each of the four cells of the paired table (Agresti and Min 2005, Statistics in
        Medicine 24:729-740).
        """
        changed, images = self.lost + self.won + 1, self.images + 2
        return math.sqrt(changed - (self.lost - self.won) ** 2 / images) / images

    @property
    def least_drop(self) -> float:
        """The lower end of the 95 % interval of `drop`."""
        return self.drop - Z_95 * self.standard_error


def meets(goal: Goal, trial: Trial) -> bool:
    """Returns whether `trial` meets the goal on the images that it was tried on."""
    return trial.file_bytes <= goal.most_bytes if goal.drop is None else trial.drop <= goal.drop


def surely_meets(goal: Goal, trial: Trial) -> bool:
    """Returns whether `trial` meets the goal with 95 % confidence for LUCKY_TRIALS together (one-sided, Bonferroni).

    Of many trials that barely meet it, the one with the smallest file does so partly by luck.
    """
    if goal.drop is not None:
        return trial.drop + Z_CONFIDENT * trial.standard_error <= goal.drop
    return meets(goal, trial)


def excess(goal: Goal, trial: Trial) -> float:
    """Returns by how much `trial` misses the goal, in bytes or as the least drop (0..1); up to 0, it may meet it."""
    return trial.file_bytes - goal.most_bytes if goal.drop is None else trial.least_drop - goal.drop


def may_win(goal: Goal, trial: Trial, rivals: Iterable[Trial]) -> bool:
    """Returns whether more images could still make `trial` the winner; `rivals` are tried on the whole search half."""
    return excess(goal, trial) <= 0 and not any(
        rival.file_bytes <= trial.file_bytes and rival.drop <= trial.least_drop for rival in rivals
    )


def pick(goal: Goal, trials: Iterable[Trial], images: int, surely: bool = False) -> Trial | None:
    """Returns the smallest, or the most accurate, of the trials on `images` that meet the goal; None if none does.

    With `surely`, trials that meet the goal with confidence are preferred.
    """
    candidates = [each for each in trials if each.images == images and meets(goal, each)]
    if surely:
        candidates = [each for each in candidates if surely_meets(goal, each)] or candidates
    by_bytes = goal.drop is not None
    return min(
        candidates,
        key=lambda each: (each.file_bytes, -each.correct) if by_bytes else (-each.correct, each.file_bytes),
        default=None,
    )


def front_of_trials(trials: Iterable[Trial]) -> tuple[Trial, ...]:
    """Returns the Pareto front, smallest file first: no other trial has fewer bytes and loses no more accuracy."""
    front: list[Trial] = []
    for each in sorted(trials, key=lambda each: (each.file_bytes, each.drop)):
        if not front or each.drop < front[-1].drop:
            front.append(each)
    return tuple(front)
