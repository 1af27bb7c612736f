"""Evaluations: what is counted from predictions, the interval, and that batches change nothing."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from compression.core.compress import compress
from compression.data.cifar10 import CLASSES, TEST
from compression.data.images import ImageSet
from compression.evaluation.evaluation import BATCH, Evaluation, confusion, evaluate, evaluate_batch, join
from compression.evaluation.statistics import wilson_interval
from compression.networks.folding import fold_batch_norm
from compression.networks.model import FloatModel
from compression.networks.normalization import NORMALIZATIONS
from compression.spec import CompressionSpec, QuantSpec


def images(count: int) -> ImageSet:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, 3, 32, 32), generator=generator, dtype=torch.uint8)
    return ImageSet(pixels, torch.randint(0, 10, (count,), generator=generator), "made up", TEST)


class Fixed(nn.Module):
    """A network with the same logits for all images."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, x: Tensor) -> Tensor:
        return self.logits[: len(x)]


def same(one: Evaluation, other: Evaluation) -> bool:
    return (one.in_top5, one.loss_sum) == (other.in_top5, other.loss_sum) and all(
        torch.equal(getattr(one, name), getattr(other, name)) for name in ("predictions", "labels", "margins")
    )


# ---- the interval


@pytest.mark.parametrize(
    ("correct", "total", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_intervals_are_those_of_newcombe(correct: int, total: int, low: float, high: float) -> None:
    """Newcombe 1998, Statistics in Medicine 17:857-872, table I, method 3."""
    result = wilson_interval(correct, total)
    assert result == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


@pytest.mark.parametrize(("correct", "total"), [(0, 1), (1, 1), (3, 7), (500, 1000), (9173, 10_000), (10_000, 10_000)])
def test_the_ends_solve_wilsons_equation(correct: int, total: int) -> None:
    """The score interval is all p with |p - correct/total| <= z sqrt(p (1 - p) / total)."""
    for p in wilson_interval(correct, total):
        off = abs(p - correct / total) - 1.959963984540054 * math.sqrt(p * (1 - p) / total)
        assert off == pytest.approx(0, abs=1e-12)


def test_more_images_give_a_narrower_interval() -> None:
    widths = [high - low for low, high in (wilson_interval(9 * n, 10 * n) for n in (1, 10, 100, 1000))]
    assert widths == sorted(widths, reverse=True)
    assert wilson_interval(0, 0) == (0.0, 1.0)


# ---- what is counted from predictions


def test_an_evaluation_of_four_images_by_hand() -> None:
    result = Evaluation(
        predictions=torch.tensor([3, 3, 0, 9], dtype=torch.uint8),
        labels=torch.tensor([3, 5, 0, 0]),
        classes=CLASSES,
        in_top5=3,
        loss_sum=4.0,
    )
    assert (result.total, result.correct, result.accuracy, result.top5, result.loss) == (4, 2, 0.5, 0.75, 1.0)
    assert result.interval == wilson_interval(2, 4)
    assert list(result.per_class) == list(CLASSES)
    assert {name: count for name, count in result.per_class.items() if count != (0, 0)} == {
        "airplane": (1, 2),
        "cat": (1, 1),
        "dog": (0, 1),
    }


def test_predictions_top5_and_losses_of_known_logits() -> None:
    """The logits of each image decrease from class 0 on, so 0 is predicted and 0..4 are the five largest."""
    few = ImageSet(torch.zeros(3, 3, 32, 32, dtype=torch.uint8), torch.tensor([0, 4, 5]), "made up", TEST)
    logits = -torch.arange(10.0).expand(3, 10)
    result = evaluate(Fixed(logits), few, NORMALIZATIONS["none"])
    assert result.predictions.tolist() == [0, 0, 0]
    assert result.in_top5 == 2
    assert result.loss_sum == pytest.approx(float(F.cross_entropy(logits, few.labels, reduction="sum")))
    assert result.margins.tolist() == [1.0, 1.0, 1.0]


def test_a_data_set_of_other_classes_and_shape_is_evaluated_by_its_own_names() -> None:
    """With fewer than five classes each label is among the largest logits."""
    letters = replace(TEST, dataset="letters", classes=("a", "b", "c"), shape=(3, 5, 7), images=4)
    few = ImageSet(torch.zeros(4, *letters.shape, dtype=torch.uint8), torch.tensor([0, 0, 1, 2]), "made up", letters)
    evaluation = evaluate(Fixed(torch.tensor([[3.0, 1.0, 2.0]]).expand(4, 3)), few, NORMALIZATIONS["none"])
    assert evaluation.per_class == {"a": (2, 2), "b": (0, 1), "c": (0, 1)}
    assert confusion(evaluation) == [[2, 0, 0], [1, 0, 0], [1, 0, 0]]
    assert evaluation.in_top5 == 4


@pytest.mark.parametrize("count", [1, BATCH - 1, BATCH, BATCH + 1, 3 * BATCH])
def test_every_image_counts_once_and_in_order(count: int, simple_cnn: FloatModel) -> None:
    assert torch.equal(
        evaluate(simple_cnn.module, images(count), simple_cnn.normalization).labels, images(count).labels
    )


def test_the_evaluation_of_parts_joins_to_the_whole(simple_cnn: FloatModel) -> None:
    three = images(3 * BATCH)
    module = fold_batch_norm(simple_cnn.module)
    parts = [evaluate_batch(module, three[i * BATCH : (i + 1) * BATCH], simple_cnn.normalization) for i in range(3)]
    assert same(join(parts), evaluate(simple_cnn.module, three, simple_cnn.normalization))
    assert join(parts).correct == sum(part.correct for part in parts)


def test_images_in_another_order_get_the_same_predictions(simple_cnn: FloatModel) -> None:
    order = torch.randperm(2 * BATCH, generator=torch.Generator().manual_seed(1))
    straight = evaluate(simple_cnn.module, images(2 * BATCH), simple_cnn.normalization)
    shuffled = evaluate(simple_cnn.module, images(2 * BATCH)[order], simple_cnn.normalization)
    assert torch.equal(shuffled.predictions, straight.predictions[order])


# ---- laws


def test_evaluating_touches_neither_the_network_nor_the_images(simple_cnn: FloatModel) -> None:
    few = images(200)
    before = {name: value.clone() for name, value in simple_cnn.module.state_dict().items()}
    evaluate(simple_cnn.module, few, simple_cnn.normalization)
    assert all(torch.equal(value, before[name]) for name, value in simple_cnn.module.state_dict().items())
    assert torch.equal(few.pixels, images(200).pixels)


def test_evaluating_twice_gives_the_same_bits(simple_cnn: FloatModel) -> None:
    one, other = (evaluate(simple_cnn.module, images(300), simple_cnn.normalization) for _ in range(2))
    assert same(one, other)


def test_the_float_spec_evaluates_like_the_float_network(simple_cnn: FloatModel) -> None:
    compressed = compress(simple_cnn.module, CompressionSpec("simple_cnn"))
    one, other = (evaluate(m, images(300), simple_cnn.normalization) for m in (simple_cnn.module, compressed.module))
    assert same(one, other)


def test_sixteen_bits_predict_as_float_does(simple_cnn: FloatModel, test_images: ImageSet) -> None:
    compressed = compress(simple_cnn.module, CompressionSpec("simple_cnn", weights=QuantSpec(16)))
    few = test_images[:1000]
    before, after = (evaluate(m, few, simple_cnn.normalization) for m in (simple_cnn.module, compressed.module))
    assert (before.predictions != after.predictions).sum() <= 1
    assert after.loss == pytest.approx(before.loss, rel=1e-3)
