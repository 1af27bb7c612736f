"""compress(): results computed by hand, the original stays unchanged, and invalid specs are refused."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from compression.core.compress import compress
from compression.core.record import sqnr_db
from compression.networks.architectures.resnet import ResNet
from compression.networks.model import FloatModel
from compression.networks.weights import weighted_layers
from compression.quantization.quantizers import choose_qparams, dequantize, quantize
from compression.spec import (
    AUTOMATIC_SCHEMES,
    CompressionSpec,
    Granularity,
    LayerSpec,
    Order,
    PruneSpec,
    QuantSpec,
    Scheme,
)

SPECS = [
    CompressionSpec("m"),
    CompressionSpec("m", PruneSpec(sparsity=0.5)),
    CompressionSpec("m", PruneSpec(threshold=0.02), QuantSpec(4)),
    CompressionSpec("m", PruneSpec(sparsity=0.5, scope="layer"), QuantSpec(3, "affine", "tensor")),
    CompressionSpec("m", weights=QuantSpec(2, "affine")),
]
each_spec = pytest.mark.parametrize("spec", SPECS, ids=["float", "pruned", "threshold-4", "layer-3", "affine-2"])


def state_bits(module: nn.Module) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in module.state_dict().items()}


def weight_of(module: nn.Module, spec: CompressionSpec, layer: str) -> Tensor:
    return next(record.weight for record in compress(module, spec).layers if record.name == layer)


# ---- on paper


def test_pruning_then_quantizing_on_paper(net: nn.Module) -> None:
    """conv is -7, 0.4, 1.6, 0 | 0.7, -0.1, 0.2, 0.3. The threshold is 0.3; 4 bits give steps of 1 and 0.1."""
    conv, _ = compress(net, CompressionSpec("net", PruneSpec(threshold=0.3), QuantSpec(4))).layers
    torch.testing.assert_close(conv.weight.flatten(), torch.tensor([-7, 0, 2, 0, 0.7, 0, 0, 0.3]))
    assert (conv.weights, conv.pruned, conv.nonzero, conv.bits) == (8, 3, 4, 4)
    assert conv.threshold == pytest.approx(0.3)
    assert conv.sqnr_db == pytest.approx(10 * math.log10((49 + 0.16 + 2.56 + 0.63) / (0.16 + 0.16 + 0.01 + 0.04)))


@pytest.mark.parametrize(("sparsity", "threshold"), [(0.25, 0.0), (0.5, 1e-40), (0.75, 2.0), (1.0, math.inf)])
def test_the_threshold_is_the_smallest_magnitude_that_was_kept(sparsity: float, threshold: float) -> None:
    layer = nn.Linear(4, 1)
    layer.weight = nn.Parameter(torch.tensor([[-2.0, 0.0, 1e-40, -0.0]]))
    (record,) = compress(layer, CompressionSpec("layer", PruneSpec(sparsity=sparsity))).layers
    assert record.threshold == float(torch.tensor(threshold))


def test_the_float_spec_changes_nothing(net: nn.Module) -> None:
    compressed = compress(net, CompressionSpec("net"))
    assert state_bits(compressed.module) == state_bits(net)
    for layer in compressed.layers:
        assert (layer.pruned, layer.bits, layer.qparams, layer.sqnr_db) == (0, 32, None, math.inf)


def test_the_counts_of_a_network_are_the_sums_over_its_layers(net: nn.Module) -> None:
    compressed = compress(net, CompressionSpec("net", PruneSpec(threshold=0.55)))
    assert (compressed.weights, compressed.nonzero) == (14, 8)  # of conv -7, 1.6, 0.7, of fc all but 0.5 are left
    assert compressed.sparsity == pytest.approx(6 / 14)


def test_convolutions_and_linear_layers_have_weights_and_batch_norm_has_not(net: nn.Module) -> None:
    assert list(weighted_layers(net)) == ["conv", "fc"]


def test_biases_and_batch_norm_stay_as_they_are(net: nn.Module) -> None:
    before = state_bits(net)
    after = state_bits(compress(net, CompressionSpec("net", PruneSpec(sparsity=0.9), QuantSpec(2))).module)
    assert {name for name in before if before[name] != after[name]} == {"conv.weight", "fc.weight"}


@pytest.mark.parametrize(
    ("original", "changed", "expected"),
    [([3.0, 4.0], [3.0, 4.5], 20.0), ([1.0, 2.0], [1.0, 2.0], math.inf), ([0.0], [1.0], -math.inf)],
)
def test_sqnr_on_paper(original: list[float], changed: list[float], expected: float) -> None:
    assert sqnr_db(torch.tensor(original), torch.tensor(changed)) == pytest.approx(expected)


# ---- layers that do something else


def test_settings_of_a_layer_change_only_that_layer(net: nn.Module) -> None:
    conv, fc = compress(net, CompressionSpec("net", layers=(LayerSpec("fc", bits=4, sparsity=0.5),))).layers
    assert torch.equal(conv.weight, net.conv.weight)
    assert (fc.bits, fc.pruned, conv.bits, conv.pruned) == (4, 3, 32, 0)


def test_a_layer_keeps_the_scheme_of_the_network_when_it_changes_its_bits(net: nn.Module) -> None:
    spec = CompressionSpec("net", weights=QuantSpec(8, "affine", "tensor"), layers=(LayerSpec("fc", bits=3),))
    weight = net.fc.weight.detach()
    qparams = choose_qparams(weight, QuantSpec(3, "affine", "tensor"))
    assert torch.equal(weight_of(net, spec, "fc"), dequantize(quantize(weight, qparams), qparams))


def test_a_layer_can_stay_float_and_unpruned(net: nn.Module) -> None:
    spec = CompressionSpec("net", PruneSpec(sparsity=0.5), QuantSpec(2), (LayerSpec("conv", bits=32, sparsity=0),))
    assert torch.equal(weight_of(net, spec, "conv"), net.conv.weight)


def test_a_layer_with_its_own_sparsity_is_not_part_of_the_global_target(net: nn.Module) -> None:
    spec = CompressionSpec("net", PruneSpec(sparsity=0.5), layers=(LayerSpec("conv", sparsity=0.25),))
    assert [layer.pruned for layer in compress(net, spec).layers] == [2, 3]


# ---- layers that a quantizer is for, and a step for all of them


class Tower(nn.Sequential):
    """Two convolutions and two linear layers."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 3), nn.Linear(4, 3), nn.Linear(3, 2))


