"""Accuracy given back as part of a spec: what compress makes of it, what the file holds, and what is refused."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from compression.core import training_evidence
from compression.core.compress import compress
from compression.core.evidence import Evidence, Sample
from compression.core.record import CompressedModel
from compression.core.training_evidence import evidence_for, training_sample
from compression.data.images import ImageSet
from compression.errors import DataError
from compression.evaluation.evaluation import evaluate
from compression.files.packed_file import to_bytes
from compression.files.packed_reader import verify_file
from compression.networks.bundled import load_bundled
from compression.networks.model import FloatModel
from compression.networks.normalization import NORMALIZATIONS
from compression.quantization.quantizers import dequantize, quantize
from compression.spec import ActivationSpec, CompressionSpec, LayerSpec, PruneSpec, QuantSpec
from tests.support.networks import images, network

SPARSE = PruneSpec(sparsity=0.5)


def evidence(n: int = 250) -> Evidence:
    return Evidence(Sample(images(n)[:, :, :8, :8].contiguous(), torch.zeros(n, dtype=torch.int64)))


def recovered(arch: str = "resnet8", **how) -> CompressedModel:
    return compress(network(arch), CompressionSpec(arch, **how), evidence())


def error(compressed: CompressedModel) -> float:
    inputs = images(500)[250:, :, :8, :8]
    before = network(compressed.spec.model)(inputs)
    return float((compressed.module(inputs) - before).square().mean() / before.var())


STEPS = [
    {"weights": QuantSpec(3), "rounding": "compensated"},
    {"weights": QuantSpec(3), "rounding": "compensated", "correct_bias": True, "fold_bn": True},
    {"weights": QuantSpec(3, "k-means"), "rounding": "compensated", "fold_bn": True},
    {"weights": QuantSpec(6, granularity="tensor"), "rounding": "rate-aware", "rate_penalty": 0.01},
    {"weights": QuantSpec(5), "prune": SPARSE, "rounding": "rate-aware", "rate_penalty": 0.01, "reconstruct": True},
    {"weights": QuantSpec(3), "correct_bias": True},
    {"weights": QuantSpec(2), "repair_activations": True},
    {"weights": QuantSpec(2), "repair_activations": True, "fold_bn": True},
    {"prune": SPARSE, "reconstruct": True},
    {"prune": PruneSpec(structure="n:m"), "reconstruct": True, "correct_bias": True},
    {"prune": SPARSE, "weights": QuantSpec(3), "rounding": "compensated", "reconstruct": True, "correct_bias": True},
    {"prune": PruneSpec(sparsity=0.3, scope="layer", structure="filter"), "reconstruct": True, "correct_bias": True},
]


@pytest.mark.parametrize("how", STEPS, ids=lambda how: " ".join(how))
def test_outputs_are_nearer_to_those_of_the_float_network_and_the_file_holds_them(how: dict, tmp_path: Path) -> None:
    plain = {name: value for name, value in how.items() if name in ("weights", "prune", "fold_bn")}
    compressed = recovered(**how)
    assert error(compressed) < error(recovered(**plain))
    for layer in compressed.layers:
        if layer.qparams:
            values = dequantize(quantize(layer.weight, layer.qparams), layer.qparams)
            assert torch.equal(values, layer.weight)
        assert layer.nonzero == int(layer.weight.count_nonzero())
        assert layer.nonzero <= layer.weights - layer.pruned
    model = FloatModel("m", network("resnet8"), NORMALIZATIONS["cifar10"], about={"arch": "resnet8"})
    path = tmp_path / "packed.safetensors"
    path.write_bytes(to_bytes(compressed, model))
    verify_file(path, compressed)


def test_the_float_network_and_what_the_spec_leaves_alone_stay() -> None:
    module = network("resnet8")
    before = {name: value.clone() for name, value in module.state_dict().items()}
    spec = CompressionSpec("resnet8", weights=QuantSpec(3), layers=(LayerSpec("fc", 32),), rounding="compensated")
    compressed = compress(module, spec, evidence())
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert torch.equal(compressed.module.fc.weight, module.fc.weight)
    assert compressed.vectors == {}


def test_pruned_filters_stay_silent_when_the_means_of_others_are_corrected() -> None:
    prune = PruneSpec(sparsity=0.4, scope="layer", structure="filter")
    module = recovered(prune=prune, reconstruct=True, repair_activations=True).module
    empty = module.bn1.weight == 0
    assert empty.sum() == 6
    assert not module.bn1(module.conv1(images(1)))[:, empty].any()


def test_layers_that_cannot_be_reconstructed_are_rounded_to_nearest() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = nn.Sequential(nn.ConvTranspose2d(3, 4, 2), nn.Conv2d(4, 2, 2)).eval().requires_grad_(False)
    spec = CompressionSpec("m", weights=QuantSpec(3))
    plain = compress(module, spec).layers
    layers = compress(module, CompressionSpec("m", weights=QuantSpec(3), rounding="compensated"), evidence()).layers
    assert torch.equal(layers[0].weight, plain[0].weight)
    assert not torch.equal(layers[1].weight, plain[1].weight)


def test_an_equalized_network_computes_the_same_function_and_is_refused_where_there_is_none() -> None:
    inputs = images(3)
    compressed = recovered(fold_bn=True, equalize=True)
    torch.testing.assert_close(compressed.module(inputs), network("resnet8")(inputs), rtol=1e-3, atol=1e-3)
    module = nn.Sequential(nn.Conv2d(3, 4, 2), nn.Sigmoid(), nn.Conv2d(4, 2, 2)).eval()
    with pytest.raises(ValueError, match="nothing can be equalized"):
        compress(module, CompressionSpec("m", fold_bn=True, equalize=True))


@pytest.mark.parametrize(
    "how",
    [
        {"weights": QuantSpec(3), "rounding": "compensated"},
        {"prune": SPARSE, "reconstruct": True},
        {"correct_bias": True},
        {"repair_activations": True},
    ],
    ids=str,
)
def test_without_images_nothing_is_recovered(how: dict) -> None:
    with pytest.raises(ValueError, match="need training images"):
        compress(network("resnet8"), CompressionSpec("resnet8", **how))


def test_quantized_inputs_of_an_equalized_network_have_ranges_of_their_own(training_images: ImageSet) -> None:
    model = load_bundled("simple_cnn")
    spec = CompressionSpec("simple_cnn", activations=ActivationSpec(8), fold_bn=True)
    equalized = CompressionSpec("simple_cnn", activations=ActivationSpec(8), fold_bn=True, equalize=True)
    plain, other = (evidence_for(model, each).calibration for each in (spec, equalized))
    assert plain["conv1"].high == pytest.approx(other["conv1"].high)
    assert plain["fc2"].high != pytest.approx(other["fc2"].high)


def test_as_many_training_images_are_seen_as_the_spec_says(
    training_images: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_bundled("simple_cnn")
    spec = CompressionSpec("simple_cnn", weights=QuantSpec(4), correct_bias=True, sample_images=1500)
    sample = evidence_for(model, spec).sample
    assert torch.equal(sample.inputs, model.normalization(training_images.pixels[:1500]))
    monkeypatch.setattr(training_evidence, "load", lambda _: training_images[:1400])
    with pytest.raises(DataError, match="ask for 1,600 training images, and there are 1,400"):
        evidence_for(model, replace(spec, sample_images=1600))


def test_three_bits_of_resnet20_lose_little_on_real_images(training_images: ImageSet) -> None:
    """Judged on training images that are not in the sample; nearest rounding loses ten points there."""
    model = load_bundled("resnet20")
    spec = CompressionSpec("resnet20", weights=QuantSpec(3), fold_bn=True, rounding="compensated", correct_bias=True)
    sample = training_sample(model.normalization)
    few = Evidence(Sample(sample.inputs[:250], sample.labels[:250]))
    others = training_images[20_000:20_500]
    before = evaluate(model.module, others, model.normalization).accuracy
    after = evaluate(compress(model.module, spec, few).module, others, model.normalization).accuracy
    assert after > before - 0.03
