"""Flips, confusion, classes and often lost images: a hand-sized example on paper, and the committed landscape."""

import pytest
import torch

from compression.evaluation import evaluation
from compression.evaluation.evaluation import Evaluation
from compression.inside.flips import (
    Change,
    Comparison,
    Matrix,
    class_changes,
    compare,
    confusion,
    in_cell,
    often_lost,
    sort_surest_first,
)
from compression.networks.bundled import load_bundled
from compression.results.landscape import read_landscape
from compression.spec import CompressionSpec, QuantSpec

CLASSES = ("cat", "dog", "ship")
LABELS = [0, 0, 1, 1, 2, 2]
BEFORE = [0, 0, 1, 0, 2, 0]
AFTER = [0, 1, 2, 1, 2, 1]


def evaluated(predictions: list[int], margins: list[float] | None = None) -> Evaluation:
    kept = None if margins is None else torch.tensor(margins)
    return Evaluation(torch.tensor(predictions, dtype=torch.uint8), torch.tensor(LABELS), CLASSES, 0, 0.0, kept)


@pytest.fixture
def comparison() -> Comparison:
    return compare(evaluated(BEFORE, [0.5, 0.1, 0.9, 0.3, 0.2, 0.4]), evaluated(AFTER))


def test_each_image_has_the_change_that_one_reads_off_the_predictions(comparison: Comparison) -> None:
    rows = {change: mask.nonzero()[:, 0].tolist() for change, mask in comparison.changes.items()}
    assert rows == {Change.LOST: [1, 2], Change.WON: [3], Change.BOTH_WRONG: [5], Change.SAME: [0, 4]}


def test_images_are_sorted_by_how_sure_float_is_and_else_by_number(comparison: Comparison) -> None:
    everything = torch.ones(6, dtype=torch.bool)
    assert sort_surest_first(comparison, everything) == (2, 0, 5, 3, 4, 1)
    assert sort_surest_first(compare(evaluated(BEFORE), evaluated(AFTER)), everything) == (0, 1, 2, 3, 4, 5)


def test_a_matrix_counts_what_its_axes_say(comparison: Comparison) -> None:
    assert confusion(comparison, Matrix.CHANGE) == [[1, 3, 0], [0, 0, 1], [0, 0, 1]]
    assert confusion(comparison, Matrix.BEFORE) == [[2, 0, 0], [1, 1, 0], [1, 0, 1]]
    assert confusion(comparison, Matrix.AFTER) == evaluation.confusion(evaluated(AFTER))


@pytest.mark.parametrize("matrix", Matrix)
def test_a_cell_holds_as_many_images_as_it_counts(comparison: Comparison, matrix: Matrix) -> None:
    counts = confusion(comparison, matrix)
    cells = [[int(in_cell(comparison, matrix, row, column).sum()) for column in range(3)] for row in range(3)]
    assert cells == counts


def test_the_class_that_loses_most_comes_first(comparison: Comparison) -> None:
    changes = class_changes(comparison)
    assert [(each.name, each.before, each.after, each.lost, each.won) for each in changes] == [
        ("cat", 2, 1, 1, 0),
        ("dog", 1, 1, 1, 1),
        ("ship", 1, 1, 0, 0),
    ]
    assert [each.change for each in changes] == [-0.5, 0.0, 0.0]


def test_an_image_is_lost_as_often_as_networks_lose_it_and_bad_networks_are_left_out() -> None:
    before = evaluated([0, 0, 1, 1, 2, 0])
    often = often_lost(before, [before, evaluated([0, 0, 1, 1, 0, 2]), evaluated([1, 1, 0, 0, 0, 0])])
    assert (often.networks, often.left_out) == (2, 1)
    assert often.losses.tolist() == [0, 0, 0, 0, 1, 0]
    assert often.ranking == (4,)
    assert not often.by_all.any()
    assert often_lost(before, []).by_all.sum() == 0


def test_networks_are_compared_on_the_same_images_only() -> None:
    other = Evaluation(torch.zeros(6, dtype=torch.uint8), torch.zeros(6).long(), CLASSES, 0, 0.0)
    with pytest.raises(ValueError, match="same images"):
        compare(evaluated(BEFORE), other)


def test_a_spec_that_changes_nothing_flips_nothing_and_others_flip_what_mcnemar_counts() -> None:
    landscape = read_landscape(load_bundled("resnet20"))
    before = landscape.get(CompressionSpec("resnet20"))
    after = landscape.get(CompressionSpec("resnet20", weights=QuantSpec(3)))
    assert before
    assert after
    assert compare(before.evaluation, before.evaluation).counts[Change.SAME] == before.evaluation.total
    counts, flips = (
        compare(before.evaluation, after.evaluation).counts,
        evaluation.flips(before.evaluation, after.evaluation),
    )
    assert (counts[Change.LOST], counts[Change.WON]) == (flips.lost, flips.won)
    assert sum(counts.values()) == before.evaluation.total