@pytest.mark.parametrize(
    ("settings", "bits"),
    [
        ({}, [4, 4, 4, 4]),
        ({"only": "conv"}, [4, 4, 32, 32]),
        ({"only": "linear"}, [32, 32, 4, 4]),
        ({"skip_ends": True}, [32, 4, 4, 32]),
        ({"skip_ends": True, "only": "conv"}, [32, 4, 32, 32]),
    ],
    ids=str,
)
def test_a_quantizer_applies_to_the_layers_that_it_selects(settings: dict, bits: list[int]) -> None:
    module, spec = Tower(), CompressionSpec("tower", weights=QuantSpec(4, **settings))
    for layer, own in zip(compress(module, spec).layers, bits, strict=True):
        assert layer.bits == own
        assert (layer.qparams is None) == torch.equal(layer.weight, layer.original) == (own == 32)


def test_settings_of_a_layer_override_the_selection_and_pruning_applies_to_all_layers() -> None:
    own = (LayerSpec("0", bits=8), LayerSpec("1", bits=32))
    spec = CompressionSpec("tower", PruneSpec(sparsity=0.5, scope="layer"), QuantSpec(4, skip_ends=True), own)
    layers = compress(Tower(), spec).layers
    assert [layer.bits for layer in layers] == [8, 32, 4, 32]
    assert all(layer.pruned for layer in layers)


def test_skipping_the_ends_of_a_network_of_two_layers_quantizes_nothing(net: nn.Module) -> None:
    spec = CompressionSpec("net", weights=QuantSpec(4, skip_ends=True))
    assert [layer.bits for layer in compress(net, spec).layers] == [32, 32]


