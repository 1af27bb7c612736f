"""What the page shows of the weights: bins, levels and the threshold in force."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from compression.core.compress import compress
from compression.core.record import sqnr_db
from compression.inspect.histogram import Histogram, build_histogram, build_weight_view, find_largest_threshold
from compression.networks.weights import weighted_layers
from compression.quantization.quantizers import levels
from compression.spec import CompressionSpec, Granularity, LayerSpec, PruneSpec, QuantSpec, Scheme


def spec(*parts, **settings) -> CompressionSpec:
    return CompressionSpec("net", *parts, **settings)


def test_bins_on_paper() -> None:
    bins = build_histogram([torch.tensor([[-1.0, -0.5], [0.1, 1.0]]), torch.tensor([0.9, 7.0])], 4, -1, 1)
    assert bins == Histogram((-1, -0.5, 0, 0.5, 1), (1, 1, 1, 2))


def test_counts_are_those_of_numpy() -> None:
    weights = torch.randn(5000, generator=torch.Generator().manual_seed(0))
    counts, edges = np.histogram(weights.numpy(), 64, (-2, 2))
    bins = build_histogram([weights], 64, -2, 2)
    assert bins.counts == tuple(counts)
    np.testing.assert_allclose(bins.edges, edges, atol=1e-6)


@pytest.mark.parametrize(
    ("scheme", "bits"), [(scheme, bits) for scheme in Scheme for bits in (1, 2, 4) if bits in scheme.bits]
)
@pytest.mark.parametrize("granularity", list(Granularity))
def test_every_weight_is_in_a_bin_or_a_zero(
    bits: int, scheme: Scheme, granularity: Granularity, random_resnet: nn.Module
) -> None:
    """An affine grid is moved so that it contains zero, which can put a level beyond the largest float weight."""
    some_layers = nn.Sequential(random_resnet.conv1, random_resnet.layer1)
    compressed = compress(some_layers, spec(PruneSpec(sparsity=0.5), QuantSpec(bits, scheme, granularity)))
    view = build_weight_view(compressed)
    assert sum(view.before.counts) == view.weights == compressed.weights
    assert sum(view.held or view.after) + view.zeros == view.weights
    assert view.zeros == compressed.weights - compressed.nonzero == sum(view.zeroed)


def test_bins_are_symmetric_about_zero(net: nn.Module) -> None:
    view = build_weight_view(compress(net, spec(PruneSpec(sparsity=0.5))), bins=3)
    np.testing.assert_allclose(view.before.edges, [-7, -7 / 3, 7 / 3, 7], rtol=1e-6)


def test_with_evenly_spaced_levels_weights_are_shown_in_units_of_their_own_range(net: nn.Module) -> None:
    """At 3 bits the codes of a channel go from -3 to 3. Those of conv are -3, 0, 1, 0 and 3, 0, 1, 1."""
    view = build_weight_view(compress(net, spec(None, QuantSpec(3))), "conv")
    assert view.relative
    assert view.before.edges[-1] == pytest.approx(1)
    np.testing.assert_allclose(view.levels, [-1, -2 / 3, -1 / 3, 0, 1 / 3, 2 / 3, 1], rtol=1e-6)
    assert view.held == (1, 0, 0, 0, 3, 0, 1)
    assert view.zeros == 3


@pytest.mark.parametrize(
    "quant",
    [None, QuantSpec(4, "k-means"), QuantSpec(4, "min-max"), QuantSpec(4, "power-of-two"), QuantSpec(2, "ternary")],
)
def test_other_weights_are_shown_as_they_are(quant: QuantSpec | None, net: nn.Module) -> None:
    view = build_weight_view(compress(net, spec(None, quant)))
    assert not view.relative
    assert view.before.edges[-1] >= 7


@pytest.mark.parametrize("granularity", list(Granularity))
def test_weights_outside_the_range_are_counted(granularity: Granularity, random_resnet: nn.Module) -> None:
    layer = nn.Sequential(random_resnet.layer2[0].conv1)
    quant = QuantSpec(4, "symmetric", granularity, "stds", clip_at=2)
    record = compress(layer, spec(None, quant)).layers[0]
    top = float(record.weight.abs().max())
    view = build_weight_view(compress(layer, spec(None, quant)))
    assert 0 < view.clipped < 0.1 * view.weights
    if granularity is Granularity.TENSOR:
        half_a_step = top / 7 / 2
        assert view.clipped == int((record.original.abs() > top + half_a_step).sum())
    assert build_weight_view(compress(layer, spec(None, QuantSpec(4)))).clipped == 0


def test_the_noise_is_that_of_all_weights_that_are_shown(net: nn.Module) -> None:
    compressed = compress(net, spec(None, QuantSpec(3)))
    original = torch.cat([layer.original.detach().flatten() for layer in compressed.layers])
    weight = torch.cat([layer.weight.flatten() for layer in compressed.layers])
    assert build_weight_view(compressed).sqnr_db == pytest.approx(sqnr_db(original, weight), rel=1e-5)
    assert build_weight_view(compressed, "fc").sqnr_db == pytest.approx(compressed.layers[1].sqnr_db, rel=1e-5)
    assert build_weight_view(compress(net, spec())).sqnr_db == math.inf


def test_one_layer_can_be_looked_at_alone(net: nn.Module) -> None:
    view = build_weight_view(compress(net, spec(PruneSpec(threshold=1.0))), "fc", bins=3)
    assert view.weights == 6
    assert view.zeros == 2
    assert view.before.counts == (1, 2, 3)
    assert view.zeroed == (0, 2, 0)
    assert view.after == (1, 0, 3)


def test_a_network_of_zeros_has_an_empty_histogram_afterwards(net: nn.Module) -> None:
    view = build_weight_view(compress(net, spec(PruneSpec(sparsity=1.0))))
    assert sum(view.after) == 0
    assert view.zeros == 14
    assert view.threshold is None


def test_levels_are_those_of_the_quantizer_of_the_layer(net: nn.Module) -> None:
    compressed = compress(net, spec(None, QuantSpec(3, "k-means", "tensor")))
    view = build_weight_view(compressed, "conv")
    assert view.levels == tuple(levels(compressed.layers[0].qparams).tolist())
    values = compressed.layers[0].weight.flatten().tolist()
    assert view.held == tuple(values.count(level) * (level != 0) for level in view.levels)


@pytest.mark.parametrize(
    "spec_without_levels",
    [spec(), spec(None, QuantSpec(16)), spec(None, QuantSpec(4), layers=(LayerSpec("fc", bits=32),))],
    ids=["float", "too many", "one layer is float"],
)
def test_no_levels_where_there_are_none_or_too_many(spec_without_levels: CompressionSpec, net: nn.Module) -> None:
    view = build_weight_view(compress(net, spec_without_levels))
    assert view.levels == view.held == ()
    assert sum(view.after) + view.zeros == view.weights


def test_the_threshold_is_the_smallest_magnitude_that_was_kept(net: nn.Module) -> None:
    """Magnitudes are 0, .1, .2, .3, .4, .5, .6, .7, 1.6, 2, 3, 5, 6, 7. Half are pruned; .7 is the first to remain."""
    assert build_weight_view(compress(net, spec(PruneSpec(sparsity=0.5)))).threshold == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("settings", "layer", "has_threshold"),
    [
        (spec(PruneSpec(sparsity=0.5)), None, True),
        (spec(PruneSpec(sparsity=0.5, scope="layer")), None, False),
        (spec(PruneSpec(sparsity=0.5, scope="layer")), "fc", True),
        (spec(PruneSpec(sparsity=0.5), layers=(LayerSpec("fc", sparsity=0.2),)), None, False),
        (spec(PruneSpec(sparsity=0.5), QuantSpec(4), fold_bn=True, order="quantize-first"), None, False),
        (spec(None, QuantSpec(4)), None, False),
        (spec(PruneSpec(1.0)), None, True),
        (spec(PruneSpec(1.0), QuantSpec(4)), "fc", False),
        (spec(PruneSpec(1.0), QuantSpec(4, granularity="tensor")), "fc", True),
        (spec(PruneSpec(1.0), QuantSpec(4, granularity="tensor")), None, False),
        (spec(PruneSpec(0.5, unit="stds")), None, False),
        (spec(PruneSpec(0.5, unit="stds")), "conv", True),
        (spec(PruneSpec(sparsity=0.5, criterion="random")), "conv", False),
        (spec(PruneSpec(sparsity=0.5, structure="filter")), "conv", False),
        (spec(PruneSpec(structure="n:m", pattern=(1, 2))), "fc", False),
        (spec(PruneSpec(1.0, criterion="signed")), "conv", False),
        (spec(layers=(LayerSpec("fc", sparsity=0.2),)), "fc", True),
        (spec(layers=(LayerSpec("fc", sparsity=0.2),)), None, False),
    ],
)
def test_a_threshold_is_given_only_if_it_holds_for_all_weights(
    settings: CompressionSpec, layer: str | None, has_threshold: bool, net: nn.Module
) -> None:
    assert (build_weight_view(compress(net, settings), layer).threshold is not None) == has_threshold


def test_the_largest_useful_threshold_keeps_one_weight_in_a_hundred(random_resnet: nn.Module) -> None:
    top = find_largest_threshold(random_resnet)
    assert compress(random_resnet, spec(PruneSpec(threshold=top))).sparsity == pytest.approx(0.99, abs=1e-4)


def test_the_largest_useful_threshold_is_the_quantile_of_torch(random_resnet: nn.Module) -> None:
    magnitudes = torch.cat([weight.detach().abs().flatten() for weight in weighted_layers(random_resnet).values()])
    assert find_largest_threshold(random_resnet) == pytest.approx(float(magnitudes.quantile(0.99)), rel=1e-5)


def test_the_largest_useful_threshold_of_more_weights_than_torch_takes() -> None:
    layer = nn.Linear(4097, 4096, bias=False)
    layer.weight.data = torch.arange(4096.0).repeat_interleave(4097).view(4096, 4097)
    assert find_largest_threshold(nn.Sequential(layer)) == 4055


@pytest.mark.parametrize(("nonzero", "reach"), [([0.5, -2.0], 2.0), ([], 1.0)])
def test_the_largest_useful_threshold_of_zeros_is_above_zero(nonzero: list[float], reach: float) -> None:
    layer = nn.Linear(1000, 1, bias=False)
    layer.weight.data = torch.tensor([[*nonzero, *[0.0] * (1000 - len(nonzero))]])
    assert find_largest_threshold(nn.Sequential(layer)) == reach
