"""`import compression as sq`: quick, lazy, complete, and the examples of its docstrings run."""

import doctest
import subprocess
import sys
from pathlib import Path
from types import FunctionType

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

import compression as sq
from compression import api, spec
from compression.api import files, inspection, loading, networks
from compression.core.observe import observe
from compression.core.training_evidence import evidence_for
from compression.data.images import ImageSet
from compression.errors import DataMissing, EngineError
from compression.files.packed_file import fingerprint
from compression.networks.bundled import load_bundled
from compression.paths import PROJECT

PARTS = (loading, networks, files, inspection)
PART_NAMES = {part.__name__ for part in PARTS}
EXAMPLES = [test for part in PARTS for test in doctest.DocTestFinder().find(part) if test.examples]
FUNCTIONS = {name for name in sq.__all__ if isinstance(getattr(sq, name), FunctionType)}
HALF_AT_4_BITS = sq.CompressionSpec(prune=sq.PruneSpec(sparsity=0.5), weights=sq.QuantSpec(4))


def in_a_fresh_process(code: str) -> str:
    process = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True)
    assert (process.returncode, process.stderr) == (0, "")
    return process.stdout.strip()


# ---- what is imported, and when


def test_importing_the_package_imports_no_library() -> None:
    code = "import sys; before = set(sys.modules); import compression; print(sorted(set(sys.modules) - before))"
    assert in_a_fresh_process(code) == "['compression']"


def test_an_unknown_name_and_a_subpackage_load_nothing_else() -> None:
    code = (
        "import sys\nfrom compression import spec, paths\nimport compression\n"
        "print(hasattr(compression, 'tensorflow'), 'torch' in sys.modules, 'compression.api' in sys.modules)"
    )
    assert in_a_fresh_process(code) == "False False False"


def test_the_python_face_does_not_start_dask() -> None:
    code = "import sys, compression as sq; sq.inspect_layers; print('distributed' in sys.modules)"
    assert in_a_fresh_process(code) == "False"


def test_public_names_are_seen_before_they_are_loaded() -> None:
    code = "import sys, compression as sq; print(set(sq.__all__) <= set(dir(sq)), 'torch' in sys.modules)"
    assert in_a_fresh_process(code) == "True False"


def test_exporting_is_what_imports_onnx() -> None:
    code = "import sys, compression as sq; sq.to_onnx; print('torch' in sys.modules, 'onnx' in sys.modules)"
    assert in_a_fresh_process(code) == "True False"


def test_the_names_of_the_package_are_those_of_its_api() -> None:
    functions = {name for name, value in vars(api).items() if isinstance(value, FunctionType)}
    assert {name for name in functions if getattr(api, name).__module__ in PART_NAMES and name[0] != "_"} == FUNCTIONS
    for name in sq.__all__:
        assert getattr(sq, name) is getattr(api, name)


def test_all_values_of_a_spec_are_public() -> None:
    assert {name for name, value in vars(spec).items() if isinstance(value, type)} <= set(sq.__all__)


def test_no_public_name_is_that_of_a_package_or_module() -> None:
    files = {path.name.removesuffix(".py") for path in (PROJECT / "compression").iterdir()}
    assert not files & set(sq.__all__)


def test_every_public_name_has_a_docstring() -> None:
    for name in set(sq.__all__) - {"NORMALIZATIONS"}:
        assert getattr(sq, name).__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'compression' has no attribute 'tensorflow'"):
        _ = sq.tensorflow


def test_all_exceptions_of_the_package_have_one_base() -> None:
    assert issubclass(sq.DataError, sq.CompressionError)
    assert issubclass(sq.CheckpointError, sq.CompressionError)
    assert issubclass(EngineError, sq.CompressionError)


# ---- the examples


def test_every_function_has_an_example() -> None:
    assert {test.name.rpartition(".")[2] for test in EXAMPLES} == FUNCTIONS


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda test: test.name.rpartition(".")[2])
def test_the_example_of_a_docstring_runs(example: doctest.DocTest, request: pytest.FixtureRequest) -> None:
    if 'load_images("train")' in example.docstring:
        request.getfixturevalue("training_images")
    elif "load_images" in example.docstring:
        request.getfixturevalue("test_images")
    out: list[str] = []
    failures = doctest.DocTestRunner().run(example, out=out.append, clear_globs=False).failed
    assert not failures, "".join(out)


# ---- the answers are alive


def answers(module: nn.Module, pixels: torch.Tensor) -> set[int]:
    with torch.inference_mode():
        return set(module(pixels).argmax(1).tolist())


def test_a_compressed_network_classifies_nearly_as_well(test_images: ImageSet) -> None:
    net, images = sq.load("resnet20"), test_images[:500]
    small = sq.compress(net, HALF_AT_4_BITS)
    before, after = sq.evaluate(net, images), sq.evaluate(small, images)
    assert after.predictions.unique().tolist() == list(range(10))
    assert before.accuracy - 0.1 < after.accuracy < before.accuracy
    assert sq.flips(before, after).lost > sq.flips(before, after).won
    assert sq.evaluate(small.module, images, net.normalization).correct == after.correct


