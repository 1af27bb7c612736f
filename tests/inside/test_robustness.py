"""What corruptions cost: counts, paired intervals with the coverage that they promise, and workers that agree."""

import math

import pytest
import torch
from torch import Tensor

from compression.core.compress import compress
from compression.data.images import ImageSet
from compression.engine.cluster import Engine
from compression.inside.calls import corruption_calls, right_by_condition
from compression.inside.corruptions import CONDITIONS, Condition, Corruption, corrupt
from compression.inside.inspector import Inspector
from compression.inside.robustness import class_costs, condition_costs, mean_difference, paired_difference, pooled_cost
from compression.networks.model import FloatModel
from compression.spec import CompressionSpec, QuantSpec


def drawn(images: int, lost: float, won: float, seed: int) -> Tensor:
    """Returns -1, 0 or 1 for each image, with these probabilities of a loss and a win."""
    uniform = torch.rand(images, generator=torch.Generator().manual_seed(seed))
    return (uniform > 1 - won).int() - (uniform < lost).int()


@pytest.mark.parametrize(("lost", "won"), [(0.1, 0.05), (0.02, 0.0), (0.0, 0.0), (0.3, 0.3)])
def test_the_paired_interval_covers_the_truth_in_at_least_95_of_100_draws(lost: float, won: float) -> None:
    covered = [
        each.low <= won - lost <= each.high
        for each in (paired_difference(drawn(400, lost, won, seed)) for seed in range(400))
    ]
    assert sum(covered) >= 0.93 * len(covered)


def test_the_paired_difference_is_that_of_the_accuracies() -> None:
    change = torch.tensor([-1, -1, 1, 0, 0, 0, 0, 0, 0, 0])
    each = paired_difference(change)
    assert each.mean == -0.1
    assert each.low < -0.1 < each.high
    nothing = paired_difference(torch.zeros(1000, dtype=torch.int))
    assert nothing.mean == 0
    assert not nothing.is_significant
    assert nothing.low == pytest.approx(-nothing.high) == pytest.approx(-1.96 / 1002, rel=1e-3)


def test_the_interval_of_a_mean_is_that_of_a_normal_distribution() -> None:
    each = mean_difference(torch.tensor([-1, 0, 1, 2]))
    half = 1.959964 * math.sqrt(5 / 3) / 2
    assert (each.mean, each.low, each.high) == pytest.approx((0.5, 0.5 - half, 0.5 + half))


def by_hand(clean: list[bool], corrupted: list[bool]) -> list[Tensor]:
    return [torch.tensor(clean)] + [torch.tensor(corrupted)] * (len(CONDITIONS) - 1)


def test_compression_costs_more_where_images_are_lost_that_clean_are_not() -> None:
    before = by_hand([True, True, True, True], [True, True, True, False])
    after = by_hand([True, True, True, False], [True, False, False, False])
    clean, noisy = condition_costs(before, after)[:2]
    assert (clean.before, clean.after, clean.change.mean, clean.extra.mean) == (4, 3, -0.25, 0)
    assert (noisy.before, noisy.after, noisy.change.mean) == (3, 1, -0.5)
    assert noisy.extra.mean == -0.25
    change, extra = pooled_cost(before, after)
    assert (change.mean, extra.mean) == (-0.5, -0.25)
    after[1:6] = [torch.tensor([True, True, True, False])] * 5  # noise, which comes first
    assert pooled_cost(before, after, Corruption.NOISE)[0].mean == 0
    assert pooled_cost(before, after, Corruption.BLUR)[0].mean == -0.5
    after[1:6] = after[6:11]
    classes = class_costs(before, after, torch.tensor([0, 1, 1, 0]), ("cat", "dog", "frog"))
    assert [(each.name, each.images, each.clean, each.corrupted) for each in classes] == [
        ("dog", 2, 0.0, -1.0),
        ("cat", 2, -0.5, 0.0),
    ]


def test_a_network_that_compression_does_not_change_pays_nothing() -> None:
    right = by_hand([True, False], [False, True])
    for each in condition_costs(right, right):
        assert (each.change.mean, each.extra.mean, each.extra.low, each.extra.high) == (0, 0, 0, 0)


def test_workers_classify_corrupted_images_as_this_process_does(
    here: Engine, simple_cnn: FloatModel, test_images: ImageSet
) -> None:
    spec, count = CompressionSpec("simple_cnn", weights=QuantSpec(3)), 520  # in two chunks
    *_, last = Inspector(here).follow(corruption_calls(here, simple_cnn, spec, test_images, count))
    right = right_by_condition(last.results, count)
    module = compress(simple_cnn.module, spec).module
    for corruption in (Corruption.NOISE, Corruption.ROTATION):
        condition = Condition(corruption, 3)
        pixels = corrupt(test_images.pixels[:count], condition)
        expected = module(simple_cnn.normalization(pixels)).argmax(1) == test_images.labels[:count]
        assert (right[CONDITIONS.index(condition)] == expected).float().mean() > 0.995  # folded for speed