def test_the_bits_of_a_step_follow_from_the_range_of_each_layer(net: nn.Module) -> None:
    """conv is in -7..1.6 and fc in -6..5. In steps of 0.5, the codes are in -14..3 and -12..10."""
    compressed = compress(net, CompressionSpec("net", weights=QuantSpec(16, "step", step=0.5)))
    assert [(each.qparams.low, each.qparams.high, each.bits) for each in compressed.layers] == [
        (-14, 3, 5),
        (-12, 10, 5),
    ]
    conv, _ = compress(net, CompressionSpec("net", PruneSpec(threshold=1), QuantSpec(16, "step", step=0.5))).layers
    assert conv.weight.flatten().tolist() == [-7, 0, 1.5, 0, 0, 0, 0, 0]


# ---- laws


@each_spec
def test_the_original_is_never_touched(spec: CompressionSpec, simple_cnn: FloatModel) -> None:
    before = state_bits(simple_cnn.module)
    compressed = compress(simple_cnn.module, spec)
    compressed.module(torch.zeros(1, 3, 32, 32))
    for value in compressed.module.state_dict().values():
        value.zero_()
    assert state_bits(simple_cnn.module) == before


@each_spec
def test_compressing_twice_gives_the_same_bits(spec: CompressionSpec, simple_cnn: FloatModel) -> None:
    one, other = (compress(simple_cnn.module, spec) for _ in range(2))
    assert one.module is not other.module
    assert state_bits(one.module) == state_bits(other.module)


@each_spec
def test_compressing_a_compressed_network_changes_nothing(spec: CompressionSpec, net: nn.Module) -> None:
    once = compress(net, spec)
    again = compress(once.module, spec)
    for before, after in zip(once.layers, again.layers, strict=True):
        torch.testing.assert_close(after.weight, before.weight, rtol=1e-6, atol=0)


@pytest.fixture(scope="module")
def three_layers() -> nn.Module:
    """Two convolutions and a linear layer of 2,072 weights: more than a codebook of eight bits has values."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3), nn.Linear(128, 10)).eval()


@pytest.mark.parametrize("granularity", Granularity)
@pytest.mark.parametrize(
    ("scheme", "bits"), [(scheme, bits) for scheme in Scheme for bits in (1, 2, 4, 8, 16) if bits in scheme.bits]
)
def test_a_pruned_weight_stays_exactly_zero_when_quantized(
    scheme: Scheme, bits: int, granularity: Granularity, three_layers: nn.Module
) -> None:
    prune = PruneSpec(sparsity=0.6)
    pruned = compress(three_layers, CompressionSpec("m", prune))
    step = 0.01 if scheme is Scheme.STEP else None
    both = compress(three_layers, CompressionSpec("m", prune, QuantSpec(bits, scheme, granularity, step=step)))
    for zeros, layer in zip(pruned.layers, both.layers, strict=True):
        assert zeros.pruned
        assert (layer.weight[zeros.weight == 0] == 0).all()
        assert layer.pruned == zeros.pruned == zeros.weights - zeros.nonzero


@pytest.mark.parametrize("fold_bn", [False, True])
@pytest.mark.parametrize("scheme", [*AUTOMATIC_SCHEMES])
def test_a_network_that_arrives_pruned_is_quantized_as_if_it_were_pruned_here(
    scheme: Scheme, fold_bn: bool, random_resnet: nn.Module
) -> None:
    """Its zeros stay zeros, and take no part in the choice of a codebook, in every scheme."""
    bits = {Scheme.TERNARY: 2, Scheme.BINARY: 1}.get(scheme, 3)
    here = CompressionSpec("m", PruneSpec(sparsity=0.5), QuantSpec(bits, scheme), fold_bn=fold_bn)
    pruned = compress(random_resnet, replace(here, weights=None)).module
    arrived = compress(pruned, replace(here, prune=None, fold_bn=False)).layers
    for ours, theirs in zip(compress(random_resnet, here).layers, arrived, strict=True):
        assert torch.equal(ours.weight, theirs.weight), ours.name
        assert (ours.nonzero, theirs.pruned) == (theirs.nonzero, 0)
        assert 0 < theirs.nonzero < theirs.weights


@pytest.mark.parametrize("sparsity", [0.1, 0.5, 0.9, 1.0])
def test_the_sparsity_is_exactly_the_target(sparsity: float, random_resnet: nn.Module) -> None:
    compressed = compress(random_resnet, CompressionSpec("m", PruneSpec(sparsity=sparsity)))
    assert compressed.weights - compressed.nonzero == math.floor(sparsity * compressed.weights)


def test_the_module_is_ready_to_evaluate_even_if_the_original_was_training(net: nn.Module) -> None:
    module = compress(net.train(), SPECS[1]).module
    assert net.training
    assert not any(part.training for part in module.modules())
    assert not module.conv.weight.requires_grad


# ---- refused


@pytest.mark.parametrize(("name", "nearest"), [("conv1", "conv"), ("fcc", "fc"), ("Conv", "conv")])
def test_an_unknown_layer_is_refused_and_the_nearest_named(name: str, nearest: str, net: nn.Module) -> None:
    spec = CompressionSpec("net", layers=(LayerSpec(name, bits=4),))
    with pytest.raises(ValueError, match=f"no convolution or linear layer '{name}'; the nearest is '{nearest}'"):
        compress(net, spec)


@pytest.mark.parametrize("how", [{"weights": QuantSpec(4)}, {"prune": PruneSpec(sparsity=0.5)}])
def test_nan_and_infinite_weights_are_refused(how: dict, net: nn.Module) -> None:
    with torch.no_grad():
        net.fc.weight[0, 0] = math.nan
    with pytest.raises(ValueError, match="layer fc has weights that are NaN"):
        compress(net, CompressionSpec("net", **how))


def test_a_network_with_nothing_to_compress_is_refused() -> None:
    with pytest.raises(ValueError, match="no convolution or linear layer to compress"):
        compress(nn.ReLU(), CompressionSpec("net"))


# ---- batch norm folded first


def settled_resnet() -> nn.Module:
    """A small ResNet whose batch norms scale their channels very differently."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = ResNet(1)
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.weight.data.uniform_(0.1, 3)
                part.running_mean.normal_()
                part.running_var.uniform_(0.1, 3)
        return module.eval()


