"""Quantized activations: compared with torch's fake quantization, in networks, from files, and without calibration."""

import copy
import json
import math
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from compression.core import bundled_calibrations
from compression.core import training_evidence as training
from compression.core.compress import compress
from compression.core.evidence import NO_EVIDENCE, Evidence
from compression.core.observe import observe
from compression.data.images import ImageSet
from compression.errors import DataMissing
from compression.evaluation.evaluation import BATCH, evaluate
from compression.files.packed_file import to_bytes
from compression.files.packed_reader import load_compressed
from compression.files.size import count_bytes
from compression.networks.bundled import bundled_names, load_bundled
from compression.networks.folding import fold_batch_norm
from compression.networks.model import FloatModel
from compression.networks.normalization import NORMALIZATIONS
from compression.networks.weights import weighted_layers
from compression.quantization.activations import InputQuantizer, input_quantizer
from compression.quantization.calibration import BINS, InputStats
from compression.spec import FLOAT_BITS, ActivationSpec, Calibration, CompressionSpec, LayerSpec, PruneSpec, QuantSpec
from tests.support.networks import images, network

EIGHT = ActivationSpec(8)


def stats_of(low: float, high: float) -> InputStats:
    return InputStats(low, high, low, high, torch.ones(BINS, dtype=torch.int64))


def evidence_of(module: nn.Module, inputs: Tensor) -> Evidence:
    return Evidence(calibration=observe(module, inputs))


@pytest.fixture
def small() -> nn.Module:
    """Returns a convolution, a batch norm that doubles, and a linear layer that sums."""
    module = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.BatchNorm2d(1, eps=0), nn.Flatten(), nn.Linear(2, 1))
    nn.init.constant_(module[0].weight, 1.0)
    nn.init.constant_(module[1].weight, 2.0)
    nn.init.constant_(module[3].weight, 1.0)
    nn.init.zeros_(module[3].bias)
    return module.eval()


# ---- one quantizer


@pytest.mark.parametrize("bits", [2, 3, 4, 8, 12, 16])
@pytest.mark.parametrize(("low", "high"), [(0.0, 6.3), (-2.4, 2.7), (-3.0, 0.0), (0.0, 1e-20), (-1e30, 3e30), (0, 0)])
def test_a_quantizer_gives_the_numbers_of_torch(bits: int, low: float, high: float) -> None:
    """The inputs are in the range, beyond it, and halfway between two integers."""
    quantizer = input_quantizer(stats_of(low, high), ActivationSpec(bits))
    ties = (torch.arange(-3, 40) + 0.5) * quantizer.scale
    x = torch.cat([torch.linspace(1.5 * low - 0.1 * high, 1.5 * high - 0.1 * low, 5001), ties, torch.zeros(1)])
    before = x.clone()
    expected = torch.fake_quantize_per_tensor_affine(x, quantizer.scale, quantizer.zero_point, 0, 2**bits - 1)
    [found] = quantizer(nn.Identity(), (x,))
    assert torch.equal(found, expected)
    assert torch.equal(x, before)
    assert len(found.unique()) <= 2**bits


@pytest.mark.parametrize("bits", [2, 8, 16])
@pytest.mark.parametrize(("low", "high"), [(0.0, 6.3), (-2.4, 2.7), (-3.0, 0.0)])
def test_zero_stays_exactly_zero(bits: int, low: float, high: float) -> None:
    [found] = input_quantizer(stats_of(low, high), ActivationSpec(bits))(nn.Identity(), (torch.zeros(3),))
    assert (found == 0).all()


def test_two_bits_on_paper() -> None:
    """The range -1..2 has steps of 1 and zero point 1. Values beyond it move to its ends, and ties to even."""
    quantizer = input_quantizer(stats_of(-1, 2), ActivationSpec(2))
    assert quantizer == InputQuantizer(2, 1.0, 1)
    [found] = quantizer(nn.Identity(), (torch.tensor([-9, -0.6, -0.4, 0.5, 1.2, 1.5, 7]),))
    assert found.tolist() == [-1, -1, 0, 0, 1, 2, 2]


