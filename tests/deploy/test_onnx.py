"""ONNX files, answered by ONNX Runtime, beside PyTorch."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from compression.core.compress import compress
from compression.core.evidence import Evidence
from compression.core.observe import observe
from compression.core.training_evidence import evidence_for
from compression.deploy.float_onnx import OPERATORS, to_onnx, weight_name
from compression.deploy.int8_onnx import to_int8
from compression.deploy.pytorch_files import holds, state_file
from compression.deploy.runtime import count_kernels, count_subnormals, logits, open_session
from compression.deploy.variants import VariantKind, build, variants
from compression.networks.architectures.resnet import ResNet
from compression.networks.macs import layer_macs
from compression.networks.model import FloatModel, freeze_
from compression.networks.normalization import NORMALIZATIONS
from compression.paths import PROJECT
from compression.quantization.quantizers import quantize
from compression.spec import ActivationSpec, CompressionSpec, LayerSpec, PruneSpec, QuantSpec, Scheme, Scope, Structure

INT8 = CompressionSpec("simple_cnn", weights=QuantSpec(8), activations=ActivationSpec(8), fold_bn=True)
CIFAR10 = NORMALIZATIONS["cifar10"]


def pixels(n: int) -> torch.Tensor:
    return torch.randint(0, 256, (n, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))


def run_graph(graph: bytes, images: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(logits(open_session(graph), images.numpy()))


def constants(graph: bytes) -> dict[str, np.ndarray]:
    return {each.name: numpy_helper.to_array(each) for each in onnx.load_from_string(graph).graph.initializer}


@pytest.fixture(scope="module")
def simple_int8(simple_cnn):
    return compress(simple_cnn.module, INT8, evidence_for(simple_cnn, INT8))


@pytest.fixture(scope="module")
def simple_graph(simple_cnn) -> bytes:
    return to_onnx(simple_cnn.module, simple_cnn.normalization)


@pytest.fixture(scope="module")
def simple_int8_graph(simple_int8, simple_cnn) -> bytes:
    return to_int8(simple_int8, simple_cnn.normalization)


@pytest.fixture(scope="module")
def small_resnet() -> FloatModel:
    """Returns an untrained ResNet of eight layers, which has sums."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return FloatModel("small", freeze_(ResNet(1)), CIFAR10)


@pytest.fixture(scope="module")
def small_int8(small_resnet):
    calibration = observe(small_resnet.module, CIFAR10(pixels(100)))
    return compress(small_resnet.module, replace(INT8, model="small"), Evidence(calibration=calibration))


@pytest.fixture(scope="module")
def chain(small_int8) -> bytes:
    return to_int8(small_int8, CIFAR10, pixels(100))


def test_a_graph_answers_as_pytorch_does_for_any_number_of_images(simple_cnn, simple_graph):
    for count in (1, 3):
        expected = simple_cnn.module(simple_cnn.normalization(pixels(count)))
        assert torch.allclose(run_graph(simple_graph, pixels(count)), expected, atol=1e-4)


def test_torch_reads_its_operators_once_and_stays_as_it_was(simple_cnn, simple_graph, monkeypatch):
    from torch.onnx._internal.exporter import _registration  # takes seconds, in whatever process collects

    own = vars(_registration.ONNXRegistry)[OPERATORS]
    monkeypatch.setattr(_registration.onnxscript_apis, "get_torchlib_ops", None)  # whoever calls it fails
    assert to_onnx(simple_cnn.module, simple_cnn.normalization) == simple_graph
    assert vars(_registration.ONNXRegistry)[OPERATORS] is own


def test_a_graph_contains_no_path_of_this_machine(chain):
    assert str(PROJECT).encode() not in chain
    assert b".py" not in chain


def test_a_float_graph_keeps_the_quantization_of_inputs(simple_int8, simple_cnn):
    graph = to_onnx(simple_int8.module, simple_cnn.normalization)
    expected = simple_int8.module(simple_cnn.normalization(pixels(50)))
    assert torch.equal(run_graph(graph, pixels(50)).argmax(1), expected.argmax(1))
    assert {"Round", "Clip"} <= {node.op_type for node in onnx.load_from_string(graph).graph.node}


def test_int8_has_the_codes_and_scales_of_the_quantizer(simple_int8, simple_int8_graph):
    values = constants(simple_int8_graph)
    for layer in simple_int8.layers:
        name = weight_name(layer.name)
        assert values[f"{name}.codes"].dtype == np.int8
        assert np.array_equal(values[f"{name}.codes"], quantize(layer.weight, layer.qparams).numpy())
        assert np.array_equal(values[f"{name}.scale"], layer.qparams.scale.flatten().numpy())
        assert name not in values
    steps = {
        (float(v), int(values[k.replace(".scale", ".zero")]))
        for k, v in values.items()
        if v.ndim == 0 and ".scale" in k
    }
    assert steps == {(layer.inputs.scale, layer.inputs.zero_point) for layer in simple_int8.layers}


