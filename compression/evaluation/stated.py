"""Compares the accuracy that somebody states for a network with the one that was counted."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from compression.data.cifar10 import TEST
from compression.evaluation.evaluation import Evaluation

ROUNDING = 0.00055  # of accuracy: a published value is rounded, and sums of floats differ in a few images of 10,000


class Agreement(StrEnum):
    """How a stated accuracy compares with the counted one: the same, within its 95 % interval, or outside."""

    SAME = "same"
    WITHIN = "within"
    OUTSIDE = "outside"


@dataclass(frozen=True)
class StatedAccuracy:
    """An accuracy (0..1) that a file states under `name`, and how it compares with the counted one."""

    name: str
    accuracy: float
    agreement: Agreement


def agreement(stated: float, counted: Evaluation) -> Agreement:
    """Compares a stated accuracy (0..1) with the counted one."""
    low, high = counted.interval
    if abs(counted.accuracy - stated) < ROUNDING:
        return Agreement.SAME
    return Agreement.WITHIN if low <= stated <= high else Agreement.OUTSIDE


def compare_stated(accuracies: Mapping[str, float], counted: Evaluation) -> StatedAccuracy | None:
    """Compares what a file states with what was counted; None if it states nothing.

    If it states several accuracies, such as the best one and the last one, the nearest to the counted one is taken.
    """
    if not accuracies:
        return None
    name = min(accuracies, key=lambda name: abs(accuracies[name] - counted.accuracy))
    return StatedAccuracy(name, accuracies[name], agreement(accuracies[name], counted))


def stated_in_words(stated: StatedAccuracy, counted: Evaluation) -> str:
    """Returns what the file says, what was counted, and what a difference means, in sentences."""
    both = f"The file says {100 * stated.accuracy:.2f} % ({stated.name}), counted {100 * counted.accuracy:.2f} %"
    points = f"{100 * (counted.accuracy - stated.accuracy):+.2f} points"
    if stated.agreement is Agreement.SAME:
        return f"{both}: they agree."
    if stated.agreement is Agreement.OUTSIDE:
        return (
            f"{both}: the difference of {points} is more than the 95 % interval allows. The normalisation, the images "
            "or the weights are not those that the file speaks of."
        )
    words = f"{both}: the difference of {points} is within the 95 % interval"
    if counted.total < TEST.images:
        return f"{words}."
    return f"{words}, but on the same images there should be none: check the normalisation."
