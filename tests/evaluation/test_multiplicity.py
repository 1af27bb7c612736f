"""Holm's correction against its definition, and false alarms about networks that were picked, under the null."""

from itertools import chain, combinations

import numpy as np
import pytest
import torch

from compression.data.cifar10 import CLASSES
from compression.evaluation.evaluation import Evaluation, flips
from compression.evaluation.multiplicity import compare_best, holm
from compression.evaluation.statistics import Flips

IMAGES, CHANGE, CANDIDATES, ROUNDS = 1000, 0.04, 64, 200
LABELS = torch.zeros(IMAGES, dtype=torch.int64)


def test_four_p_values_by_hand() -> None:
    """0.005 x 4, 0.01 x 3, 0.03 x 2, and the last takes the larger of 0.04 x 1 and its predecessor."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.7, 0.6]) == [1.0, 1.0]
    assert holm([0.2]) == [0.2]
    assert holm([]) == []


def test_holm_is_the_closed_test_of_bonferroni() -> None:
    """A hypothesis is rejected if Bonferroni's test rejects each set of hypotheses that contains it (Marcus 1976)."""
    generator = np.random.default_rng(0)
    for count in range(1, 8):
        for _ in range(20):
            p_values = (generator.random(count) ** 3).round(3)
            sets = list(chain.from_iterable(combinations(range(count), size) for size in range(1, count + 1)))
            expected = [
                max(min(1.0, len(own) * min(p_values[list(own)])) for own in sets if index in own)
                for index in range(count)
            ]
            assert holm(list(p_values)) == pytest.approx(expected)


def evaluation(right: np.ndarray) -> Evaluation:
    predictions = torch.from_numpy(~right).to(torch.uint8)
    return Evaluation(predictions, LABELS[: len(right)], CLASSES, len(right), 0.0)


def group(generator: np.random.Generator, base: np.ndarray, count: int) -> list[Evaluation]:
    """Networks that are equally accurate on all images of the world: each changes as many of either kind, by chance."""
    changes = generator.random((count, IMAGES)) < CHANGE * np.where(base, 1.0, base.mean() / (1 - base.mean()))
    return [evaluation(base ^ each) for each in changes]


@pytest.mark.parametrize("own", [1, CANDIDATES])
def test_one_spec_against_the_best_of_64_gives_no_more_false_alarms_than_it_says(own: int) -> None:
    generator = np.random.default_rng(1)
    alarms, alarms_without_correction = 0, 0
    for _ in range(ROUNDS):
        base = generator.random(IMAGES) < 0.9
        ones, others = group(generator, base, own), group(generator, base, CANDIDATES)
        best = [max(each, key=lambda one: one.correct) for each in (ones, others)]
        alarms_without_correction += flips(*best).p < 0.05
        alarms += compare_best(ones, others).p < 0.05
    assert alarms / ROUNDS <= 0.05
    if own == 1:
        assert alarms_without_correction / ROUNDS > 0.3


def test_a_winner_that_beats_every_rival_clearly_is_found() -> None:
    right = np.arange(IMAGES) < 900
    better, rivals = evaluation(right), [evaluation(np.arange(IMAGES) < 850 - place) for place in range(3)]
    test = compare_best(rivals, [better, evaluation(right & (np.arange(IMAGES) % 2 == 0))])
    assert (test.candidates, test.p) == (2, 2 * Flips(50, 0).p)
    assert compare_best([better], rivals).candidates == 1


def test_a_network_is_not_better_than_itself() -> None:
    same = [evaluation(np.arange(IMAGES) < 900)]
    assert compare_best(same, same).p == 1
