"""The command line: the numbers of the package, one JSON object, and one sentence where something is wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from compression import data
from compression.__main__ import main
from compression.cifar10 import TEST
from compression.compress import compress
from compression.data import ImageSet
from compression.evaluate import evaluate
from compression.models import zoo
from compression.operations import layer_macs
from compression.size import measure
from compression.spec import CompressionSpec, LayerSpec, PruneSpec, QuantSpec

Captured = pytest.CaptureFixture[str]
KEYS = {
    "model",
    "spec",
    "images",
    "correct",
    "accuracy",
    "float_accuracy",
    "weights",
    "nonzero",
    "sparsity",
    "size_bytes",
}


def run(project: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, without data but for what `environment` names."""
    kept = {name: value for name, value in os.environ.items() if name not in ("CIFAR10_ROOT", "PYTHONPATH")}
    return subprocess.run(
        [sys.executable, "-m", "compression", *arguments],
        cwd=project,
        env=kept | environment,
        capture_output=True,
        text=True,
    )


def json_of(capsys: Captured, *arguments: str) -> dict:
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


# ---- models


def test_models_are_told_with_their_sizes_and_accuracies(capsys: Captured) -> None:
    rows = {row["model"]: row for row in json_of(capsys, "models")["models"]}
    assert list(rows) == zoo.bundled()
    for name, row in rows.items():
        model = zoo.load_bundled(name)
        assert row["parameters"] == model.parameters
        assert row["macs"] == sum(layer_macs(model.module).values())
        assert row["accuracy"] == model.accuracy


def test_models_read_well_too(capsys: Captured) -> None:
    assert main(["models"]) == 0
    assert "simple_cnn     268,650 parameters" in capsys.readouterr().out


# ---- evaluate


@pytest.mark.parametrize(
    ("options", "spec"),
    [
        ("", CompressionSpec("simple_cnn")),
        ("--bits 4", CompressionSpec("simple_cnn", weights=QuantSpec(4))),
        (
            "--bits 5 --scheme affine --granularity tensor --sparsity 0.5 --scope layer",
            CompressionSpec("simple_cnn", PruneSpec(sparsity=0.5, scope="layer"), QuantSpec(5, "affine", "tensor")),
        ),
        ("--threshold 0.02", CompressionSpec("simple_cnn", PruneSpec(threshold=0.02))),
        (
            "--layer fc1=bits:4,sparsity:0.5 --layer conv1=bits:32 --bits 8",
            CompressionSpec("simple_cnn", None, QuantSpec(8), (LayerSpec("fc1", 4, 0.5), LayerSpec("conv1", 32))),
        ),
    ],
    ids=["float", "bits", "all", "threshold", "layers"],
)
def test_evaluate_prints_what_the_package_computes(
    options: str, spec: CompressionSpec, capsys: Captured, simple_cnn: zoo.FloatModel, test_images: ImageSet
) -> None:
    found = json_of(capsys, "evaluate", "--model", "simple_cnn", "--images", "250", *options.split())
    compressed = compress(simple_cnn.module, spec)
    size = measure(compressed)
    before, after = (
        evaluate(module, test_images[:250], simple_cnn.normalization)
        for module in (simple_cnn.module, compressed.module)
    )
    assert found.keys() >= KEYS
    assert found["spec"] == json.loads(spec.to_json())
    assert (found["model"], found["images"], found["correct"]) == ("simple_cnn", 250, after.correct)
    assert (found["accuracy"], found["float_accuracy"]) == (after.accuracy, before.accuracy)
    assert found["interval"] == list(after.interval)
    assert (found["weights"], found["nonzero"]) == (compressed.weights, compressed.nonzero)
    assert found["sparsity"] == compressed.sparsity
    assert (
        found["size_bytes"].items()
        >= {
            "float32": size.float32,
            "dense": size.dense.total,
            "sparse": size.sparse.total,
            "best": size.best.total,
        }.items()
    )


def test_a_layer_alone_touches_that_layer_only(capsys: Captured, test_images: ImageSet) -> None:
    found = json_of(
        capsys, "evaluate", "--model", "simple_cnn", "--images", "125", "--layer", "fc2=bits:4,sparsity:0.5"
    )
    weights = 128 * 10
    assert found["weights"] - found["nonzero"] >= weights // 2
    assert found["size_bytes"]["float32"] - found["size_bytes"]["dense"] == weights * 4 - weights // 2 - 10 * 4


def test_evaluate_reads_well_too(capsys: Captured, test_images: ImageSet) -> None:
    assert main(["evaluate", "--model", "simple_cnn", "--bits", "8", "--images", "125"]) == 0
    out = capsys.readouterr().out
    assert "of 125 test images (95 % interval" in out
    assert "times smaller" in out


@pytest.mark.parametrize("normalization", [[], ["--normalization", "imagenet"]], ids=["found", "given"])
def test_a_public_checkpoint_is_evaluated(
    normalization: list[str], capsys: Captured, public_checkpoint: Path, test_images: ImageSet
) -> None:
    arguments = ["--checkpoint", str(public_checkpoint), "--arch", "resnet20", "--images", "125", *normalization]
    found = json_of(capsys, "evaluate", *arguments)
    assert found["model"] == public_checkpoint.stem
    assert found["normalization"] == "imagenet"
    assert found["accuracy"] == found["float_accuracy"] > 0.85


