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


def quantized(module: nn.Module, *quant) -> CompressedModel:
    return compress(module, CompressionSpec("net", None, QuantSpec(*quant)))


def stairs(module: nn.Module, layer: int, *quant, channel: int | None = None) -> Staircase:
    return build_staircase(quantized(module, *quant).layers[layer], channel)


def test_on_paper(net: nn.Module) -> None:
    """fc's weights 5, -6, 0.5, -0.6, 3, 2 in steps of 2, from -6 to 6: 5 is a tie and goes to the even code 2."""
    found = stairs(net, 1, 3, "symmetric", "tensor")
    assert found.levels == (-6, -4, -2, 0, 2, 4, 6)
    assert found.counts == (1, 0, 0, 2, 1, 2, 0)
    assert found.used_levels == 4
    assert found.clipped_share == 0
    assert found.entropy_bits == pytest.approx(2 * (1 / 6) * math.log2(6) + 2 * (1 / 3) * math.log2(3))
    under = lambda tie: float(torch.nextafter(torch.tensor(tie), torch.tensor(-torch.inf)))
    assert found.bounds == (under(-5.0), -3, under(-1.0), 1, under(3.0), 5)  # ties go to the even code
    assert found.polyline(-0.5, 2) == ([-0.5, 1, 1, 2], [0, 0, 2, 2])
    assert found.polyline(-7, 7)[1] == [level for level in found.levels for _ in range(2)]
    assert found.polyline(-7, 7)[0][:2] == [-7, found.bounds[0]]
    assert found.sqnr_db == pytest.approx(10 * math.log10((25 + 36 + 0.25 + 0.36 + 9 + 4) / (1 + 0.25 + 0.36 + 1)))


def test_a_channel_has_its_own_weights_and_its_own_quantizer(net: nn.Module) -> None:
    found = stairs(net, 0, 2, "symmetric", "channel", channel=1)
    assert found.levels == pytest.approx((-0.7, 0, 0.7))
    assert found.counts == (0, 3, 1)
    shared = stairs(net, 0, 2, "symmetric", "tensor", channel=1)
    assert shared.levels == (-7, 0, 7)
    assert shared.counts == (0, 4, 0)


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize(("scheme", "bits"), ALL)
def test_the_staircase_at_a_weight_is_what_the_quantizer_gives(
    scheme: Scheme, bits: int, by: Granularity, random_resnet: nn.Module
) -> None:
    """At random weights, at the bounds themselves, and at the next floats above them."""
    record = quantized(random_resnet, bits, scheme, by).layers[1]
    found = build_staircase(record, 3)
    bounds = torch.tensor(found.bounds)
    some = torch.randn(5000, generator=torch.Generator().manual_seed(0)) * record.original.detach().abs().max()
    weights = torch.cat([some, bounds, torch.nextafter(bounds, torch.tensor(torch.inf)), torch.zeros(1)])
    own = find_quantizer(record.qparams, 3)
    walked = torch.tensor(found.levels)[torch.searchsorted(bounds, weights)]
    assert torch.equal(walked, dequantize(quantize(weights, own), own))


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize(("scheme", "bits"), ALL)
def test_every_weight_stands_on_a_level_and_codes_take_no_more_than_their_bits(
    scheme: Scheme, bits: int, by: Granularity, random_resnet: nn.Module
) -> None:
    record = quantized(random_resnet, bits, scheme, by).layers[1]
    found = build_staircase(record, 3)
    rounded = record.weight[3]
    assert sum(found.counts) == sum(found.weights.counts) == rounded.numel()
    assert list(found.levels) == sorted(found.levels)
    for level, count in zip(found.levels, found.counts, strict=True):
        assert int((rounded == level).sum()) == count or found.levels.count(level) > 1
    assert found.entropy_bits == pytest.approx(float(entropy(found.counts, base=2)))
    assert found.entropy_bits <= math.log2(len(found.levels)) + 1e-9 <= bits + 1e-9
    assert found.used_levels <= min(len(found.levels), rounded.numel())
    assert sum(found.noise) == pytest.approx(float(not torch.equal(rounded, record.original[3])))


def test_noise_arises_where_the_weights_are_wrong(net: nn.Module) -> None:
    """5 is off by 1, 3 by 1, 0.5 by 0.5 and -0.6 by 0.6: in five bins of -6..6 they lie in the last, fourth, middle."""
    found = build_staircase(quantized(net, 3, "symmetric", "tensor").layers[1], bins=5)
    assert found.weights.counts == (1, 0, 2, 2, 1)
    assert found.noise == pytest.approx([0, 0, 0.61 / 2.61, 1 / 2.61, 1 / 2.61])
    exact = nn.Sequential(nn.Linear(3, 1))
    exact[0].weight.data = torch.tensor([[-1.0, 0.0, 1.0]])
    assert set(stairs(exact, 0, 2, "symmetric", "tensor").noise) == {0.0}


def test_clipped_is_what_lies_beyond_the_range_by_more_than_rounding(random_resnet: nn.Module) -> None:
    full, cut = (stairs(random_resnet, 1, 4, "symmetric", "tensor", clip) for clip in (Clip.FULL, Clip.PERCENTILE))
    weights = next(iter(quantized(random_resnet, 4).layers[1:2])).original.detach()
    step = cut.levels[1] - cut.levels[0]
    assert full.clipped_share == 0
    assert cut.clipped_share == pytest.approx(float((weights.abs() > cut.levels[-1] + step / 2).float().mean()))
    assert stairs(random_resnet, 1, 4, "k-means", "tensor").clipped_share is None


def test_there_is_none_for_float_pruned_or_unnamed(net: nn.Module) -> None:
    with pytest.raises(ValueError, match=r"layer fc is float; a staircase needs a quantized layer"):
        build_staircase(compress(net, CompressionSpec("net")).layers[1])
    both = compress(net, CompressionSpec("net", PruneSpec(sparsity=0.5), QuantSpec(4)))
    with pytest.raises(ValueError, match="layer fc is pruned"):
        build_staircase(both.layers[1], 0)
    with pytest.raises(ValueError, match="each group of 64 weights has its own quantizer"):
        stairs(net, 1, 4, "symmetric", "group", channel=0)
    with pytest.raises(ValueError, match="each of 3 output channels has its own quantizer"):
        stairs(net, 1, 4, "symmetric", "channel")
