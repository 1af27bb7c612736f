"""The bits of the codes as a part of the loss: by hand, beside torch's own gradient, and in a training run."""

import math
from dataclasses import replace

import pytest
import torch

from compression.quantization import codebooks
from compression.quantization.quantizers import QParams, quantize
from compression.retraining import recipe
from compression.retraining.rate import SMOOTHING, mean_bits
from compression.retraining.recipe import Recipe, check_fits, recipe_from_json
from compression.spec import CompressionSpec, PruneSpec, QuantSpec
from tests.retraining.test_training import RECIPE, finish, training


def even(scale: torch.Tensor, top: int = 3, group_size: int | None = None) -> QParams:
    return QParams(scale, torch.zeros_like(scale, dtype=torch.int32), -top, top, group_size)


def test_weights_on_codes_take_the_entropy_of_the_codes():
    weight = torch.tensor([[0.0, 0.0, 0.0, 0.0, 1.0, 1.0, -1.0, 2.0]]) * 0.5
    bits = mean_bits([(weight, even(torch.tensor(0.5)), torch.tensor(1.0))])
    assert float(bits) == pytest.approx(4 / 8 * 1 + 2 / 8 * 2 + 2 / 8 * 3, abs=0.15)  # the smoothing adds a little


def test_a_weight_between_two_codes_takes_bits_in_between():
    """Three zeros and one weight at 0.25 of a step: 4 weights with the code 0."""
    weight = torch.tensor([[0.0, 0.0, 0.0, 0.25]], requires_grad=True)
    counts = torch.full((7,), SMOOTHING)
    counts[3] += 4
    zero, one = (math.log2(float(counts.sum() / counts[code])) for code in (3, 4))
    bits = mean_bits([(weight, even(torch.tensor(1.0)), torch.tensor(1.0))])
    bits.backward()
    assert float(bits.detach()) == pytest.approx((3 * zero + 0.75 * zero + 0.25 * one) / 4)
    assert weight.grad[0, 3] == pytest.approx((one - zero) / 4)


@pytest.mark.parametrize(
    ("scale", "group_size"),
    [(torch.tensor(0.3), None), (torch.tensor([[0.3], [0.2]]), None), (torch.tensor([[0.3], [0.2], [0.4], [0.1]]), 3)],
    ids=["tensor", "channel", "group"],
)
def test_gradients_of_weights_and_gains_are_those_of_small_steps(scale, group_size):
    torch.manual_seed(0)
    weight = (0.3 * torch.randn(2, 6)).double().requires_grad_()
    qparams = even(scale.double(), group_size=group_size)
    gain = torch.full_like(qparams.scale, 0.97).requires_grad_()
    torch.autograd.gradcheck(lambda w, g: mean_bits([(w, qparams, g)]), (weight, gain), eps=1e-7, atol=1e-5)


def test_all_weights_count_alike_whatever_layer_they_are_in():
    small, large = torch.zeros(1, 3), torch.arange(9.0).view(1, 9) - 4
    layers = [
        (small, even(torch.tensor(1.0), 4), torch.tensor(1.0)),
        (large, even(torch.tensor(1.0), 4), torch.tensor(1.0)),
    ]
    alone = [float(mean_bits([layer])) for layer in layers]
    assert float(mean_bits(layers)) == pytest.approx((3 * alone[0] + 9 * alone[1]) / 12)
    assert float(mean_bits([])) == 0


def test_a_weight_beyond_the_last_code_is_as_dear_as_that_and_is_not_pushed():
    weight = torch.tensor([[0.0, 9.0]], requires_grad=True)
    mean_bits([(weight, even(torch.tensor(1.0)), torch.tensor(1.0))]).backward()
    assert weight.grad[0, 1] == 0


def test_with_a_penalty_the_codes_that_come_out_have_less_entropy():
    spec, short = (
        CompressionSpec(weights=QuantSpec(4, granularity="tensor")),
        replace(RECIPE, steps=12, gain_rate=0.02),
    )
    plain, small = (
        _entropy(finish(training(spec, replace(short, bit_penalty=penalty))).network()) for penalty in (0.0, 3.0)
    )
    assert small < 0.95 * plain


def _entropy(network) -> float:
    """The bits of all weights, by the entropy of the codes of each layer."""
    total = 0.0
    for layer in network.layers:
        counts = torch.bincount((quantize(layer.weight, layer.qparams) - layer.qparams.low).flatten().long()).double()
        shares = counts[counts > 0] / counts.sum()
        total -= float((counts[counts > 0] * shares.log2()).sum())
    return total


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        (CompressionSpec("m", PruneSpec(sparsity=0.5)), "no weights are quantized"),
        (CompressionSpec("m", weights=QuantSpec(2, "k-means")), "the scheme k-means has a codebook"),
    ],
)
def test_a_penalty_without_even_steps_is_refused(spec, problem):
    with pytest.raises(ValueError, match=problem):
        check_fits(Recipe(bit_penalty=0.1), spec)


def test_the_recipe_knows_which_schemes_have_a_codebook():
    assert set(recipe.CODEBOOKS) == set(codebooks.CODEBOOKS)


def test_a_penalty_is_a_number_and_recipes_of_before_it_came_keep_their_names():
    with pytest.raises(ValueError, match="bit_penalty must be a finite number of at least 0, got -1"):
        Recipe(bit_penalty=-1)
    assert "bit_penalty" not in Recipe().to_json()
    assert recipe_from_json(Recipe(bit_penalty=0.1).to_json()) == Recipe(bit_penalty=0.1)