def test_a_quantizer_keeps_the_layout_of_images() -> None:
    x = torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last)
    [found] = input_quantizer(stats_of(-1, 1), EIGHT)(nn.Identity(), (x,))
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_a_range_beyond_float32_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot quantize inputs that span more than float32 holds"):
        input_quantizer(stats_of(-3e38, 3e38), EIGHT)


# ---- in a network


def test_a_network_on_paper(small: nn.Module) -> None:
    """In 2 bits, inputs in -1..2 become -1, 0, 1 or 2, and those in -2..4 become -2, 0, 2 or 4: they do not change."""
    inputs = torch.tensor([[[[-1.0, 2.0]]]])
    compressed = compress(small, CompressionSpec("m", activations=ActivationSpec(2)), evidence_of(small, inputs))
    assert compressed.module(torch.tensor([[[[0.6, 1.3]]]])).item() == 2 * (1 + 1)
    assert small(torch.tensor([[[[0.6, 1.3]]]])).item() == pytest.approx(2 * 1.9)


def test_the_input_ranges_are_those_of_the_float_network(small: nn.Module) -> None:
    evidence = evidence_of(small, torch.tensor([[[[-1.0, 2.0]]]]))
    plain = compress(small, CompressionSpec("m", activations=EIGHT), evidence)
    pruned = compress(small, CompressionSpec("m", PruneSpec(sparsity=1), activations=EIGHT), evidence)
    assert [layer.inputs for layer in plain.layers] == [layer.inputs for layer in pruned.layers]


def test_a_float_layer_has_float_inputs_and_every_record_says_its_bits(small: nn.Module) -> None:
    spec = CompressionSpec("m", layers=(LayerSpec("0", bits=32), LayerSpec("3", bits=4)), activations=ActivationSpec(6))
    compressed = compress(small, spec, evidence_of(small, images(2)[:, :1, :1, :2]))
    assert [(layer.bits, layer.activation_bits) for layer in compressed.layers] == [(FLOAT_BITS, FLOAT_BITS), (4, 6)]
    assert not compressed.module[0]._forward_pre_hooks
    assert compressed.module[3]._forward_pre_hooks


def test_the_original_gets_no_hooks_and_each_module_its_own(small: nn.Module) -> None:
    compressed = compress(small, CompressionSpec("m", activations=EIGHT), evidence_of(small, images(2)[:, :1, :1, :2]))
    assert compressed.module[0]._forward_pre_hooks
    assert not any(part._forward_pre_hooks for part in small.modules())


@pytest.mark.parametrize("arch", ["resnet8", "mobilenetv2", "shufflenetv2_x0_5", "repvgg_a0", "vgg11_bn", "cnn3"])
def test_quantizers_stay_through_folding_copying_and_pickling(arch: str) -> None:
    module = network(arch)
    quantized = compress(module, CompressionSpec("m", activations=EIGHT), evidence_of(module, images(4))).module
    with torch.inference_mode():
        expected = quantized(images(4))
        reach = float(expected.abs().max())
        assert not torch.equal(expected, module(images(4)))
        for other in (copy.deepcopy(quantized), pickle.loads(pickle.dumps(quantized))):
            assert torch.equal(other(images(4)), expected)
    small = fold_batch_norm(quantized)
    for name in weighted_layers(module):
        [hook] = small.get_submodule(name)._forward_pre_hooks.values()
        assert hook == next(iter(quantized.get_submodule(name)._forward_pre_hooks.values()))
    with torch.inference_mode():  # rounding differs, and what is near a tie goes the other way
        torch.testing.assert_close(small(images(4)), expected, rtol=0, atol=0.1 * reach)


@pytest.mark.parametrize("calibration", Calibration)
@pytest.mark.parametrize("bits", range(2, 17))
def test_every_width_and_calibration_runs(bits: int, calibration: Calibration, small: nn.Module) -> None:
    inputs = images(8)[:, :1, :1, :2]
    spec = CompressionSpec("m", weights=QuantSpec(bits), activations=ActivationSpec(bits, calibration), fold_bn=True)
    assert compress(small, spec, evidence_of(small, inputs)).module(inputs).isfinite().all()


