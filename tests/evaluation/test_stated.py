"""What a file says of its accuracy, beside what was counted."""

import pytest
import torch

from compression.data.cifar10 import CLASSES
from compression.evaluation.evaluation import Evaluation
from compression.evaluation.stated import Agreement, agreement, compare_stated, stated_in_words


def counted(correct: int, total: int = 10_000) -> Evaluation:
    labels = torch.zeros(total, dtype=torch.int64)
    return Evaluation((torch.arange(total) >= correct).to(torch.uint8), labels, CLASSES, total, 0.0)


@pytest.mark.parametrize(
    ("stated", "expected", "words"),
    [
        (0.9296, Agreement.SAME, "The file says 92.96 % (best_prec), counted 92.97 %: they agree."),
        (
            0.9263,
            Agreement.WITHIN,
            "the difference of +0.34 points is within the 95 % interval, but on the same images",
        ),
        (0.9402, Agreement.OUTSIDE, "the difference of -1.05 points is more than the 95 % interval allows."),
    ],
)
def test_what_the_file_says_is_the_same_or_within_the_interval_or_outside(
    stated: float, expected: Agreement, words: str
) -> None:
    whole = counted(9297)
    comparison = compare_stated({"best_prec": stated}, whole)
    assert comparison
    assert comparison.agreement is agreement(stated, whole) is expected
    assert words in stated_in_words(comparison, whole)


def test_with_fewer_images_a_difference_within_the_interval_is_no_reason_to_check() -> None:
    comparison = compare_stated({"acc": 0.92}, counted(450, 500))
    assert comparison
    assert stated_in_words(comparison, counted(450, 500)).endswith("is within the 95 % interval.")


def test_of_several_accuracies_the_nearest_counts() -> None:
    comparison = compare_stated({"best_acc": 0.93, "acc": 0.921}, counted(9212))
    assert comparison
    assert (comparison.name, comparison.accuracy) == ("acc", 0.921)
    assert compare_stated({}, counted(1)) is None
