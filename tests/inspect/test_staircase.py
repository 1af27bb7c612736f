"""A quantizer as a staircase: levels, bounds, and the weights on each step."""

import math

import pytest
import torch
from scipy.stats import entropy
from torch import nn

from compression.core.compress import compress
from compression.core.record import CompressedModel
from compression.inspect.staircase import Staircase, build_staircase, find_quantizer
from compression.quantization.quantizers import dequantize, quantize
from compression.spec import Clip, CompressionSpec, Granularity, PruneSpec, QuantSpec, Scheme

ALL = [(scheme, bits) for scheme in Scheme for bits in (1, 2, 4, 8) if bits in scheme.bits]
BY = [Granularity.TENSOR, Granularity.CHANNEL]


def quantize_network(module: nn.Module, *quant) -> CompressedModel:
    return compress(module, CompressionSpec("net", None, QuantSpec(*quant)))


def stairs(module: nn.Module, layer: int, *quant, channel: int | None = None) -> Staircase:
    return build_staircase(quantize_network(module, *quant).layers[layer], channel)


@pytest.fixture(scope="module")
def one_layer(random_resnet: nn.Module) -> nn.Module:
    """A convolution of 2,304 weights: the second layer of the untrained ResNet-20."""
    return nn.Sequential(random_resnet.layer1[0].conv1)


def test_on_paper(net: nn.Module) -> None:
    """fc is 5, -6, 0.5, -0.6, 3, 2, with steps of 2 from -6 to 6. 5 is a tie and gets the even code 2."""
    staircase = stairs(net, 1, 3, "symmetric", "tensor")
    assert staircase.levels == (-6, -4, -2, 0, 2, 4, 6)
    assert staircase.counts == (1, 0, 0, 2, 1, 2, 0)
    assert staircase.used_levels == 4
    assert staircase.clipped_share == 0
    assert staircase.entropy_bits == pytest.approx(2 * (1 / 6) * math.log2(6) + 2 * (1 / 3) * math.log2(3))
    under = lambda tie: float(torch.nextafter(torch.tensor(tie), torch.tensor(-torch.inf)))
    assert staircase.bounds == (under(-5.0), -3, under(-1.0), 1, under(3.0), 5)  # ties go to the even code
    assert staircase.polyline(-0.5, 2) == ([-0.5, 1, 1, 2], [0, 0, 2, 2])
    assert staircase.polyline(-7, 7)[1] == [level for level in staircase.levels for _ in range(2)]
    assert staircase.polyline(-7, 7)[0][:2] == [-7, staircase.bounds[0]]
    assert staircase.sqnr_db == pytest.approx(10 * math.log10((25 + 36 + 0.25 + 0.36 + 9 + 4) / (1 + 0.25 + 0.36 + 1)))


def test_a_channel_has_its_own_weights_and_its_own_quantizer(net: nn.Module) -> None:
    staircase = stairs(net, 0, 2, "symmetric", "channel", channel=1)
    assert staircase.levels == pytest.approx((-0.7, 0, 0.7))
    assert staircase.counts == (0, 3, 1)
    whole = stairs(net, 0, 2, "symmetric", "tensor", channel=1)
    assert whole.levels == (-7, 0, 7)
    assert whole.counts == (0, 4, 0)


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize(("scheme", "bits"), ALL)
def test_the_staircase_at_a_weight_is_what_the_quantizer_gives(
    scheme: Scheme, bits: int, by: Granularity, one_layer: nn.Module
) -> None:
    """Checked at random weights, at the bounds, and at the next floats above the bounds."""
    (record,) = quantize_network(one_layer, bits, scheme, by).layers
    staircase = build_staircase(record, 3)
    bounds = torch.tensor(staircase.bounds)
    some = torch.randn(5000, generator=torch.Generator().manual_seed(0)) * record.original.detach().abs().max()
    weights = torch.cat([some, bounds, torch.nextafter(bounds, torch.tensor(torch.inf)), torch.zeros(1)])
    own = find_quantizer(record.qparams, 3)
    walked = torch.tensor(staircase.levels)[torch.searchsorted(bounds, weights)]
    assert torch.equal(walked, dequantize(quantize(weights, own), own))


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize(("scheme", "bits"), ALL)
def test_every_weight_has_a_level_and_the_entropy_is_at_most_the_bits(
    scheme: Scheme, bits: int, by: Granularity, one_layer: nn.Module
) -> None:
    (record,) = quantize_network(one_layer, bits, scheme, by).layers
    staircase = build_staircase(record, 3)
    rounded = record.weight[3]
    assert sum(staircase.counts) == sum(staircase.weights.counts) == rounded.numel()
    assert list(staircase.levels) == sorted(staircase.levels)
    for level, count in zip(staircase.levels, staircase.counts, strict=True):
        assert int((rounded == level).sum()) == count or staircase.levels.count(level) > 1
    assert staircase.entropy_bits == pytest.approx(float(entropy(staircase.counts, base=2)))
    assert staircase.entropy_bits <= math.log2(len(staircase.levels)) + 1e-9 <= bits + 1e-9
    assert staircase.used_levels <= min(len(staircase.levels), rounded.numel())
    assert sum(staircase.noise) == pytest.approx(float(not torch.equal(rounded, record.original[3])))


def test_noise_is_in_the_bins_of_weights_with_an_error(net: nn.Module) -> None:
    """The errors of 5, 3, 0.5, -0.6 are 1, 1, 0.5, 0.6. Of five bins of -6..6, they are in the last, fourth, middle."""
    staircase = build_staircase(quantize_network(net, 3, "symmetric", "tensor").layers[1], bins=5)
    assert staircase.weights.counts == (1, 0, 2, 2, 1)
    assert staircase.noise == pytest.approx([0, 0, 0.61 / 2.61, 1 / 2.61, 1 / 2.61])
    exact = nn.Sequential(nn.Linear(3, 1))
    exact[0].weight.data = torch.tensor([[-1.0, 0.0, 1.0]])
    assert set(stairs(exact, 0, 2, "symmetric", "tensor").noise) == {0.0}


def test_the_clipped_share_is_beyond_the_range_by_more_than_half_a_step(one_layer: nn.Module) -> None:
    full, cut = (stairs(one_layer, 0, 4, "symmetric", "tensor", clip) for clip in (Clip.FULL, Clip.PERCENTILE))
    weights = one_layer[0].weight.detach()
    step = cut.levels[1] - cut.levels[0]
    assert full.clipped_share == 0
    assert cut.clipped_share == pytest.approx(float((weights.abs() > cut.levels[-1] + step / 2).float().mean()))
    assert stairs(one_layer, 0, 4, "k-means", "tensor").clipped_share is None


def test_float_and_pruned_layers_and_missing_channels_have_no_staircase(net: nn.Module) -> None:
    with pytest.raises(ValueError, match=r"layer fc is float; a staircase needs a quantized layer"):
        build_staircase(compress(net, CompressionSpec("net")).layers[1])
    both = compress(net, CompressionSpec("net", PruneSpec(sparsity=0.5), QuantSpec(4)))
    with pytest.raises(ValueError, match="layer fc is pruned"):
        build_staircase(both.layers[1], 0)
    with pytest.raises(ValueError, match="each group of 64 weights has its own quantizer"):
        stairs(net, 1, 4, "symmetric", "group", channel=0)
    with pytest.raises(ValueError, match="each of 3 output channels has its own quantizer"):
        stairs(net, 1, 4, "symmetric", "channel")
