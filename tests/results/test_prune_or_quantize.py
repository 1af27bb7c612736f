"""The ways to make a network smaller, and the best of each way for the same bytes."""

import pytest
import torch

from compression.data.cifar10 import CLASSES
from compression.evaluation.evaluation import Evaluation
from compression.evaluation.multiplicity import PickedTest
from compression.evaluation.statistics import Flips
from compression.results.costs import Costs
from compression.results.pareto import Point
from compression.results.prune_or_quantize import (
    Way,
    WinnerTests,
    best_of_each_way,
    compare_winners,
    group_by_way,
    way_of,
)
from compression.spec import ActivationSpec, CompressionSpec, LayerSpec, PruneSpec, QuantSpec
from pages.ui.tradeoffs import equal_bytes

HALF, FOUR = PruneSpec(sparsity=0.5), QuantSpec(4)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (CompressionSpec("net"), None),
        (CompressionSpec("net", fold_bn=True), None),
        (CompressionSpec("net", activations=ActivationSpec(8)), None),
        (CompressionSpec("net", HALF), Way.PRUNED),
        (CompressionSpec("net", fold_bn=True, merge=0.3), Way.PRUNED),
        (CompressionSpec("net", layers=(LayerSpec("a", None, 0.5),)), Way.PRUNED),
        (CompressionSpec("net", weights=FOUR), Way.QUANTIZED),
        (CompressionSpec("net", layers=(LayerSpec("a", 4),)), Way.QUANTIZED),
        (CompressionSpec("net", weights=FOUR, layers=(LayerSpec("a", 8, 0.0),)), Way.QUANTIZED),
        (CompressionSpec("net", HALF, FOUR), Way.BOTH),
        (CompressionSpec("net", HALF, layers=(LayerSpec("a", 4),)), Way.BOTH),
    ],
)
def test_the_kind_of_a_spec_is_pruning_quantization_or_both(spec, expected):
    assert way_of(spec) == expected


def point(spec: CompressionSpec, file: int, correct: int) -> Point:
    return Point(spec, Costs(10, 5, 40, 40, 40, 40, file, 1, 1), correct, 1000)


POINTS = [
    point(CompressionSpec("net"), 100, 920),
    point(CompressionSpec("net", HALF), 60, 800),
    point(CompressionSpec("net", PruneSpec(sparsity=0.3)), 80, 910),
    point(CompressionSpec("net", weights=QuantSpec(8)), 30, 919),
    point(CompressionSpec("net", weights=FOUR), 15, 850),
    point(CompressionSpec("net", HALF, FOUR), 12, 700),
]


def test_each_kind_has_its_best_point_within_the_bytes():
    correct = lambda most_bytes: [point and point.correct for point in best_of_each_way(POINTS, most_bytes).values()]
    assert correct(100) == [910, 919, 700]
    assert correct(60) == [800, 919, 700]
    assert correct(29) == [None, 850, 700]
    assert correct(14) == [None, None, 700]
    assert correct(11) == [None, None, None]
    assert [len(own) for own in group_by_way(POINTS).values()] == [2, 2, 1]


@pytest.mark.parametrize(
    ("most_bytes", "p", "words"),
    [
        (
            80,
            0.001,
            "**Within 80 B, quantize**: it is 0.9 points more accurate, which is more than chance (McNemar test, "
            "p = 0.001, corrected for the best of 7).",
        ),
        (
            80,
            0.3,
            "**Within 80 B it hardly matters**: a difference of 0.9 points may be chance (McNemar test, p = 0.3, "
            "corrected for the best of 7).",
        ),
        (29, 0.001, "**Only quantizing fits into 29 B.** Doing both is 15.0 points less accurate"),
        (14, 0.001, "Neither pruning alone nor quantizing alone fits into 14 B; both together do."),
        (11, 0.001, "No measured spec fits into 11 B."),
    ],
)
def test_the_answer_in_words(most_bytes, p, words):
    winners, test = best_of_each_way(POINTS, most_bytes), PickedTest(p, 7)
    answer = equal_bytes.verdict(winners, most_bytes, WinnerTests(test, test))
    assert answer.replace("\N{NARROW NO-BREAK SPACE}", " ").startswith(words)


def evaluations(points):
    """The predictions of `points`: the first `correct` images are classified correctly."""
    labels = torch.zeros(1000, dtype=torch.int64)
    wrong = {each.spec: (torch.arange(1000) >= each.correct).to(torch.uint8) for each in points}
    return {spec: Evaluation(predictions, labels, CLASSES, 1000, 0.0) for spec, predictions in wrong.items()}


def test_winners_are_tested_against_all_specs_that_fit():
    """At 60 bytes: one pruned, two quantized, one both. At 29 bytes nothing is only pruned."""
    tests = compare_winners(POINTS, 60, evaluations(POINTS))
    assert tests.between == PickedTest(2 * Flips(119, 0).p, 2)
    assert tests.together == PickedTest(3 * Flips(219, 0).p, 3)  # 919 against 700
    assert compare_winners(POINTS, 29, evaluations(POINTS)).between is None
    assert compare_winners(POINTS, 14, evaluations(POINTS)).together is None