def test_compressed_networks_answer_different_noise_differently() -> None:
    net = sq.load("resnet20")
    pixels = torch.randint(256, (200, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    inputs = net.normalization(pixels)
    assert len(answers(sq.compress(net, HALF_AT_4_BITS).module, inputs)) > 1


def test_a_saved_network_loads_bit_for_bit_and_answers_differently(tmp_path: Path, test_images: ImageSet) -> None:
    net = sq.load("simple_cnn")
    small = sq.compress(net, HALF_AT_4_BITS)
    count = sq.save(small, str(tmp_path / "small.safetensors"))
    again = sq.load_compressed(tmp_path / "small.safetensors")
    assert count == (tmp_path / "small.safetensors").stat().st_size == sq.ledger(small).total
    assert fingerprint(again.module) == fingerprint(small.module)
    assert sq.evaluate(again, test_images[:500]).correct == sq.evaluate(small, test_images[:500]).correct > 350


# ---- what a network needs is gathered, and its name filled in


def test_compress_fills_in_the_name_of_the_network_unless_it_is_given() -> None:
    net = sq.load("simple_cnn")
    assert sq.compress(net, HALF_AT_4_BITS).spec.model == "simple_cnn"
    assert sq.compress(net.module, HALF_AT_4_BITS).spec.model == "SimpleCNN"
    assert sq.compress(net.module, sq.CompressionSpec("mine", weights=sq.QuantSpec(4))).spec.model == "mine"


def test_evidence_is_gathered_for_a_network_that_is_known() -> None:
    net = sq.load("simple_cnn")
    spec = sq.CompressionSpec("simple_cnn", activations=sq.ActivationSpec(8))
    by_hand = sq.compress(net.module, spec, evidence_for(net, spec))
    assert [layer.inputs for layer in sq.compress(net, spec).layers] == [layer.inputs for layer in by_hand.layers]


def test_taylor_scores_are_computed_on_training_images() -> None:
    spec = sq.CompressionSpec(prune=sq.PruneSpec(sparsity=0.5, criterion="taylor"))
    try:
        small = sq.compress(sq.load("simple_cnn"), spec)
    except DataMissing as error:
        pytest.skip(str(error))
    assert small.sparsity == pytest.approx(0.5, abs=1e-4)


def test_given_evidence_is_used() -> None:
    net = sq.load("simple_cnn")
    spec = sq.CompressionSpec(activations=sq.ActivationSpec(8))
    inputs = torch.randn(50, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    evidence = sq.Evidence(calibration=observe(net.module, inputs))
    own, default = sq.compress(net, spec, evidence), sq.compress(net, spec)
    assert own.layers[0].inputs != default.layers[0].inputs
    assert sq.compress(net.module, spec, evidence).layers[0].inputs == own.layers[0].inputs


def test_a_plain_module_without_evidence_is_refused_with_the_reason() -> None:
    with pytest.raises(ValueError, match="activations"):
        sq.compress(sq.load("simple_cnn").module, sq.CompressionSpec(activations=sq.ActivationSpec(8)))


def test_a_plain_module_has_no_normalization_and_no_file(tmp_path: Path, test_images: ImageSet) -> None:
    module = sq.load("simple_cnn").module
    small = sq.compress(module, HALF_AT_4_BITS)
    for network in (module, small):
        with pytest.raises(ValueError, match=r"give one of sq\.NORMALIZATIONS"):
            sq.evaluate(network, test_images[:10])
        normalization = sq.NORMALIZATIONS["cifar10"]
        assert sq.evaluate(network, test_images[:100], normalization).accuracy > 0.6
    with pytest.raises(ValueError, match="SimpleCNN was given as a plain module"):
        sq.save(small, tmp_path / "small.safetensors")
    with pytest.raises(ValueError, match="SimpleCNN was given as a plain module"):
        sq.ledger(small)


def test_a_network_of_ones_own_is_evaluated_and_exported_like_the_others(test_images: ImageSet) -> None:
    module = sq.load("simple_cnn").module
    mine = sq.FloatModel("mine", module, sq.NORMALIZATIONS["cifar10"])
    small = sq.compress(mine, HALF_AT_4_BITS)
    assert sq.evaluate(small, test_images[:500]).accuracy > 0.7
    assert sq.to_onnx(small)


def test_an_unknown_split_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="split must be one of test, train, got 'validation'"):
        sq.load_images("validation")


def test_torch_can_prune_every_network_that_is_returned(tmp_path: Path, test_images: ImageSet) -> None:
    """torch.nn.utils.prune views each weight as one row, which it cannot do in channels-last layout."""
    net = sq.load("simple_cnn")
    torch.save(net.module.state_dict(), tmp_path / "mine.pth")
    small = sq.compress(net, sq.CompressionSpec(weights=sq.QuantSpec(4)))
    sq.save(small, tmp_path / "small.safetensors")
    assert sq.load_checkpoint(tmp_path / "small.safetensors", test_images[:10]).normalization == net.normalization
    networks = [
        net.module,
        small.module,
        sq.load_checkpoint(tmp_path / "mine.pth", net.normalization).module,
        sq.load_checkpoint(tmp_path / "small.safetensors", net.normalization).module,
        sq.load_compressed(tmp_path / "small.safetensors").module,
    ]
    for module in networks:
        layer = module.get_submodule("conv2")
        prune.l1_unstructured(layer, "weight", 0.5)
        assert float((layer.weight == 0).float().mean()) >= 0.5


def test_the_layout_of_weights_changes_no_prediction(test_images: ImageSet) -> None:
    spec = sq.CompressionSpec(weights=sq.QuantSpec(3, "k-means"), prune=sq.PruneSpec(sparsity=0.5))
    planes, channels_last = sq.load("resnet20"), load_bundled("resnet20")
    assert planes.module.conv1.weight.is_contiguous()
    assert not channels_last.module.conv1.weight.is_contiguous()
    evaluations = [sq.evaluate(sq.compress(each, spec), test_images[:250]) for each in (planes, channels_last)]
    assert torch.equal(evaluations[0].predictions, evaluations[1].predictions)
    assert evaluations[0].loss_sum == pytest.approx(evaluations[1].loss_sum, rel=1e-5)