def logits(module: nn.Module) -> Tensor:
    with torch.inference_mode():
        return module(torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1)))


def test_folding_alone_leaves_the_outputs_and_the_input_as_they_are() -> None:
    module = settled_resnet()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    folded = compress(module, CompressionSpec("resnet8", fold_bn=True))
    torch.testing.assert_close(logits(folded.module), logits(module), rtol=1e-4, atol=1e-4)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in folded.module.modules())
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())


@pytest.mark.parametrize("bits", [3, 4, 8])
def test_codes_with_a_scale_per_channel_do_not_depend_on_folding(bits: int) -> None:
    """Folding multiplies the weights and the scale of a channel by the same factor, so the codes are the same."""
    module, weights = settled_resnet(), QuantSpec(bits, granularity=Granularity.CHANNEL)
    apart = compress(module, CompressionSpec("resnet8", weights=weights))
    folded = compress(module, CompressionSpec("resnet8", weights=weights, fold_bn=True))
    torch.testing.assert_close(logits(folded.module), logits(apart.module), rtol=1e-3, atol=1e-3)


def test_folding_increases_the_error_of_one_scale_per_tensor() -> None:
    module, weights = settled_resnet(), QuantSpec(4, granularity=Granularity.TENSOR)
    specs = (CompressionSpec("resnet8", weights=weights, fold_bn=fold) for fold in (False, True))
    apart, folded = (float((logits(compress(module, spec).module) - logits(module)).norm()) for spec in specs)
    assert folded > 1.2 * apart


# ---- batch norm folded afterwards


def orders(weights: QuantSpec, prune: PruneSpec | None = None) -> tuple[CompressionSpec, CompressionSpec]:
    """Returns the specs that fold first and that quantize first."""
    first, late = (
        CompressionSpec("resnet8", prune, weights, fold_bn=True, order=order)
        for order in (Order.FOLD_FIRST, Order.QUANTIZE_FIRST)
    )
    return first, late


