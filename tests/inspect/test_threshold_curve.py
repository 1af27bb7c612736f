"""The cumulative curve beside a sorted search, and rankings of filters on paper."""

import numpy as np
import pytest
import torch

from compression.core.compress import compress
from compression.inspect.ranking import MOST_BARS, rank_filters
from compression.inspect.threshold_curve import build_curve
from compression.networks.bundled import load_bundled
from compression.networks.weights import weighted_layers
from compression.spec import CompressionSpec, PruneSpec


@pytest.mark.parametrize(
    "scores",
    [
        torch.rand(1000),
        torch.randn(1000),
        torch.tensor([0.0, 0.0, 1.0]),
        torch.full((5,), 0.3),
        torch.full((5,), -0.3),
        torch.zeros(3),
        torch.tensor([2.0]),
    ],
)
def test_the_curve_equals_a_search_in_the_sorted_scores(scores):
    curve = build_curve([scores[:1], scores[1:]])
    below = np.searchsorted(np.sort(scores.numpy()), np.array(curve.thresholds, np.float32), side="left")
    assert curve.shares == pytest.approx(below / len(scores))
    assert curve.shares[-1] == 1
    assert list(curve.thresholds) == sorted(set(curve.thresholds))
    assert curve.logarithmic == bool((scores >= 0).all())


def test_equal_factors_lie_between_thresholds_and_next_to_nothing_below_the_first():
    curve = build_curve([torch.rand(10_000)])
    factors = np.divide(curve.thresholds[1:], curve.thresholds[:-1])
    assert factors == pytest.approx(factors[0], rel=1e-3)
    assert curve.shares[0] == pytest.approx(0.002, abs=1e-4)


def test_the_curve_relates_a_threshold_to_the_sparsity_of_compress():
    model = load_bundled("simple_cnn").module
    curve = build_curve([weight.abs() for weight in weighted_layers(model).values()])
    for threshold, share in list(zip(curve.thresholds, curve.shares, strict=True))[20::40]:
        compressed = compress(model, CompressionSpec("simple_cnn", PruneSpec(threshold)))
        assert sum(layer.pruned for layer in compressed.layers) / compressed.weights == pytest.approx(share, abs=1e-9)


def test_filters_are_ranked_by_score_with_their_density():
    weight = torch.tensor([[0.0, 1.0], [0.0, 0.0], [5.0, 5.0]])
    ranking = rank_filters([torch.tensor([2.0, 1.0, 5.0])], [weight])
    assert ranking.scores == (5.0, 2.0, 1.0)
    assert ranking.densities == (1.0, 0.5, 0.0)
    assert (ranking.filters_per_bar, ranking.filters, ranking.empty) == (1, 3, 1)


def test_filters_of_several_layers_share_one_order():
    ranking = rank_filters([torch.tensor([1.0, 3.0]), torch.tensor([2.0])], [torch.ones(2, 4), torch.zeros(1, 2)])
    assert ranking.scores == (3.0, 2.0, 1.0)
    assert ranking.densities == (1.0, 0.0, 1.0)


def test_many_filters_share_bars_and_all_are_counted():
    scores = torch.arange(300.0)
    ranking = rank_filters([scores], [(scores >= 150).float()[:, None].expand(-1, 4)])
    assert ranking.filters_per_bar == 3
    assert len(ranking.scores) == 100 <= MOST_BARS
    assert ranking.scores[0] == pytest.approx(298)
    assert sum(ranking.densities) * ranking.filters_per_bar == pytest.approx(150)
    assert ranking.empty == 150
