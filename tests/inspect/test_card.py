"""The model card: what a layer is, and which channels one scale for all of them leaves empty."""

import math

import pytest
import torch
from torch import nn

from compression.core.compress import compress
from compression.inspect.card import describe_layer, describe_layers, measure_channel_ranges, measure_spread
from compression.networks.architectures.resnet import ResNet
from compression.networks.macs import layer_macs
from compression.spec import CompressionSpec, Granularity, QuantSpec

X = "\N{MULTIPLICATION SIGN}"
WEIGHT = torch.tensor([[-0.7, 0.0, 0.1, 0.2, 0.7], [0.01, 0.02, 0.03, 0.04, 0.05], [-0.05, 0.0, 0.0, 0.0, 0.06]])


def test_the_box_of_a_channel_is_its_range_and_quartiles() -> None:
    ranges = measure_channel_ranges(WEIGHT, bits=4)
    assert ranges.low == pytest.approx((-0.7, 0.01, -0.05))
    assert ranges.lower_quartile == pytest.approx((0.0, 0.02, 0.0))
    assert ranges.median == pytest.approx((0.1, 0.03, 0.0))
    assert ranges.upper_quartile == pytest.approx((0.2, 0.04, 0.0))
    assert ranges.high == pytest.approx((0.7, 0.05, 0.06))


def test_a_channel_within_half_a_step_rounds_to_zero() -> None:
    ranges = measure_channel_ranges(WEIGHT, bits=4)
    assert ranges.half_step == pytest.approx(0.7 / 7 / 2)
    assert ranges.all_zero == (False, True, False)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_channels_that_round_to_zero_are_those_that_compress_makes_zero(bits: int) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = ResNet(1).eval()
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            layer.weight.data[::3] *= 0.05
    spec = CompressionSpec("resnet20", weights=QuantSpec(bits, granularity=Granularity.TENSOR))
    zeros = 0
    for record in compress(module, spec).layers:
        empty = (record.weight.flatten(1) == 0).all(1)
        assert measure_channel_ranges(record.original, bits).all_zero == tuple(empty.tolist())
        zeros += int(empty.sum())
    assert zeros > 0 or bits == 8


def test_the_spread_is_the_widest_channel_over_the_median_one() -> None:
    assert measure_spread(WEIGHT) == pytest.approx(0.7 / 0.06)
    assert measure_spread(torch.ones(4, 2, 3, 3)) == 1
    assert measure_spread(torch.zeros(4, 2)) == 1
    assert measure_spread(torch.tensor([[0.0], [0.0], [1.0]])) == math.inf


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (nn.Conv2d(3, 8, 3), f"conv 3{X}3"),
        (nn.Conv2d(8, 8, 1), f"conv 1{X}1"),
        (nn.Conv2d(8, 8, 3, stride=2, groups=8), f"depthwise 3{X}3 /2"),
        (nn.Conv2d(1, 4, (3, 1)), f"conv 3{X}1"),
        (nn.Conv1d(1, 4, 3, stride=2), "conv 3 /2"),
        (nn.Conv3d(1, 4, (1, 2, 3)), f"conv 1{X}2{X}3"),
        (nn.ConvTranspose2d(4, 4, 2, stride=2, groups=4), f"transposed depthwise 2{X}2 /2"),
        (nn.Linear(3, 2), "linear"),
    ],
)
def test_the_short_description_of_a_layer(layer: nn.Module, words: str) -> None:
    assert describe_layer(layer) == words


def test_the_cards_add_up_to_the_network(random_resnet: nn.Module) -> None:
    macs = layer_macs(random_resnet, torch.zeros(1, 3, 32, 32))
    cards = describe_layers(random_resnet, macs)
    assert [card.name for card in cards] == list(macs)
    assert sum(card.weights for card in cards) == sum(math.prod(card.shape) for card in cards) == 270_896
    assert sum(card.macs for card in cards) == sum(macs.values())