def test_more_bits_are_nearer_to_the_float_network() -> None:
    module = network("resnet8")
    evidence = evidence_of(module, images(8))
    errors = []
    with torch.inference_mode():
        for bits in (2, 4, 8, 16):
            quantized = compress(module, CompressionSpec("m", activations=ActivationSpec(bits)), evidence).module
            errors.append(float((quantized(images(8)) - module(images(8))).norm()))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.001 * errors[0]


def test_each_quantized_input_takes_a_scale_and_a_zero_point_in_the_file(small: nn.Module) -> None:
    evidence = evidence_of(small, images(2)[:, :1, :1, :2])
    plain = count_bytes(compress(small, CompressionSpec("m")))
    for bits, zero_point_bytes in ((8, 1), (9, 2)):
        size = count_bytes(compress(small, CompressionSpec("m", activations=ActivationSpec(bits)), evidence))
        assert size.dense.total - plain.dense.total == 2 * (4 + zero_point_bytes)
        assert size.sparse.total - plain.sparse.total == 2 * (4 + zero_point_bytes)


def test_eight_bit_activations_cost_a_trained_resnet_at_most_one_point(test_images: ImageSet) -> None:
    """On 1,000 images, the accuracy is within one percentage point of the float network."""
    model, few = load_bundled("resnet20"), test_images[:1000]
    spec = CompressionSpec("resnet20", weights=QuantSpec(8), activations=ActivationSpec(8, "least-error"))
    quantized = compress(model.module, spec, training.evidence_for(model, spec)).module
    before, after = (evaluate(module, few, model.normalization).accuracy for module in (model.module, quantized))
    assert abs(after - before) <= 0.01


@pytest.mark.parametrize("fold_bn", [False, True])
def test_what_is_evaluated_is_the_module_that_is_saved(fold_bn: bool, test_images: ImageSet, tmp_path: Path) -> None:
    """To the last bit of each margin: a rounding error before a quantizer becomes a step, and changes predictions."""
    model, few = load_bundled("resnet20"), test_images[:1000]
    spec = CompressionSpec("resnet20", weights=QuantSpec(4), activations=ActivationSpec(4), fold_bn=fold_bn)
    compressed = compress(model.module, spec, training.evidence_for(model, spec))
    (tmp_path / "saved").write_bytes(to_bytes(compressed, model))
    saved = load_compressed(tmp_path / "saved")
    batches = model.normalization(few.pixels).split(BATCH)
    logits = torch.cat([saved.module(batch) for batch in batches])
    best = logits.topk(2).values
    evaluation = evaluate(compressed.module, few, model.normalization)
    assert torch.equal(evaluation.predictions.long(), logits.argmax(1))
    assert evaluation.margins is not None
    assert torch.equal(evaluation.margins, best[:, 0] - best[:, 1])


# ---- what is needed and not there


def test_without_a_calibration_activations_are_refused(small: nn.Module) -> None:
    with pytest.raises(ValueError, match="quantized activations need a calibration of m, and none was given"):
        compress(small, CompressionSpec("m", activations=EIGHT), NO_EVIDENCE)


def test_a_calibration_without_a_layer_is_refused_and_a_float_layer_needs_none(small: nn.Module) -> None:
    calibration = dict(observe(small, images(2)[:, :1, :1, :2]))
    del calibration["3"]
    with pytest.raises(
        ValueError, match="calibration of m has no inputs of layer 3; give that layer 32 bits to keep it in float"
    ):
        compress(small, CompressionSpec("m", activations=EIGHT), Evidence(calibration=calibration))
    spec = CompressionSpec("m", layers=(LayerSpec("3", bits=32),), activations=EIGHT)
    assert compress(small, spec, Evidence(calibration=calibration)).layers[0].activation_bits == 8


@pytest.fixture
def no_training_images(monkeypatch: pytest.MonkeyPatch) -> None:
    def raise_missing(_: object) -> ImageSet:
        raise DataMissing("there are none; `python -m compression data --download train`")

    monkeypatch.setattr(training, "load", raise_missing)
    monkeypatch.setattr(training, "_calibrations", {})
    training.training_sample.cache_clear()


def test_every_bundled_network_has_a_calibration(no_training_images: None) -> None:
    for name in bundled_names():
        model = load_bundled(name)
        assert list(training.network_calibration(model)) == list(weighted_layers(model.module))


