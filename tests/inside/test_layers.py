"""Signals of layers by laws: a network that is mixed from two, the noise of each layer, dead channels."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from compression.core.compress import compress
from compression.core.record import sqnr_db
from compression.core.training_evidence import evidence_for
from compression.data.images import ImageSet
from compression.engine.cluster import Engine
from compression.inside.calls import layer_calls, report_layers
from compression.inside.inspector import Inspector
from compression.inside.layers import (
    NetworkPair,
    activations,
    layer_names,
    logit_change,
    measure_layer,
    mix,
    mosaic,
    owners,
    reading_places,
    spread,
    spreads,
)
from compression.inside.tasks import measure_reestimated
from compression.networks.bundled import load_bundled
from compression.networks.model import FloatModel
from compression.results.provenance import arithmetic
from compression.spec import ActivationSpec, CompressionSpec, LayerSpec, PruneSpec, QuantSpec, Structure

SPECS = {
    "weights": CompressionSpec("resnet20", weights=QuantSpec(3)),
    "inputs": CompressionSpec("resnet20", weights=QuantSpec(4), activations=ActivationSpec(4)),
    "folded": CompressionSpec("resnet20", weights=QuantSpec(4), fold_bn=True),
    "filters": CompressionSpec("resnet20", PruneSpec(sparsity=0.3, structure=Structure.FILTER)),
}
SMALL = CompressionSpec("simple_cnn", weights=QuantSpec(3))


@pytest.fixture(scope="module")
def resnet() -> FloatModel:
    return load_bundled("resnet20")


def pair_for(model: FloatModel, spec: CompressionSpec) -> NetworkPair:
    return NetworkPair.of(compress(model.module, spec, evidence_for(model, spec)))


def noise(count: int = 4) -> Tensor:
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_a_mix_of_no_layers_is_the_float_network_and_of_all_layers_the_compressed_one(
    resnet: FloatModel, spec: CompressionSpec
) -> None:
    pair = pair_for(resnet, spec)
    names = layer_names(pair.original)
    assert torch.equal(mix(pair, ())(noise()), pair.original(noise()))
    assert torch.equal(mix(pair, names)(noise()), pair.compressed(noise()))
    assert not torch.equal(mix(pair, names[:9])(noise()), pair.original(noise()))


def test_a_mix_with_one_layer_is_the_network_whose_spec_names_this_layer_alone(simple_cnn: FloatModel) -> None:
    names = layer_names(simple_cnn.module)
    pair = pair_for(simple_cnn, SMALL)
    for name in names:
        alone = CompressionSpec("simple_cnn", layers=(LayerSpec(name, bits=3),))
        assert torch.equal(mix(pair, {name})(noise()), compress(simple_cnn.module, alone).module(noise()))


def test_the_networks_that_are_mixed_stay_as_they_are(resnet: FloatModel) -> None:
    pair = pair_for(resnet, SPECS["inputs"])
    before, after = pair.original(noise()), pair.compressed(noise())
    mix(pair, layer_names(pair.original))(noise())
    assert torch.equal(pair.original(noise()), before)
    assert torch.equal(pair.compressed(noise()), after)


def test_a_batch_norm_belongs_to_the_layer_whose_output_it_takes(resnet: FloatModel) -> None:
    places = reading_places(resnet.module, noise(1))
    assert places["layer2.0.downsample.0"] == "layer2.0.downsample.1"
    for layer, place in places.items():
        assert owners(resnet.module)[place] == layer
    before_it = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1)).eval()
    assert reading_places(before_it, noise(1)) == {"0": "0", "3": "3"}
    behind_it = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU(inplace=True)).eval()
    assert reading_places(behind_it, noise(1)) == {"0": "1"}


def test_the_noise_of_a_layer_is_that_of_its_weights_for_its_float_inputs() -> None:
    """On paper: one convolution with the weights 1 and 0.4, of which rounding to 2 bits makes 1 and 0."""
    convolution = nn.Conv2d(2, 1, 1, bias=False)
    convolution.weight.data = torch.tensor([1.0, 0.4]).view(1, 2, 1, 1)
    module = nn.Sequential(convolution, nn.Flatten()).eval()
    pair = NetworkPair.of(compress(module, CompressionSpec("tiny", weights=QuantSpec(2))))
    inputs = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).view(2, 2, 1, 1)
    each = measure_layer(pair, "0", inputs)
    assert each.alone_db == each.accumulated_db == pytest.approx(10 * math.log10(1.16 / 0.16))
    assert (each.channels, each.images, each.dead) == (1, 2, 0)
    assert each.float_spread == pytest.approx(0.3)  # of 1 and 0.4
    assert each.spread == pytest.approx(0.5)  # of 1 and 0


def test_layers_accumulate_noise_and_the_last_one_has_that_of_the_compressed_network(
    simple_cnn: FloatModel, test_images: ImageSet
) -> None:
    pair = pair_for(simple_cnn, SMALL)
    inputs = simple_cnn.normalization(test_images.pixels[:40])
    signals = [measure_layer(pair, name, inputs) for name in layer_names(pair.original)]
    assert signals[0].alone_db == signals[0].accumulated_db
    assert all(each.accumulated_db <= each.alone_db + 1 for each in signals[1:])
    before, after = pair.original(inputs), pair.compressed(inputs)
    assert signals[-1].accumulated_change == pytest.approx(logit_change(before, after), rel=1e-5)
    assert signals[-1].accumulated_db == pytest.approx(sqnr_db(before, after), rel=1e-4)
    assert signals[-1].accumulated_flips == int((before.argmax(1) != after.argmax(1)).sum())


def test_a_spec_that_changes_nothing_makes_no_noise(simple_cnn: FloatModel) -> None:
    pair = pair_for(simple_cnn, CompressionSpec("simple_cnn"))
    for name in layer_names(pair.original):
        each = measure_layer(pair, name, noise())
        assert each.alone_db == each.accumulated_db == math.inf
        assert each.alone_change == each.accumulated_change == each.alone_flips == 0
        assert (each.spread, each.dead, each.silent) == (each.float_spread, each.float_dead, each.float_silent)


def test_a_pruned_filter_is_a_dead_channel(resnet: FloatModel) -> None:
    pair = pair_for(resnet, SPECS["filters"])
    pruned = [each for each in compress(resnet.module, SPECS["filters"]).layers if each.filters is not None]
    for record in pruned[::5]:
        if record.filters is not None:
            each = measure_layer(pair, record.name, noise())
            assert each.dead >= int((~record.filters).sum())
            assert each.silent >= each.dead - each.float_dead


def test_the_spread_is_that_of_each_channel_and_not_between_channels() -> None:
    output = torch.tensor([[[1.0, 3.0], [100.0, 100.0]]])  # one image, two channels, two places
    assert spread(output) == pytest.approx(math.sqrt((1 + 0) / 2))


def test_a_change_of_all_logits_alike_is_no_change() -> None:
    assert logit_change(torch.zeros(3, 10), torch.full((3, 10), 5.0)) == 0


def test_layers_that_do_not_exist_are_refused(simple_cnn: FloatModel) -> None:
    pair = pair_for(simple_cnn, SMALL)
    with pytest.raises(ValueError, match="runs no layer 'unicorn'"):
        measure_layer(pair, "unicorn", noise())
    with pytest.raises(ValueError, match="runs no layer"):
        activations(pair, "unicorn", noise(1))


def test_activations_are_those_of_both_networks(simple_cnn: FloatModel) -> None:
    pair = pair_for(simple_cnn, SMALL)
    first = layer_names(pair.original)[0]
    place = reading_places(pair.original, noise(1))[first]
    outputs: list[Tensor] = []
    handle = pair.compressed.get_submodule(place).register_forward_hook(lambda *each: outputs.append(each[2].clone()))
    pair.compressed(noise(1))
    handle.remove()
    both = activations(pair, first, noise(1))
    assert torch.equal(both.after, outputs[0][0])
    assert both.most >= float(both.before.abs().max())
    assert activations(pair, layer_names(pair.original)[-1], noise(1)).before.shape == (10, 1, 1)


def test_a_mosaic_has_every_channel_in_its_place() -> None:
    maps = torch.arange(5.0).view(5, 1, 1).expand(5, 2, 2)
    picture = mosaic(maps)
    assert picture.shape == (5, 8)  # two rows of three channels
    assert picture[0, 3] == 1
    assert picture[3, 0] == 3
    assert picture[2].isnan().all()
    assert mosaic(torch.zeros(100, 2, 2)).shape == (23, 23)


def test_workers_measure_layers_as_this_process_does(
    here: Engine, simple_cnn: FloatModel, test_images: ImageSet
) -> None:
    *_, last = Inspector(here).follow(layer_calls(here, simple_cnn, SMALL, test_images, 30))
    report = report_layers(last.results)
    pair, inputs = pair_for(simple_cnn, SMALL), simple_cnn.normalization(test_images.pixels[:30])
    for each in report.layers:
        assert each.alone_db == pytest.approx(measure_layer(pair, each.name, inputs).alone_db, rel=1e-3)
    assert report.noisiest.alone_change == max(each.alone_change for each in report.layers)
    assert report.reestimated is None  # there is no batch norm


def test_re_estimated_batch_norm_has_spreads_of_its_own(
    resnet: FloatModel, test_images: ImageSet, training_images: ImageSet
) -> None:
    spec, inputs = SPECS["weights"], resnet.normalization(test_images.pixels[:10])
    reestimated = replace(spec, reestimate_bn=True)
    expected = spreads(compress(resnet.module, reestimated, evidence_for(resnet, reestimated)).module, inputs)
    assert measure_reestimated(resnet, spec, 10, arithmetic(), test_images) == pytest.approx(expected)
    assert measure_reestimated(resnet, reestimated, 10, arithmetic(), test_images) == {}
    assert expected["layer1.0.conv1"] != pytest.approx(spreads(pair_for(resnet, spec).compressed, inputs)["conv1"])
