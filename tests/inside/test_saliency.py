"""Saliency by laws: completeness, a hand-made loop, a hand-sized network, identical networks."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from compression.core.compress import compress
from compression.core.training_evidence import evidence_for
from compression.inside.saliency import (
    PATCH,
    STRIDE,
    TOLERANCE,
    Method,
    _differentiable,
    explain,
    integrated_gradients,
    rank_correlation,
)
from compression.networks.model import FloatModel
from compression.spec import ActivationSpec, CompressionSpec, QuantSpec


def image(seed: int = 0) -> Tensor:
    return torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("seed", range(3))
def test_integrated_gradients_sum_to_the_difference_of_the_logits(simple_cnn: FloatModel, seed: int) -> None:
    x, module = image(seed), simple_cnn.module
    label = int(module(x).argmax())
    values, missing = integrated_gradients(_differentiable(module), x, label)
    difference = float(module(x)[0, label] - module(torch.zeros_like(x))[0, label])
    assert float(values.sum()) == pytest.approx(difference, rel=TOLERANCE)
    assert missing <= TOLERANCE


def test_occlusion_is_that_of_a_hand_made_loop(simple_cnn: FloatModel) -> None:
    x, module = image(), simple_cnn.module
    falls: list[list[list[float]]] = [[[] for _ in range(32)] for _ in range(32)]
    with torch.no_grad():
        for top in range(0, 32 - PATCH + 1, STRIDE):
            for left in range(0, 32 - PATCH + 1, STRIDE):
                hidden = x.clone()
                hidden[0, :, top : top + PATCH, left : left + PATCH] = 0
                fall = float(module(x)[0, 3] - module(hidden)[0, 3])
                for row in range(top, top + PATCH):
                    for column in range(left, left + PATCH):
                        falls[row][column].append(fall)
    expected = torch.tensor([[sum(each) / len(each) for each in row] for row in falls])
    assert torch.allclose(explain(module, x, 3, Method.OCCLUSION).map, expected, atol=1e-4)


def test_grad_cam_of_one_convolution_is_its_output_weighted_by_the_linear_layer() -> None:
    torch.manual_seed(0)
    conv, linear = nn.Conv2d(3, 2, 1), nn.Linear(2, 4)
    module = nn.Sequential(conv, nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear)
    x = image()
    expected = (conv(x)[0] * linear.weight[1].view(2, 1, 1) / 32**2).sum(0).relu()
    assert torch.allclose(explain(module, x, 1, Method.GRAD_CAM).map, expected, atol=1e-7)


def test_grad_cam_needs_a_convolution() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))
    with pytest.raises(ValueError, match="needs a convolution"):
        explain(module, image(), 0, Method.GRAD_CAM)


@pytest.mark.parametrize("method", Method)
def test_a_spec_that_changes_nothing_has_identical_maps(simple_cnn: FloatModel, method: Method) -> None:
    same = compress(simple_cnn.module, CompressionSpec("simple_cnn")).module
    first, second = (explain(each, image(), 5, method).map for each in (simple_cnn.module, same))
    assert torch.equal(first, second)
    assert rank_correlation(first, second) == pytest.approx(1)


@pytest.mark.parametrize("method", Method)
def test_gradients_pass_quantized_activations_and_outputs_stay_the_same(simple_cnn: FloatModel, method: Method) -> None:
    spec = replace(CompressionSpec("simple_cnn", weights=QuantSpec(4)), activations=ActivationSpec(4))
    module = compress(simple_cnn.module, spec, evidence_for(simple_cnn, spec)).module
    assert torch.allclose(_differentiable(module)(image()), module(image()), atol=1e-5)
    assert explain(module, image(), 5, method).map.abs().sum() > 0
    hooks = [hook for part in module.modules() for hook in part._forward_pre_hooks.values()]
    assert {type(hook).__name__ for hook in hooks} == {"InputQuantizer"}


def test_the_correlation_of_maps_follows_their_ranks() -> None:
    ramp = torch.arange(16.0).view(4, 4)
    assert rank_correlation(ramp, ramp**3) == pytest.approx(1)
    assert rank_correlation(ramp, -ramp) == pytest.approx(-1)
    assert math.isnan(rank_correlation(ramp, torch.zeros(4, 4)))