def test_another_network_without_training_images_is_refused_with_what_to_do(no_training_images: None) -> None:
    model = FloatModel("mine", network("cnn3"), NORMALIZATIONS["half"])
    with pytest.raises(DataMissing, match=r"needs the input ranges of mine on training images, .* --download train"):
        training.evidence_for(model, CompressionSpec("mine", activations=EIGHT))


def test_the_calibration_of_other_weights_is_not_used(no_training_images: None, simple_cnn: FloatModel) -> None:
    """The user's own network has the name of a bundled one."""
    own = copy.deepcopy(simple_cnn.module)
    own.fc1.weight.data.mul_(2)
    with pytest.raises(DataMissing, match="needs the input ranges of simple_cnn on training images"):
        training.network_calibration(replace(simple_cnn, module=own))


def test_a_spec_that_needs_no_evidence_gets_none(no_training_images: None, simple_cnn: FloatModel) -> None:
    evidence = training.evidence_for(simple_cnn, CompressionSpec("simple_cnn", weights=QuantSpec(4)))
    assert (evidence.sample, evidence.calibration) == (None, None)


# ---- files


def equal(one: InputStats, other: InputStats) -> bool:
    same = (one.low, one.high, one.average_low, one.average_high)
    return same == (other.low, other.high, other.average_low, other.average_high) and torch.equal(
        one.counts, other.counts
    )


def test_a_calibration_is_read_back_unchanged(simple_cnn: FloatModel, tmp_path: Path) -> None:
    calibration = observe(simple_cnn.module, images(3))
    bundled_calibrations.save_calibration(tmp_path / "a.safetensors", simple_cnn, calibration)
    loaded = bundled_calibrations.load_calibration(tmp_path / "a.safetensors", simple_cnn)
    assert list(loaded) == list(calibration)
    assert all(equal(loaded[name], calibration[name]) for name in calibration)


@pytest.mark.usefixtures("training_images")
@pytest.mark.parametrize("name", ["simple_cnn", "cnn3"])
def test_the_bundled_calibrations_can_be_computed_again(name: str) -> None:
    """Counts may differ by the rounding of another machine."""
    model = load_bundled(name)
    bundled, anew = training.network_calibration(model), training.observe_training_sample(model)
    for layer, stats in anew.items():
        assert (bundled[layer].low, bundled[layer].high) == pytest.approx((stats.low, stats.high), rel=1e-4)
        ends = bundled[layer].average_low, bundled[layer].average_high
        assert ends == pytest.approx((stats.average_low, stats.average_high), rel=1e-4)
        distance = (bundled[layer].counts.cumsum(0) - stats.counts.cumsum(0)).abs().max()
        assert int(bundled[layer].counts.sum()) == int(stats.counts.sum())
        assert distance <= 0.001 * int(stats.counts.sum())


def truncate(content: bytes) -> bytes:
    return content[:-100]


def empty(content: bytes) -> bytes:
    return b""


def without_header(content: bytes) -> bytes:
    return safetensors.torch.save(safetensors.torch.load(content))


def with_a_layer_less(content: bytes) -> bytes:
    about = {"weights": "0", "layers": ["conv1"]}
    return safetensors.torch.save(safetensors.torch.load(content), {"squeezelab": json.dumps(about)})


def with_nan(content: bytes) -> bytes:
    tensors = safetensors.torch.load(content)
    tensors["ranges"][0, 0] = math.nan
    header = json.dumps({"weights": "0", "layers": [str(place) for place in range(len(tensors["ranges"]))]})
    return safetensors.torch.save(tensors, {"squeezelab": header})


@pytest.mark.parametrize("damage", [truncate, empty, without_header, with_a_layer_less, with_nan])
def test_a_damaged_file_is_refused_with_what_to_do(damage, simple_cnn: FloatModel, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(damage(bundled_calibrations.calibration_path("simple_cnn").read_bytes()))
    with pytest.raises(
        ValueError, match=r"is damaged; create it again with `python -m compression calibrate simple_cnn`"
    ):
        bundled_calibrations.load_calibration(path, simple_cnn)
