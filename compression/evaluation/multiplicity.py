"""Corrections of p-values: for several tests at once, and for a network that was picked because it did best."""

from collections.abc import Sequence
from dataclasses import dataclass

from compression.evaluation.evaluation import Evaluation, flips


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns the p-values adjusted by Holm's step-down method, in the given order.

    Source: Holm 1979, Scandinavian Journal of Statistics 6:65-70. Whichever of the null hypotheses are true, and
    however the tests depend on each other, the probability that any true one gets an adjusted p-value below a level is
    at most that level.
    """
    results = [1.0] * len(p_values)
    largest = 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        results[index] = largest
    return results


@dataclass(frozen=True)
class PickedTest:
    """A test of two networks that were picked on the images that they are compared on.

    `p` is corrected for the number of `candidates` from which the more accurate network was picked.
    """

    p: float
    candidates: int


def compare_best(one: Sequence[Evaluation], other: Sequence[Evaluation]) -> PickedTest:
    """Tests whether the most accurate network of one group really is more accurate than that of the other group.

    Both groups have at least one evaluation, all of the same images. The winner is the more accurate of the two best. p
    is the largest p-value of McNemar's test between the winner and a network of the other group, times the number of
    candidates in the winner's own group (Bonferroni). This is enough: if no candidate is truly better than the best
    network of the other group, the winner has to beat that network by luck, and each candidate has one try. So under
    the null hypothesis p is below a level with at most that probability, however many networks either group has.
    """
    own, rivals = sorted((one, other), key=lambda group: max(each.correct for each in group), reverse=True)
    winner = max(own, key=lambda each: each.correct)
    return PickedTest(min(1.0, len(own) * max(flips(rival, winner).p for rival in rivals)), len(own))
