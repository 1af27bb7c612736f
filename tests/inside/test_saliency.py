"""Saliency by laws: completeness, a hand-made loop, a hand-sized network, identical networks."""

import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from compression.core.compress import compress
from compression.core.training_evidence import evidence_for
from compression.inside.saliency import (
    GREY,
    SQUARE,
    STRIDE,
    TOLERANCE,
    Method,
    explain,
    explain_both,
    rank_correlation,
    with_gradients,
)
from compression.networks.model import FloatModel
from compression.networks.normalization import NORMALIZATIONS
from compression.spec import ActivationSpec, CompressionSpec, QuantSpec

PLAIN = NORMALIZATIONS["none"]


def image(seed: int = 0) -> Tensor:
    """Returns smooth pixels (3, 32, 32) uint8, like those of a photograph."""
    coarse = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    return (255 * nn.functional.interpolate(coarse, (32, 32), mode="bilinear")[0]).to(torch.uint8)


def test_parts_of_the_integral_are_cut_until_the_sum_fits() -> None:
    """A kink of the logit lies at an edge of no first part: 32 equal parts alone miss a tenth of the change."""
    pixels = torch.full((3, 8, 8), GREY + 100, dtype=torch.uint8)
    place = GREY / 255 + 0.985 * 100 / 255  # of the ReLU, on the way from grey to the image
    linear = nn.Linear(1, 1)
    linear.weight.data, linear.bias.data = torch.ones(1, 1), torch.tensor([-place])
    mean = nn.Sequential(nn.AdaptiveAvgPool3d(1), nn.Flatten())
    module = nn.Sequential(mean, linear, nn.ReLU())
    each = explain(module, pixels, PLAIN, 0, Method.INTEGRATED_GRADIENTS)
    assert each.logit_change == pytest.approx(0.015 * 100 / 255, rel=1e-3)
    assert each.gap <= TOLERANCE


@pytest.mark.parametrize("seed", range(3))
def test_integrated_gradients_sum_to_the_difference_of_the_logits(simple_cnn: FloatModel, seed: int) -> None:
    pixels, normalize = image(seed), simple_cnn.normalization
    label = int(simple_cnn.module(normalize(pixels[None])).argmax())
    each = explain(simple_cnn.module, pixels, normalize, label, Method.INTEGRATED_GRADIENTS)
    logits = simple_cnn.module(normalize(torch.stack([pixels, torch.full_like(pixels, GREY)])))[:, label]
    assert each.logit_change == pytest.approx(float(logits[0] - logits[1]), abs=1e-4)
    assert each.gap <= TOLERANCE


def test_occlusion_is_that_of_a_hand_made_loop(simple_cnn: FloatModel) -> None:
    pixels, normalize = image(), simple_cnn.normalization
    falls: list[list[list[float]]] = [[[] for _ in range(32)] for _ in range(32)]
    whole = float(simple_cnn.module(normalize(pixels[None]))[0, 3])
    for top in range(0, 32 - SQUARE + 1, STRIDE):
        for left in range(0, 32 - SQUARE + 1, STRIDE):
            hidden = pixels.clone()
            hidden[:, top : top + SQUARE, left : left + SQUARE] = GREY
            fall = whole - float(simple_cnn.module(normalize(hidden[None]))[0, 3])
            for row in range(top, top + SQUARE):
                for column in range(left, left + SQUARE):
                    falls[row][column].append(fall)
    expected = torch.tensor([[sum(each) / len(each) for each in row] for row in falls])
    values = explain(simple_cnn.module, pixels, normalize, 3, Method.OCCLUSION).values
    assert torch.allclose(values, expected, atol=1e-4)


def test_grad_cam_of_one_convolution_is_its_output_weighted_by_the_linear_layer() -> None:
    torch.manual_seed(0)
    conv, linear = nn.Conv2d(3, 2, 1), nn.Linear(2, 4)
    module = nn.Sequential(conv, nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear)
    expected = (conv(PLAIN(image()[None]))[0] * linear.weight[1].view(2, 1, 1) / 32**2).sum(0).relu()
    assert torch.allclose(explain(module, image(), PLAIN, 1, Method.GRAD_CAM).values, expected, atol=1e-7)


def test_grad_cam_needs_a_convolution() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))
    with pytest.raises(ValueError, match="needs a convolution"):
        explain(module, image(), PLAIN, 0, Method.GRAD_CAM)


@pytest.mark.parametrize("method", Method)
def test_a_spec_that_changes_nothing_has_identical_maps(simple_cnn: FloatModel, method: Method) -> None:
    same = compress(simple_cnn.module, CompressionSpec("simple_cnn")).module
    networks = simple_cnn.module, same
    first, second = (explain(each, image(), simple_cnn.normalization, 5, method).values for each in networks)
    assert torch.equal(first, second)


@pytest.mark.parametrize("method", Method)
def test_gradients_pass_quantized_activations_and_outputs_stay_the_same(simple_cnn: FloatModel, method: Method) -> None:
    spec = CompressionSpec("simple_cnn", weights=QuantSpec(4), activations=ActivationSpec(4))
    module = compress(simple_cnn.module, spec, evidence_for(simple_cnn, spec)).module
    x = simple_cnn.normalization(image()[None])
    assert torch.allclose(with_gradients(module)(x), module(x), atol=1e-5)
    label = int(module(x).argmax())
    assert explain(module, image(), simple_cnn.normalization, label, method).values.abs().sum() > 0
    hooks = [hook for part in module.modules() for hook in part._forward_pre_hooks.values()]
    assert {type(hook).__name__ for hook in hooks} == {"InputQuantizer"}


def test_both_maps_share_the_larger_scale(simple_cnn: FloatModel) -> None:
    small = compress(simple_cnn.module, CompressionSpec("simple_cnn", weights=QuantSpec(2))).module
    pair = explain_both(simple_cnn.module, small, image(), simple_cnn.normalization, 5, Method.OCCLUSION)
    maps = torch.stack([pair.before.values, pair.after.values])
    assert pair.most == float(maps.abs().max())
    assert pair.correlation == rank_correlation(*maps)
    assert not torch.equal(*maps)


def test_correlations_are_those_of_scipy() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randint(9, (2, 32, 32), generator=generator).float()
    expected = spearmanr(first.flatten(), second.flatten()).statistic
    assert rank_correlation(first, second) == pytest.approx(expected, abs=1e-9)


def test_the_correlation_of_maps_follows_their_ranks() -> None:
    ramp = torch.arange(16.0).view(4, 4)
    assert rank_correlation(ramp, ramp**3) == pytest.approx(1)
    assert rank_correlation(ramp, -ramp) == pytest.approx(-1)
    assert rank_correlation(ramp, torch.zeros(4, 4)) is None