def test_quantizing_folding_and_quantizing_again_on_paper(net: nn.Module) -> None:
    """conv in 2 bits, one scale of 7: -7, 0, 0, 0 | 0, 0, 0, 0. Batch norm times 2 and times 1: a scale of 14."""
    with torch.no_grad():
        net.bn.weight.copy_(torch.tensor([2.0, 1.0]))
        net.bn.running_var.fill_(1 - net.bn.eps)
    conv, fc = compress(net, orders(QuantSpec(2, granularity="tensor"))[1]).layers
    torch.testing.assert_close(conv.weight.flatten(), torch.tensor([-14.0, 0, 0, 0, 0, 0, 0, 0]))
    torch.testing.assert_close(
        conv.original.flatten(), (net.conv.weight * torch.tensor([2.0, 1]).view(2, 1, 1, 1)).flatten()
    )
    assert float(conv.qparams.scale) == pytest.approx(14)
    assert conv.sqnr_db == pytest.approx(sqnr_db(conv.original.detach(), conv.weight))
    assert torch.equal(
        fc.weight, weight_of(net, CompressionSpec("net", weights=QuantSpec(2, granularity="tensor")), "fc")
    )


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_a_second_rounding_with_a_symmetric_scale_per_channel_changes_nothing(bits: int) -> None:
    """Folding multiplies the weights and the scale of a channel by the same factor, so both orders give equal codes."""
    first, late = (compress(settled_resnet(), spec).layers for spec in orders(QuantSpec(bits)))
    for one, other in zip(first, late, strict=True):
        torch.testing.assert_close(other.original, one.original, rtol=0, atol=0)
        torch.testing.assert_close(other.weight, one.weight, rtol=1e-5, atol=1e-6)
        assert other.sqnr_db == pytest.approx(one.sqnr_db, abs=1e-3)


@pytest.mark.parametrize("bits", [3, 4, 5])
def test_two_roundings_have_a_larger_error_with_one_scale_per_tensor(bits: int) -> None:
    module = settled_resnet()
    first, late = orders(QuantSpec(bits, granularity=Granularity.TENSOR))
    once, twice = (compress(module, spec) for spec in (first, late))
    for one, other in zip(once.layers, twice.layers, strict=True):
        assert other.sqnr_db < one.sqnr_db or other.name == "fc"
        assert len(other.weight.unique()) <= 2**bits
    error, more = (float((logits(compressed.module) - logits(module)).norm()) for compressed in (once, twice))
    assert more > error


@pytest.mark.parametrize("scheme", AUTOMATIC_SCHEMES)
def test_a_pruned_weight_stays_zero_through_both_roundings(scheme: Scheme) -> None:
    """Pruning compares the weights before folding."""
    prune = PruneSpec(sparsity=0.6)
    module = settled_resnet()
    zeros = compress(module, CompressionSpec("resnet8", prune)).layers
    compressed = compress(module, orders(QuantSpec(scheme.nearest_bits(4), scheme), prune)[1])
    for pruned, layer in zip(zeros, compressed.layers, strict=True):
        assert (layer.weight[pruned.weight == 0] == 0).all()
        assert (layer.pruned, layer.threshold) == (pruned.pruned, pruned.threshold)


def test_a_layer_that_stays_float_is_only_folded() -> None:
    spec = replace(orders(QuantSpec(4))[1], layers=(LayerSpec("conv1", bits=32),))
    conv = compress(settled_resnet(), spec).layers[0]
    assert (conv.name, conv.bits, conv.qparams, conv.sqnr_db) == ("conv1", 32, None, math.inf)
    assert torch.equal(conv.weight, conv.original)


def test_the_module_of_either_order_has_the_weights_of_its_records() -> None:
    for spec in orders(QuantSpec(4, granularity="tensor")):
        compressed = compress(settled_resnet(), spec)
        weights = weighted_layers(compressed.module)
        assert all(torch.equal(weights[layer.name], layer.weight) for layer in compressed.layers)
        assert not any(isinstance(part, nn.BatchNorm2d) for part in compressed.module.modules())
