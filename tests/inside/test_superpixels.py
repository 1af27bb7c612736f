"""LIME and KernelSHAP by oracles: Shapley values by enumeration, scikit-learn's ridge regression, a linear network."""

import itertools
import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from torch import Tensor, nn

from compression.inside import superpixels
from compression.inside.saliency import Method, explain
from compression.inside.superpixels import (
    as_map,
    coalitions,
    constrained_least_squares,
    kernel_shap,
    lime,
    masked_logits,
    weighted_ridge,
)
from compression.networks.model import FloatModel

IMAGE, GREY = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)), torch.full((1, 3, 32, 32), 0.5)


def shapley_values(worth: dict[frozenset[int], float], players: int) -> list[float]:
    """Returns the Shapley values by their definition: the mean of what a player adds, over all orders."""
    values = [0.0] * players
    for player in range(players):
        others = [each for each in range(players) if each != player]
        for size in range(players):
            share = math.factorial(size) * math.factorial(players - size - 1) / math.factorial(players)
            for chosen in itertools.combinations(others, size):
                values[player] += share * (worth[frozenset((*chosen, player))] - worth[frozenset(chosen)])
    return values


def test_kernel_shap_is_exact_on_four_squares(simple_cnn: FloatModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(superpixels, "GRID", 2)
    rows = torch.tensor([*itertools.product((0.0, 1.0), repeat=4)]).double()
    logits = masked_logits(simple_cnn.module, IMAGE, GREY, 3, rows)
    worth = {frozenset(row.nonzero()[:, 0].tolist()): float(value) for row, value in zip(rows, logits, strict=True)}
    values = kernel_shap(simple_cnn.module, IMAGE, GREY, 3)[[0, 0, 16, 16], [0, 16, 0, 16]]
    assert values.tolist() == pytest.approx(shapley_values(worth, 4), rel=0.1, abs=0.02)


def test_with_the_shapley_kernel_least_squares_are_shapley_values() -> None:
    """All coalitions, each with its weight in the kernel, give the values of a game exactly."""
    players, generator = 5, np.random.default_rng(0)
    worth = {
        frozenset(chosen): float(generator.normal()) if chosen else 0.0
        for size in range(players + 1)
        for chosen in itertools.combinations(range(players), size)
    }
    rows, roots, targets = [], [], []
    for coalition, value in worth.items():
        if 0 < len(coalition) < players:
            size = len(coalition)
            roots.append(math.sqrt((players - 1) / (math.comb(players, size) * size * (players - size))))
            rows.append([float(player in coalition) for player in range(players)])
            targets.append(value)
    root, features, values = (torch.tensor(each, dtype=torch.float64) for each in (roots, rows, targets))
    total = worth[frozenset(range(players))]
    fitted = constrained_least_squares(
        features * root[:, None], (values - total * features.mean(1)) * root, 0.0
    )  # the additive game of total / players each is taken off, so that what is left sums to zero
    assert (fitted + total / players).tolist() == pytest.approx(shapley_values(worth, players), abs=1e-9)


def test_the_values_of_kernel_shap_sum_to_the_difference_of_the_logits(simple_cnn: FloatModel) -> None:
    values = kernel_shap(simple_cnn.module, IMAGE, GREY, 3)[::8, ::8]
    logits = simple_cnn.module(torch.cat([IMAGE, GREY]))[:, 3]
    assert float(values.sum()) == pytest.approx(float(logits[0] - logits[1]), rel=1e-4, abs=1e-5)


class Additive(nn.Module):
    """A network whose logit is a sum over squares: the values of each method are known."""

    def forward(self, x: Tensor) -> Tensor:
        sums = nn.functional.avg_pool2d(x.mean(1, keepdim=True), 8).flatten(1)
        return torch.stack([sums @ torch.arange(16.0), sums.sum(1)], 1)


def test_a_sum_over_squares_gives_what_each_square_adds() -> None:
    expected = (Additive()(IMAGE) - Additive()(GREY))[0, 0]
    adds = nn.functional.avg_pool2d((IMAGE - GREY).mean(1, keepdim=True), 8)[0, 0].flatten() * torch.arange(16.0)
    values = kernel_shap(Additive(), IMAGE, GREY, 0)[4::8, 4::8].flatten()
    assert values.tolist() == pytest.approx(adds.tolist(), abs=1e-4)
    assert float(values.sum()) == pytest.approx(float(expected), abs=1e-4)
    local = lime(Additive(), IMAGE, GREY, 0)[4::8, 4::8].flatten()  # ridge draws them towards zero
    assert np.corrcoef(local, adds)[0, 1] > 0.99


def test_the_regression_of_lime_is_that_of_scikit_learn() -> None:
    generator = torch.Generator().manual_seed(0)
    features = (torch.rand(50, 6, generator=generator) < 0.5).double()
    targets, weights = (torch.rand(50, generator=generator).double() for _ in range(2))
    oracle = Ridge(alpha=1.0).fit(features.numpy(), targets.numpy(), sample_weight=weights.numpy())
    assert weighted_ridge(features, targets, weights, 1.0).tolist() == pytest.approx(oracle.coef_.tolist(), abs=1e-9)


def test_coalitions_have_the_sizes_of_the_shapley_kernel_and_come_with_their_complements() -> None:
    rows = coalitions(6, 4000, 0)
    assert torch.equal(rows[0::2] + rows[1::2], torch.ones(2000, 6).double())
    sizes = torch.arange(1, 6)
    shares = 1 / (sizes * (6 - sizes)).double()
    counted = rows.sum(1).long().bincount(minlength=7)[1:6] / 4000
    assert counted.tolist() == pytest.approx((shares / shares.sum()).tolist(), abs=0.02)
    assert torch.equal(rows, coalitions(6, 4000, 0))


def test_each_pixel_has_the_value_of_its_square() -> None:
    picture = as_map(torch.arange(16.0), IMAGE)
    assert picture.shape == (32, 32)
    assert picture[[0, 7, 8, 31], [0, 7, 0, 31]].tolist() == [0, 0, 4, 15]


@pytest.mark.parametrize("method", [Method.LIME, Method.KERNEL_SHAP])
def test_covered_squares_decide_and_the_same_image_gives_the_same_map(simple_cnn: FloatModel, method: Method) -> None:
    pixels = (255 * IMAGE[0]).to(torch.uint8)
    first, second = (explain(simple_cnn.module, pixels, simple_cnn.normalization, 3, method).values for _ in range(2))
    assert torch.equal(first, second)
    assert len(first.unique()) <= 16