def test_int8_agrees_with_the_simulation(simple_int8, simple_int8_graph, simple_cnn, test_images):
    images = test_images[:500]
    expected = simple_int8.module(simple_cnn.normalization(images.pixels)).argmax(1)
    assert int((run_graph(simple_int8_graph, images.pixels).argmax(1) == expected).sum()) >= 497
    assert count_kernels(simple_int8_graph).float32 == 0


def test_with_integers_between_layers_every_convolution_runs_in_int8(small_int8, chain):
    alone = count_kernels(to_int8(small_int8, CIFAR10))
    assert 0 < alone.int8 < alone.total
    assert count_kernels(chain).int8 == alone.total
    as_float = count_kernels(to_onnx(small_int8.original, CIFAR10))
    assert count_kernels(chain).moved_bytes < min(as_float.moved_bytes, alone.moved_bytes)
    expected = small_int8.module(CIFAR10(pixels(100)))
    error = (run_graph(chain, pixels(100)) - expected).square().mean() / expected.square().mean()
    assert error < 0.01


def test_operations_that_the_runtime_turns_into_convolutions_are_not_counted():
    """The runtime turns a batch norm that cannot be folded into a convolution."""
    module = nn.Sequential(nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(32), nn.Flatten()).eval()
    kernels = count_kernels(to_onnx(module, CIFAR10))
    assert (kernels.int8, kernels.float32) == (0, 1)


def test_a_channel_of_tiny_weights_keeps_its_bias():
    conv = nn.Conv2d(3, 2, 1)
    module = nn.Sequential(conv, nn.Flatten(), nn.Linear(2 * 32 * 32, 10)).eval().requires_grad_(False)
    conv.weight[0] = 1e-20
    conv.bias[0] = 3.0
    calibration = observe(module, CIFAR10(pixels(20)))
    compressed = compress(module, INT8, Evidence(calibration=calibration))
    assert torch.allclose(
        run_graph(to_int8(compressed, CIFAR10), pixels(20)), compressed.module(CIFAR10(pixels(20))), atol=0.05
    )


def test_a_channel_of_zeros_outputs_its_bias():
    conv = nn.Conv2d(3, 2, 1)
    module = nn.Sequential(conv, nn.Flatten(), nn.Linear(2 * 32 * 32, 10)).eval().requires_grad_(False)
    conv.weight[0] = 0
    conv.bias[0] = 0.0123
    module[2].weight[:] = 0
    module[2].weight[3, :1024] = 1 / 1024
    module[2].bias[:] = torch.linspace(-1, 1, 10)
    compressed = compress(module, INT8, Evidence(calibration=observe(module, CIFAR10(pixels(20)))))
    graph = to_int8(compressed, CIFAR10)
    assert torch.allclose(run_graph(graph, pixels(20)), compressed.module(CIFAR10(pixels(20))), atol=1e-4)
    assert count_subnormals(graph) == 0


def test_float_layers_stay_float_in_an_int8_graph(simple_cnn):
    spec = replace(INT8, layers=(LayerSpec("conv1", 32),))
    graph = to_int8(compress(simple_cnn.module, spec, evidence_for(simple_cnn, spec)), simple_cnn.normalization)
    assert weight_name("conv1") in constants(graph)
    assert count_kernels(graph).float32 == 1


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (replace(INT8, weights=QuantSpec(4, Scheme.K_MEANS)), "do not fit int8 kernels"),
        (replace(INT8, weights=QuantSpec(9)), "at most 8 bits"),
        (replace(INT8, weights=QuantSpec(8, Scheme.AFFINE)), "must be symmetric"),
        (replace(INT8, activations=None), "inputs of 32 bits"),
        (replace(INT8, activations=ActivationSpec(4)), "inputs of 4 bits"),
    ],
)
def test_weights_and_inputs_that_int8_kernels_do_not_support_are_refused(simple_cnn, spec, words):
    compressed = compress(simple_cnn.module, spec, evidence_for(simple_cnn, spec))
    with pytest.raises(ValueError, match=words):
        to_int8(compressed, simple_cnn.normalization)


def test_batch_norm_that_is_not_folded_is_refused(small_resnet):
    calibration = observe(small_resnet.module, CIFAR10(pixels(20)))
    compressed = compress(small_resnet.module, replace(INT8, fold_bn=False), Evidence(calibration=calibration))
    with pytest.raises(ValueError, match="folded first"):
        to_int8(compressed, CIFAR10)