# ---- what is wrong is told in one sentence


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("evaluate --model resnet21", "there is no network 'resnet21'; there are"),
        ("evaluate --model simple_cnn --bits 1", "bits must be a whole number in 2..16, got 1: one bit leaves"),
        ("evaluate --model simple_cnn --bits 33", "bits must be a whole number in 2..16, got 33"),
        ("evaluate --model simple_cnn --bits 4 --scheme cubic", "scheme must be one of symmetric, affine, got 'cubic'"),
        ("evaluate --model simple_cnn --bits 4 --granularity row", "granularity must be one of tensor, channel"),
        ("evaluate --model simple_cnn --scheme affine", "--scheme says how to quantize; give --bits too"),
        ("evaluate --model simple_cnn --threshold 0.1 --sparsity 0.5", "a threshold or a sparsity target, not both"),
        ("evaluate --model simple_cnn --threshold -1", "threshold must be a number of at least 0"),
        ("evaluate --model simple_cnn --threshold 0.1 --scope layer", "the same in every layer"),
        ("evaluate --model simple_cnn --sparsity 1.5", "sparsity must be in 0..1, got 1.5"),
        ("evaluate --model simple_cnn --sparsity nan", "sparsity must be in 0..1, got nan"),
        ("evaluate --model simple_cnn --scope layer", "a threshold or a sparsity target, and got neither"),
        ("evaluate --model simple_cnn --layer fc3=bits:4", "no convolution or linear layer 'fc3'; the nearest is 'fc"),
        ("evaluate --model simple_cnn --layer fc1", "--layer takes NAME=bits:4,sparsity:0.5, got 'fc1'"),
        ("evaluate --model simple_cnn --layer fc1=bits:x", "--layer takes NAME=bits:4,sparsity:0.5"),
        ("evaluate --model simple_cnn --layer fc1=colour:4", "--layer takes NAME=bits:4,sparsity:0.5"),
        ("evaluate --model simple_cnn --layer fc1=bits:1", "bits must be a whole number in 2..16, got 1"),
        ("evaluate --model simple_cnn --layer fc1=bits:4 --layer fc1=bits:8", "layer fc1 is given twice"),
        ("evaluate --model simple_cnn --images 0", "--images must be in 1..10,000, got 0"),
        ("evaluate --model simple_cnn --images 10001", "--images must be in 1..10,000, got 10001"),
        ("evaluate --model simple_cnn --arch resnet20", "--arch and --normalization belong to --checkpoint"),
        ("evaluate --checkpoint nowhere.th --arch resnet20 --normalization mnist", "--normalization must be one of"),
        ("evaluate --checkpoint nowhere.th --arch resnet20 --normalization none", "there is no file nowhere.th"),
        ("train alexnet", "there is no recipe 'alexnet'; there are"),
        ("train simple_cnn --epochs 0", "epochs and batch_size must be at least 1, got 0"),
    ],
)
def test_what_is_wrong_is_told_in_one_sentence(arguments: str, words: str, capsys: Captured) -> None:
    assert main(arguments.split()) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert words in captured.err


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "compress",
        "evaluate",
        "evaluate --model a --checkpoint b",
        "evaluate --model simple_cnn --bits four",
        "train",
    ],
)
def test_what_is_no_command_ends_with_status_2(arguments: str, capsys: Captured) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments.split())
    assert ended.value.code == 2
    assert "error: " in capsys.readouterr().err.splitlines()[-1]


# ---- in a process of its own, far from any data


def one_sentence(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: ")
    return done.stderr


@pytest.mark.parametrize("arguments", ["evaluate --model simple_cnn --bits 4", "train simple_cnn"])
def test_without_data_the_reader_is_told_how_to_get_it(arguments: str, copied_project: Path) -> None:
    assert "python -m compression data --download" in one_sentence(run(copied_project, *arguments.split()))


def test_data_tells_that_there_is_none(copied_project: Path) -> None:
    done = run(copied_project, "data", "--json")
    assert "there are no CIFAR-10 test images here" in one_sentence(done)
    found = json.loads(done.stdout)
    assert (found["test"]["images"], found["train"]["images"]) == (0, 0)


def test_data_tells_what_is_wrong_with_it(copied_project: Path, tmp_path: Path) -> None:
    (tmp_path / "test_batch").write_bytes(b"nonsense")
    done = run(copied_project, "data", CIFAR10_ROOT=str(tmp_path))
    assert "test_batch is not a whole CIFAR-10 batch" in one_sentence(done)


def test_data_tells_what_was_found_and_where(copied_project: Path, tmp_path: Path) -> None:
    files = sorted((data.PROJECT.parent / "shared" / "cifar10" / "plain_text").glob("test-*.parquet"))
    if not files:
        pytest.skip("there is no Parquet copy of CIFAR-10 beside the project, in shared/cifar10")
    for file in files:
        (tmp_path / file.name).symlink_to(file)
    done = run(copied_project, "data", "--json", CIFAR10_ROOT=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["test"] == {"images": TEST.images, "source": f"Parquet in {tmp_path}"}
    assert found["cache"] == str(copied_project / "data")