def test_subnormal_numbers_are_counted(simple_graph):
    graph = onnx.load_from_string(simple_graph)
    assert count_subnormals(graph.SerializeToString()) == 0
    odd = np.array([1e-40, -1e-39, 0.0, 1.0], np.float32)
    graph.graph.initializer.append(numpy_helper.from_array(odd, "odd"))
    assert count_subnormals(graph.SerializeToString()) == 2


def test_a_state_dict_is_read_back_bit_for_bit(simple_int8, simple_cnn):
    file = state_file(simple_int8.module)
    assert holds(file, simple_int8.module)
    assert not holds(file, simple_cnn.module)


def test_int8_keeps_the_integers_and_the_zeros_of_a_network_that_does_not_fold(small_resnet):
    spec = CompressionSpec("small", PruneSpec(sparsity=0.5), QuantSpec(4))
    specs = {each.kind: each.spec for each in variants(spec)}
    evidence = Evidence(calibration=observe(small_resnet.module, CIFAR10(pixels(20))))
    compressed, int8 = (
        compress(small_resnet.module, specs[kind], evidence).layers
        for kind in (VariantKind.COMPRESSED, VariantKind.INT8)
    )
    for one, other in zip(compressed, int8, strict=True):
        same = quantize(one.weight, one.qparams) == quantize(other.weight, other.qparams)
        assert other.bits == 4
        assert same.float().mean() > 0.999  # a weight in the middle between two integers may go to the other one


def test_the_float_network_has_no_variant_of_its_own():
    assert [each.kind for each in variants(CompressionSpec("small"))] == [
        VariantKind.FLOAT,
        VariantKind.INT8,
        VariantKind.INT8_CHAIN,
    ]


def test_a_network_with_fewer_filters_is_made_only_if_filters_are_pruned_or_it_is_asked_for():
    kinds = lambda *arguments: {each.kind for each in variants(*arguments)}
    plain = CompressionSpec("small", PruneSpec(sparsity=0.5), QuantSpec(4))
    assert VariantKind.SMALLER not in kinds(plain)
    assert VariantKind.SMALLER in kinds(plain, True)
    assert VariantKind.SMALLER in kinds(CompressionSpec("small", PruneSpec(sparsity=0.5, structure=Structure.FILTER)))
    assert VariantKind.SMALLER in kinds(CompressionSpec("small", fold_bn=True, merge=0.25))


def test_the_smaller_network_loses_the_filters_that_were_chosen_and_no_others():
    filters = PruneSpec(sparsity=0.5, structure=Structure.FILTER, scope=Scope.LAYER)
    layers = (LayerSpec("conv1", 4, sparsity=0.0), LayerSpec("fc", 8))
    spec = CompressionSpec("small", filters, QuantSpec(4), layers, reestimate_bn=True)
    smaller = {each.kind: each.spec for each in variants(spec)}[VariantKind.SMALLER]
    assert smaller == CompressionSpec("small", filters, layers=(LayerSpec("conv1", sparsity=0.0),), reestimate_bn=True)


def test_merged_filters_are_removed(simple_cnn):
    merged = CompressionSpec("simple_cnn", fold_bn=True, merge=0.25)
    file = build(simple_cnn, {each.kind: each for each in variants(merged)}[VariantKind.SMALLER])
    expected = compress(simple_cnn.module, merged).module(simple_cnn.normalization(pixels(8)))
    assert torch.allclose(run_graph(file.graph, pixels(8)), expected, atol=1e-3)
    assert file.macs < sum(layer_macs(simple_cnn.module, simple_cnn.example).values())


def test_int8_with_re_estimated_batch_norm_is_refused_because_it_is_folded(small_resnet):
    spec = CompressionSpec("small", PruneSpec(sparsity=0.5), reestimate_bn=True)
    int8 = {each.kind: each.spec for each in variants(spec)}[VariantKind.INT8]
    with pytest.raises(ValueError, match="no batch norm after folding"):
        compress(small_resnet.module, int8, Evidence(calibration=observe(small_resnet.module, CIFAR10(pixels(20)))))


def test_the_graph_without_zero_filters_is_smaller_and_has_the_same_outputs(small_resnet):
    smaller = next(each for each in variants(CompressionSpec("small"), True) if each.kind is VariantKind.SMALLER)
    file = build(small_resnet, smaller)
    module_with_zeros = compress(small_resnet.module, smaller.spec).module
    assert len(file.graph) < 0.8 * len(to_onnx(small_resnet.module, CIFAR10))
    assert torch.allclose(run_graph(file.graph, pixels(8)), module_with_zeros(CIFAR10(pixels(8))), atol=1e-3)
