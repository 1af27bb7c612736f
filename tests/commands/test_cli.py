"""The command line: the numbers of the package, one JSON object, and one sentence where something is wrong."""

import argparse
import contextlib
import hashlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import safetensors.torch
import torch

from compression.__main__ import main
from compression.commands.shared import file_formats
from compression.commands.shared.arguments import COMMANDS, parser
from compression.commands.shared.inputs import named_network, network_and_spec
from compression.commands.shared.json_text import to_json
from compression.commands.shared.spec_options import add_spec_arguments, recovery_from, spec_from
from compression.commands.sweep import specs_from
from compression.core import bundled_calibrations
from compression.core.compress import compress
from compression.core.training_evidence import evidence_for, observe_training_sample, training_sample
from compression.data import images as data
from compression.data.cifar10 import SPLITS, TEST
from compression.data.images import ImageSet
from compression.deploy.runtime import count_kernels, logits, open_session
from compression.engine.cluster import Engine
from compression.errors import DataMissing
from compression.evaluation.evaluation import evaluate
from compression.experiments.scan import IMAGES as SCAN_IMAGES
from compression.experiments.search.searcher import TRIALS
from compression.files.ledger import encode_file
from compression.files.packed_file import fingerprint
from compression.files.packed_reader import load_compressed
from compression.files.size import count_bytes
from compression.library import catalog
from compression.library.recovered import recovered_names
from compression.networks.architectures.table import ARCHITECTURES
from compression.networks.bundled import bundled_names, load_bundled
from compression.networks.macs import layer_macs
from compression.networks.model import FloatModel
from compression.networks.normalization import NORMALIZATIONS
from compression.networks.public import PUBLIC, RELEASES
from compression.paths import PROJECT
from compression.results.landscape import read_landscape
from compression.results.store import Key, Store
from compression.results.table import SUFFIXES
from compression.spec import ActivationSpec, CompressionSpec, LayerSpec, PruneSpec, QuantSpec
from compression.spec.recipe import from_json
from compression.training.recipe import RECIPES
from tests.support.hub import Hub, files
from tests.support.session import CommandSession, command_session, without_data

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


@pytest.fixture(scope="module")
def stranger(copied_project: Path) -> Iterator[CommandSession]:
    """Runs commands without data, except for what the environment of a command names."""
    with command_session(copied_project) as session:
        yield session


def json_of(capsys: Captured, *arguments: str) -> dict:
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


# ---- models


@pytest.fixture(scope="module")
def all_rows() -> list[dict]:
    """The rows of `models --json`, which decodes all networks that are here."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert main(["models", "--json"]) == 0
    return json.loads(out.getvalue())["models"]


def test_models_lists_local_networks_with_their_sizes_and_accuracies(all_rows: list[dict]) -> None:
    rows = {row["model"]: row for row in all_rows if row["here"]}
    assert list(rows) == catalog.network_names()
    for name, row in rows.items():
        model = catalog.load_network(name)
        assert row["parameters"] == model.parameters
        assert row["macs"] == sum(layer_macs(model.module, model.example).values())
        assert row["accuracy"] == model.accuracy
        assert row["normalization"] == model.normalization.name
        assert row["public"] == (name in PUBLIC)


def test_models_lists_public_networks_that_can_be_fetched(all_rows: list[dict]) -> None:
    rows = {row["model"]: row for row in all_rows if not row["here"]}
    assert list(rows) == [name for name in PUBLIC if name not in catalog.network_names()]
    for name, row in rows.items():
        assert (row["parameters"], row["macs"], row["public"]) == (None, None, True)
        assert row["accuracy"] == PUBLIC[name].accuracy


def test_models_without_json_prints_a_line_per_network(stranger: CommandSession, tmp_path: Path) -> None:
    lines = stranger.run("models").stdout.splitlines()
    assert [line.split()[0] for line in lines] == [*bundled_names(), *recovered_names(tmp_path), *PUBLIC]
    [bundled] = [line for line in lines if line.startswith("simple_cnn ")]
    assert "268,650 parameters" in bundled
    [missing] = [line for line in lines if line.startswith("cifar10_vgg16_bn ")]
    assert "not fetched" in missing
    assert missing.endswith("94.16% on CIFAR-10's 10,000 test images, as published")


def test_a_fetched_public_network_can_be_used_like_the_others(hub: Hub, copied_project: Path, tmp_path: Path) -> None:
    """The commands run in a copied project whose table names another server and another file."""
    file = io.BytesIO()
    torch.save(ARCHITECTURES["resnet20"].make().state_dict(), file)
    hub.content = file.getvalue()
    digits = hashlib.sha256(hub.content).hexdigest()[:8]
    without_gallery = shutil.ignore_patterns("recovered")  # networks that `models` would decode
    shutil.copytree(copied_project / "compression", tmp_path / "compression", ignore=without_gallery)
    table = tmp_path / "compression" / "networks" / "public.py"
    table.write_text(
        table.read_text(encoding="utf-8").replace(RELEASES, hub.url).replace("4118986f", digits), encoding="utf-8"
    )
    name = "cifar10_resnet20"
    with command_session(tmp_path) as project:
        sentence = one_sentence(project.run("evaluate", "--model", name))
        assert f"fetch it with `python -m compression models --fetch {name}`" in sentence
        process = project.run("models", "--fetch", name)
        assert process.stdout.split()[:3] == [name, "272,474", "parameters"]
        assert files(tmp_path / "data") == [f"{name}-{digits}.pt"]
        rows = {row["model"]: row for row in json.loads(project.run("models", "--json").stdout)["models"]}
        assert (rows[name]["here"], rows[name]["parameters"]) == (True, 272_474)
        needs_images = one_sentence(project.run("evaluate", "--model", name))
    assert "there are no CIFAR-10 test images here" in needs_images
    assert len(hub.requests) == 1


def test_fetching_without_a_server_prints_one_sentence(nobody: str, stranger: CommandSession) -> None:
    process = stranger.run("models", "--fetch", "cifar10_resnet20", https_proxy=nobody, no_proxy="")
    assert "cannot be reached (Connection refused)" in one_sentence(process)
    assert process.stdout == ""


# ---- evaluate


@pytest.mark.parametrize(
    ("options", "spec"),
    [
        ("", CompressionSpec("simple_cnn")),
        ("--bits 4", CompressionSpec("simple_cnn", weights=QuantSpec(4))),
        ("--scheme ternary", CompressionSpec("simple_cnn", weights=QuantSpec(2, "ternary"))),
        (
            "--bits 5 --scheme affine --granularity tensor --sparsity 0.5 --scope layer",
            CompressionSpec("simple_cnn", PruneSpec(sparsity=0.5, scope="layer"), QuantSpec(5, "affine", "tensor")),
        ),
        ("--threshold 0.02", CompressionSpec("simple_cnn", PruneSpec(threshold=0.02))),
        ("--threshold 0.5 --unit stds", CompressionSpec("simple_cnn", PruneSpec(threshold=0.5, unit="stds"))),
        (
            "--sparsity 0.3 --criterion l2 --structure filter",
            CompressionSpec("simple_cnn", PruneSpec(sparsity=0.3, criterion="l2", structure="filter")),
        ),
        ("--structure 1:4", CompressionSpec("simple_cnn", PruneSpec(structure="n:m", pattern=(1, 4)))),
        (
            "--sparsity 0.1 --criterion random --seed 3",
            CompressionSpec("simple_cnn", PruneSpec(sparsity=0.1, criterion="random", seed=3)),
        ),
        ("--steps-per-unit 64", CompressionSpec("simple_cnn", weights=QuantSpec(16, "step", step=2.0**-6))),
        (
            "--bits 4 --granularity group --group-size 32 --clip stds --clip-at 4 --only linear --skip-ends",
            CompressionSpec(
                "simple_cnn", None, QuantSpec(4, "symmetric", "group", "stds", 4, 32, None, "linear", True)
            ),
        ),
        (
            "--layer fc1=bits:4,sparsity:0.5 --layer conv1=bits:32 --bits 8",
            CompressionSpec("simple_cnn", None, QuantSpec(8), (LayerSpec("fc1", 4, 0.5), LayerSpec("conv1", 32))),
        ),
        (
            "--bits 8 --activation-bits 3 --calibration kl --fold-bn --order quantize-first",
            CompressionSpec(
                "simple_cnn",
                weights=QuantSpec(8),
                fold_bn=True,
                activations=ActivationSpec(3, "kl"),
                order="quantize-first",
            ),
        ),
    ],
)
def test_evaluate_prints_what_the_package_computes(
    options: str, spec: CompressionSpec, capsys: Captured, simple_cnn: FloatModel, test_images: ImageSet
) -> None:
    report = json_of(capsys, "evaluate", "--model", "simple_cnn", "--images", "250", *options.split())
    compressed = compress(simple_cnn.module, spec, evidence_for(simple_cnn, spec))
    size = count_bytes(compressed)
    before, after = (
        evaluate(module, test_images[:250], simple_cnn.normalization)
        for module in (simple_cnn.module, compressed.module)
    )
    assert report.keys() >= KEYS
    assert report["spec"] == json.loads(spec.to_json())
    assert (report["model"], report["images"], report["correct"]) == ("simple_cnn", 250, after.correct)
    assert (report["accuracy"], report["float_accuracy"]) == (after.accuracy, before.accuracy)
    assert report["interval"] == list(after.interval)
    assert (report["weights"], report["nonzero"]) == (compressed.weights, compressed.nonzero)
    assert report["sparsity"] == compressed.sparsity
    assert (
        report["size_bytes"].items()
        >= {
            "float32": size.float32,
            "dense": size.dense.total,
            "sparse": size.sparse.total,
        }.items()
    )
    content, file = encode_file(compressed, simple_cnn)
    assert (report["size_bytes"]["coded"], report["size_bytes"]["file"]) == (file.coded, len(content))
    assert report["size_bytes"]["best"] == len(content)
    assert report["size_bytes"]["in_memory"] == size.best.total


@pytest.mark.parametrize(
    ("options", "spec"),
    [
        ("--reestimate-bn", CompressionSpec("m", reestimate_bn=True)),
        (
            "--bits 3 --rounding compensated --correct-bias --repair-activations",
            CompressionSpec(
                "m", weights=QuantSpec(3), rounding="compensated", correct_bias=True, repair_activations=True
            ),
        ),
        (
            "--sparsity 0.5 --reconstruct --fold-bn --equalize",
            CompressionSpec("m", PruneSpec(sparsity=0.5), fold_bn=True, reconstruct=True, equalize=True),
        ),
        (
            "--sparsity 0.5 --criterion taylor --structure filter --scope layer",
            CompressionSpec("m", PruneSpec(None, 0.5, "layer", criterion="taylor", structure="filter")),
        ),
        (
            "--threshold 0 --criterion signed --unit means",
            CompressionSpec("m", PruneSpec(0, unit="means", criterion="signed")),
        ),
    ],
)
def test_options_give_the_spec_that_they_name(options: str, spec: CompressionSpec) -> None:
    parser = argparse.ArgumentParser()
    add_spec_arguments(parser)
    assert spec_from(parser.parse_args(["--model", "m", *options.split()]), "m") == spec


def test_a_sweep_recovers_the_accuracy_of_all_but_the_float_network() -> None:
    options = "sweep --model m --bits float,3 --rounding compensated --correct-bias --out t.csv"
    float_spec, three_bits = specs_from(parser().parse_args(options.split()))
    assert float_spec == CompressionSpec("m")
    assert three_bits == CompressionSpec("m", weights=QuantSpec(3), rounding="compensated", correct_bias=True)


def test_a_search_takes_the_steps_that_recover_accuracy() -> None:
    options = "search --model m --drop 1 --rounding learned --equalize"
    assert recovery_from(parser().parse_args(options.split())) == {"rounding": "learned", "equalize": True}
    options = "search --model m --drop 1 --rounding rate-aware --rate-penalty 0.5"
    assert recovery_from(parser().parse_args(options.split())) == {"rounding": "rate-aware", "rate_penalty": 0.5}
    with pytest.raises(ValueError, match="rounding must be one of nearest, compensated, learned, rate-aware, got 'up'"):
        recovery_from(parser().parse_args(["search", "--model", "m", "--drop", "1", "--rounding", "up"]))


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ("--rounding compensated", "add --bits"),
        ("--bits 4 --reconstruct", "add --sparsity"),
        ("--bits 4 --rounding compensated --rate-penalty 1", "add --rounding rate-aware"),
        ("--bits 4 --rounding rate-aware --rate-penalty 0", "above 0, got 0.0"),
        ("--bits 4 --sample-images 4000", "add --rounding or --reestimate-bn"),
        ("--bits 4 --correct-bias --sample-images 0", "a whole number above 0, got 0"),
    ],
)
def test_options_that_would_have_no_effect_are_refused(options: str, problem: str) -> None:
    parser = argparse.ArgumentParser()
    add_spec_arguments(parser)
    with pytest.raises(ValueError, match=problem):
        spec_from(parser.parse_args(["--model", "m", *options.split()]), "m")


def test_settings_of_a_layer_change_only_that_layer(capsys: Captured, test_images: ImageSet) -> None:
    report = json_of(
        capsys, "evaluate", "--model", "simple_cnn", "--images", "125", "--layer", "fc2=bits:4,sparsity:0.5"
    )
    weights = 128 * 10
    assert report["weights"] - report["nonzero"] >= weights // 2
    assert report["size_bytes"]["float32"] - report["size_bytes"]["dense"] == weights * 4 - weights // 2 - 10 * 4


def test_evaluate_without_json_prints_the_same_numbers(capsys: Captured, test_images: ImageSet) -> None:
    assert main(["evaluate", "--model", "simple_cnn", "--bits", "8", "--images", "125"]) == 0
    out = capsys.readouterr().out
    assert "on 125 test images (95 % confidence interval" in out
    assert "times smaller" in out


def test_the_architecture_and_normalization_of_a_checkpoint_are_recognised(
    capsys: Captured, public_checkpoint: Path, test_images: ImageSet, few_trial_images: None
) -> None:
    report = json_of(capsys, "evaluate", "--checkpoint", str(public_checkpoint), "--images", "125")
    assert report["model"] == public_checkpoint.stem
    assert report["recognised"].startswith("ResNet-20 with shortcuts without parameters (option A), 269,722 parameters")
    assert {trial["normalization"] for trial in report["tried"]} == set(NORMALIZATIONS)
    assert report["normalization"] == report["tried"][0]["normalization"] == "imagenet"
    assert report["normalization_split"] == "test"
    assert report["stated"] == {"best_prec1": pytest.approx(0.9178)}
    assert report["stated_verdict"]["name"] == "best_prec1"
    assert report["accuracy"] == report["float_accuracy"] > 0.85


def test_a_given_normalization_is_used_without_a_trial(
    capsys: Captured, public_checkpoint: Path, test_images: ImageSet
) -> None:
    arguments = ["--checkpoint", str(public_checkpoint), "--arch", "resnet20", "--images", "125"]
    report = json_of(capsys, "evaluate", *arguments, "--normalization", "half")
    assert report["normalization"] == "half"
    assert "tried" not in report
    assert "“linear” read as “fc”" in report["recognised"]


def test_evaluate_without_json_names_the_recognised_architecture_and_normalization(
    capsys: Captured, public_checkpoint: Path, test_images: ImageSet, few_trial_images: None
) -> None:
    assert main(["evaluate", "--checkpoint", str(public_checkpoint), "--images", "125"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("network   ResNet-20 with shortcuts without parameters (option A), 269,722 parameters")
    assert lines[2].startswith("tried     imagenet 9")
    assert lines[3].startswith("found     The normalisation is uncertain: the mean loss on 500 test images is ")
    assert re.search(r" with imagenet, and \S+ with cifar10 \(difference ", lines[3])
    assert lines[4] == "          --normalization NAME chooses another one."
    assert any(line.startswith("stated    The file says 91.78 % (best_prec1), counted ") for line in lines)


def test_a_bundled_network_is_not_recognised_again(capsys: Captured, test_images: ImageSet) -> None:
    report = json_of(capsys, "evaluate", "--model", "simple_cnn", "--images", "125")
    assert not {"recognised", "tried"} & set(report)


def test_evaluate_removes_zero_filters_and_reports_the_verification(capsys: Captured, test_images: ImageSet) -> None:
    options = "evaluate --model simple_cnn --images 125 --fold-bn --merge 0.5 --layer conv1=sparsity:1"
    report = json_of(capsys, *options.split())
    assert report["spec"]["merge"] == 0.5
    assert report["merged"]["layers"] == {"conv1": [16, 8], "conv2": [32, 16], "fc1": [128, 64], "fc2": [10, 10]}
    assert report["merged"]["errors"].keys() == {"conv1", "conv2", "fc1"}
    assert report["merged"]["answer_error"] > 0
    assert report["removed"]["before"] == report["merged"]["after"]
    assert report["removed"]["remaining"] == [
        {"layer": "conv1", "channels": 8, "why": "its bias makes their outputs nonzero constants"}
    ]
    (warning, *_) = report["warnings"]
    assert warning.startswith("All weights of layer conv1 are zero, so the network gives every image the same answer")
    assert main(options.split()) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"warning   {warning}" in lines
    assert lines[-3].startswith("merged    88 of 176 filters: MACs 1,885,440 -> 582,272, outputs differ by at most ")
    assert lines[-2].startswith("removable 0 of 88 filters: MACs 582,272 -> 582,272, outputs differ by at most 0 on ")
    assert lines[-1] == "remain    8 channels of conv1: its bias makes their outputs nonzero constants"


def test_evaluate_without_zero_filters_reports_no_removal(capsys: Captured, test_images: ImageSet) -> None:
    assert not {"removed", "merged"} & set(json_of(capsys, "evaluate", "--model", "simple_cnn", "--images", "125"))


def test_evaluating_all_images_reports_lost_and_won_images(
    capsys: Captured, simple_cnn: FloatModel, test_images: ImageSet
) -> None:
    report = json_of(capsys, "evaluate", "--model", "simple_cnn", "--bits", "3", "--images", "1000")
    module = compress(simple_cnn.module, CompressionSpec("simple_cnn", weights=QuantSpec(3))).module
    few = test_images[:1000]
    before, after = (evaluate(m, few, simple_cnn.normalization).right for m in (simple_cnn.module, module))
    assert report["exact"] is True
    assert report["mcnemar"]["lost"] == int((before & ~after).sum()) > 0
    assert report["mcnemar"]["won"] == int((after & ~before).sum())
    assert main(["evaluate", "--model", "simple_cnn", "--bits", "3", "--images", "1000"]) == 0
    assert f"{report['mcnemar']['lost']:,} images lost" in capsys.readouterr().out


def test_a_stored_evaluation_needs_no_worker(capsys: Captured, here: Engine, test_images: ImageSet) -> None:
    first = json_of(capsys, "evaluate", "--model", "simple_cnn", "--bits", "4", "--images", "500")
    here.close()
    assert json_of(capsys, "evaluate", "--model", "simple_cnn", "--bits", "4", "--images", "500") == first
    assert here.worker_pids == []


def test_ctrl_c_leaves_an_estimate_with_its_interval(test_images: ImageSet) -> None:
    """As in a terminal, the signal goes to the whole process group. The float network was evaluated before.

    A process in the background of a shell ignores Ctrl-C, and so would those that it starts. The count of this network
    takes seconds, so that it does not end before the signal comes.
    """
    model = load_bundled("resnet20")
    as_float = CompressionSpec("resnet20")
    before, whole = map(read_landscape(model).get, (as_float, CompressionSpec("resnet20", weights=QuantSpec(4))))
    assert before
    Store().put(Key.of(model, as_float), before.evaluation)
    command = [sys.executable, "-m", "compression", "evaluate", "--model", "resnet20", "--bits", "4", "--json"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    hearing = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(command, cwd=PROJECT, **pipes, start_new_session=True, preexec_fn=hearing)
    output = ""
    while not re.search(r"compressed: .* ± ", output):
        character = process.stderr.read(1)
        assert character, f"the count ended before an estimate was printed: {output}"
        output += character
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.endswith("stopped\n")
    assert "Traceback" not in err
    report = json.loads(out)
    assert report["exact"] is False
    assert 0 < report["correct"] < report["images"] < 10_000
    low, high = report["interval"]
    assert low < report["accuracy"] < high
    assert whole
    assert low < whole.evaluation.accuracy < high
    assert report["float_accuracy"] == model.accuracy
    assert report["top5"] is None


# ---- export


def test_an_exported_file_decodes_to_the_compressed_network(
    capsys: Captured, simple_cnn: FloatModel, tmp_path: Path
) -> None:
    path = tmp_path / "small.safetensors"
    options = ["--bits", "4", "--sparsity", "0.5", "--structure", "filter", "--layer", "fc2=bits:32"]
    report = json_of(capsys, "export", "--model", "simple_cnn", *options, "--out", str(path))
    prune = PruneSpec(sparsity=0.5, structure="filter")
    spec = CompressionSpec("simple_cnn", prune, QuantSpec(4), (LayerSpec("fc2", bits=32),))
    compressed = compress(simple_cnn.module, spec)
    network = load_compressed(path)
    assert fingerprint(network.module) == fingerprint(compressed.module)
    assert report["spec"] == network.about["spec"] == json.loads(spec.to_json())
    assert report["bytes"] == sum(report["steps_bytes"].values()) == path.stat().st_size
    assert report["decoded_equals_evaluated"] is True
    assert report["codings"].keys() == {"conv1", "conv2", "fc1", "fc2"}


def test_export_without_json_prints_the_same_numbers(capsys: Captured, tmp_path: Path) -> None:
    path = tmp_path / "small.safetensors"
    assert main(["export", "--model", "simple_cnn", "--sparsity", "0.9", "--out", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith(f"bytes     {path.stat().st_size:,}, float32 1,074,600: 18.")
    assert lines[-2].startswith("why       The file is 18.8")
    assert " times smaller than the float32 network. 90 % sparsity would make it 10 times smaller. " in lines[-2]
    assert "smaller than that because entropy coding shortens the codes by 61 %, although 25 % of the file" in lines[-2]
    assert lines[-1] == "verified  read again from the disk: the decoded weights are identical"


def test_an_onnx_file_is_compared_with_pytorch_on_noise_if_there_are_no_images(
    capsys: Captured, simple_cnn: FloatModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIFAR10_ROOT", str(tmp_path))
    monkeypatch.setattr(file_formats, "load", partial(data.load, data=tmp_path))
    monkeypatch.setattr(data, "PROJECT", tmp_path)
    path = tmp_path / "small.onnx"
    report = json_of(capsys, "export", "--model", "simple_cnn", "--bits", "4", "--out", str(path))
    module = compress(simple_cnn.module, CompressionSpec("simple_cnn", weights=QuantSpec(4))).module
    pixels = file_formats.noise_images(simple_cnn).pixels
    answers = logits(open_session(path.read_bytes()), pixels.numpy()).argmax(1)
    expected = module(simple_cnn.normalization(pixels)).argmax(1).numpy()
    assert report["agree"] == int((answers == expected).sum()) >= 0.99 * len(pixels)
    assert (report["images"], report["bytes"]) == (len(pixels), path.stat().st_size)
    assert report["checked_on"] == "images of noise, because there are no test images"
    assert "correct" not in report


def test_the_ending_int8_onnx_exports_int8_and_compares_all_test_images(
    capsys: Captured, simple_cnn: FloatModel, tmp_path: Path, test_images: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = test_images[:2000]
    monkeypatch.setattr(file_formats, "load", lambda: few)
    path = tmp_path / "small.int8.onnx"
    assert main(["export", "--model", "simple_cnn", "--bits", "4", "--out", str(path)]) == 0
    words = capsys.readouterr().out
    assert count_kernels(path.read_bytes()).float32 == 0
    assert "int8      batch norm folded, 8-bit layer inputs" in words
    right = (logits(open_session(path.read_bytes()), few.pixels.numpy()).argmax(1) == few.labels.numpy()).sum()
    assert words.endswith(f" of 2,000 test images as PyTorch does, and {right:,} correctly\n")
    agree = int(re.search(r"ONNX Runtime classifies ([\d,]+)", words)[1].replace(",", ""))
    assert 1_980 < agree <= 2_000


def test_exported_state_dicts_and_recipes_are_read_back_unchanged(
    capsys: Captured, simple_cnn: FloatModel, tmp_path: Path
) -> None:
    spec = CompressionSpec("simple_cnn", weights=QuantSpec(4))
    expected = compress(simple_cnn.module, spec).module.state_dict()
    state, recipe = tmp_path / "small.state.safetensors", tmp_path / "small.json"
    for path, proof in ((state, "same_bits"), (recipe, "same_recipe")):
        report = json_of(capsys, "export", "--model", "simple_cnn", "--bits", "4", "--out", str(path))
        assert report[proof] is True
        assert report["bytes"] == path.stat().st_size
    assert all(torch.equal(value, expected[name]) for name, value in safetensors.torch.load_file(state).items())
    assert from_json(recipe.read_text()) == spec


def test_a_full_disk_gives_a_sentence_and_leaves_no_partial_file(
    capsys: Captured, tmp_path: Path, room_for: Callable[[int], None]
) -> None:
    room_for(10_000)
    assert main(["export", "--model", "simple_cnn", "--bits", "4", "--out", str(tmp_path / "a.safetensors")]) == 2
    assert "a.safetensors cannot be written: File too large" in capsys.readouterr().err
    assert files(tmp_path) == []


# ---- calibrate


def test_calibrate_writes_the_statistics_of_the_inputs_of_layers(
    capsys: Captured, simple_cnn: FloatModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        training_sample(simple_cnn.normalization)
    except DataMissing as error:
        pytest.skip(str(error))
    monkeypatch.setattr(bundled_calibrations, "CALIBRATIONS", tmp_path)
    [row] = json_of(capsys, "calibrate", "simple_cnn")["calibrations"]
    assert row == {
        "model": "simple_cnn",
        "file": str(tmp_path / "simple_cnn.safetensors"),
        "layers": 4,
        "images": 1000,
    }
    report = bundled_calibrations.load_calibration(Path(row["file"]), simple_cnn)
    observed = observe_training_sample(simple_cnn)
    assert list(report) == list(observed)
    for name, stats in observed.items():
        assert (report[name].low, report[name].high) == pytest.approx((stats.low, stats.high), rel=1e-4)


# ---- what is wrong is told in one sentence


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("evaluate --model resnet21", "there is no network 'resnet21'; there are"),
        ("evaluate --model simple_cnn --bits 1", "bits must be a whole number in 2..16, got 1: with one bit"),
        ("evaluate --model simple_cnn --bits 33", "bits must be a whole number in 2..16, got 33"),
        ("evaluate --model simple_cnn --bits 4 --scheme cubic", "scheme must be one of symmetric, affine, min-max"),
        ("evaluate --model simple_cnn --bits 4 --granularity row", "granularity must be one of tensor, channel"),
        ("evaluate --model simple_cnn --bits 4 --step 0.1", "bits of step weights must be 16, the upper limit for its"),
        ("evaluate --model simple_cnn --step 0.1 --granularity channel", "--granularity does not apply to the scheme"),
        ("evaluate --model simple_cnn --step 0.1 --clip kl", "the scheme step takes its step from you"),
        ("evaluate --model simple_cnn --step 1e-9", "need more than 16 bits per weight; give a step of about"),
        ("evaluate --model simple_cnn --steps-per-unit 0", "--steps-per-unit must be a number above 0, got 0.0"),
        ("evaluate --model simple_cnn --scheme step", "the scheme step needs a step"),
        ("evaluate --model simple_cnn --bits 4 --clip-at 3", "the clipping range full takes no number"),
        ("evaluate --model simple_cnn --bits 4 --group-size 32", "a group size needs the granularity group"),
        ("evaluate --model simple_cnn --skip-ends", "--skip-ends applies to quantized weights: add --bits"),
        ("evaluate --model simple_cnn --bits 4 --only norm", "only must be one of conv, linear, got 'norm'"),
        ("evaluate --model simple_cnn --scheme affine", "--scheme applies to quantized weights: add --bits"),
        ("evaluate --model simple_cnn --threshold 0.1 --sparsity 0.5", "a threshold or a sparsity target, not both"),
        ("evaluate --model simple_cnn --threshold -1", "threshold must be a finite number of at least 0, got -1.0"),
        ("evaluate --model simple_cnn --threshold 0.1 --scope layer", "the same in every layer"),
        ("evaluate --model simple_cnn --sparsity 1.5", "sparsity must be in 0..1, got 1.5"),
        ("evaluate --model simple_cnn --sparsity nan", "sparsity must be in 0..1, got nan"),
        ("evaluate --model simple_cnn --scope layer", "a threshold or a sparsity target, got neither"),
        ("evaluate --model simple_cnn --criterion taylor", "a threshold or a sparsity target, got neither"),
        ("evaluate --model simple_cnn --sparsity 0.5 --criterion best", "criterion must be one of l1, l2, random"),
        ("evaluate --model simple_cnn --threshold 0.5 --criterion taylor", "taylor scores have no unit"),
        ("evaluate --model simple_cnn --sparsity 0.5 --structure 2:4", "the structure 2:4 sets the sparsity itself"),
        ("evaluate --model simple_cnn --structure 4:2", "1 <= n < m, got 4:2"),
        ("evaluate --model simple_cnn --sparsity 0.5 --structure row", "structure must be one of weight, n:m, filter"),
        ("evaluate --model simple_cnn --sparsity 0.5 --unit stds", "the unit stds needs a threshold"),
        ("evaluate --model simple_cnn --threshold 1 --unit cm", "unit must be one of absolute, stds, means, got 'cm'"),
        ("evaluate --model simple_cnn --sparsity 0.5 --seed 1", "a seed needs the criterion random"),
        (
            "evaluate --model simple_cnn --sparsity 0.5 --structure filter --criterion bn-scale",
            "bn-scale needs a batch norm after a convolution, and simple_cnn has none",
        ),
        ("evaluate --model simple_cnn --layer fc3=bits:4", "no convolution or linear layer 'fc3'; the nearest is 'fc"),
        ("evaluate --model simple_cnn --layer fc1", "--layer must be of the form NAME=bits:4,sparsity:0.5, got 'fc1'"),
        ("evaluate --model simple_cnn --layer fc1=bits:x", "--layer must be of the form NAME=bits:4,sparsity:0.5"),
        ("evaluate --model simple_cnn --layer fc1=colour:4", "--layer must be of the form NAME=bits:4,sparsity:0.5"),
        ("evaluate --model simple_cnn --layer fc1=bits:1", "bits must be a whole number in 2..16, got 1"),
        ("evaluate --model simple_cnn --layer fc1=bits:4 --layer fc1=bits:8", "layer fc1 is given twice"),
        (
            "evaluate --model simple_cnn --activation-bits 1",
            "activation bits must be a whole number in 2..16, got 1",
        ),
        ("evaluate --model simple_cnn --calibration kl", "--calibration applies to quantized activations: add --act"),
        ("evaluate --model simple_cnn --activation-bits 8 --calibration max", "calibration must be one of min-max, mo"),
        ("evaluate --model resnet20 --bits 8 --order quantize-first", "add --fold-bn and --bits"),
        ("evaluate --model resnet20 --fold-bn --order quantize-first", "add --fold-bn and --bits"),
        ("evaluate --model resnet20 --fold-bn --bits 8 --order any", "order must be one of fold-first, quantize-first"),
        ("export --model simple_cnn --out small.pt", "or .json, got 'small.pt'"),
        ("export --model simple_cnn --out no/where.safetensors", "where.safetensors cannot be written: No such file"),
        ("export --model resnet21 --out small.safetensors", "there is no network 'resnet21'; there are"),
        ("calibrate resnet21", "there is no network 'resnet21'; there are"),
        ("evaluate --model simple_cnn --merge 0.5", "merge needs batch norm folded"),
        ("evaluate --model simple_cnn --merge 1 --fold-bn", "merge must be at least 0 and below 1"),
        ("evaluate --model mobilenetv2 --merge 0.5 --fold-bn", "nothing can be merged"),
        ("evaluate --model simple_cnn --images 0", "--images must be in 1..10,000, got 0"),
        ("evaluate --model simple_cnn --images 10001", "--images must be in 1..10,000, got 10001"),
        (
            "evaluate --model simple_cnn --arch resnet20",
            "--arch applies to --checkpoint; a network of --model has its own",
        ),
        ("evaluate", "give --model, --checkpoint or --recipe"),
        ("evaluate --model simple_cnn --recipe best.json", "--recipe names its network: remove --model"),
        ("search --model simple_cnn --drop 1 --normalization none", "--normalization applies to --checkpoint"),
        ("sensitivity --model simple_cnn --entry model_ema", "--entry applies to --checkpoint"),
        ("sensitivity --checkpoint nowhere.th", "there is no file nowhere.th"),
        ("search --checkpoint nowhere.th --drop 1", "there is no file nowhere.th"),
        ("sweep --checkpoint nowhere.th --out table.csv", "there is no file nowhere.th"),
        ("sweep --out table.csv", "give --model, one name or several separated by commas, --checkpoint or --specs"),
        ("evaluate --checkpoint nowhere.th --arch resnet20 --normalization mnist", "--normalization must be one of"),
        ("evaluate --checkpoint nowhere.th --arch resnet20 --normalization none", "there is no file nowhere.th"),
        ("models --fetch resnet20", "there is no public network 'resnet20'; there are cifar10_resnet20, "),
        ("train alexnet", "there is no recipe 'alexnet'; there are"),
        ("train simple_cnn --epochs 0", "epochs and batch_size must be at least 1, got 0"),
    ],
)
def test_a_wrong_option_gives_one_sentence(arguments: str, words: str, capsys: Captured) -> None:
    assert main(arguments.split()) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("error: ")
    assert output.err.count("\n") == 1
    assert words in output.err


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "compress",
        "evaluate --model a --checkpoint b",
        "evaluate --model simple_cnn --bits four",
        "export --model simple_cnn",
        "evaluate --model simple_cnn --step 1 --steps-per-unit 1",
        "train",
    ],
)
def test_an_unknown_command_ends_with_status_2(arguments: str, capsys: Captured) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments.split())
    assert ended.value.code == 2
    assert "error: " in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    "arguments",
    [
        "search --model simple_cnn --drop 1 --trials 0",
        "landscape --model resnet21",
        "latency --model simple_cnn --images 0",
    ],
)
def test_numbers_and_names_out_of_range_are_refused_before_anything_runs(arguments: str, capsys: Captured) -> None:
    assert main(arguments.split()) == 2
    assert re.match("error: --(trials|model|images) must be ", capsys.readouterr().err)


# ---- help


def help_of(*command: str) -> str:
    """Returns what `--help` prints, on one line."""
    with pytest.raises(SystemExit) as ended, contextlib.redirect_stdout(io.StringIO()) as out:
        main([*command, "--help"])
    assert ended.value.code == 0
    return " ".join(out.getvalue().split())


def test_help_imports_nothing_but_the_standard_library() -> None:
    code = """
import contextlib, io, sys
from compression.__main__ import main
from compression.commands.shared.arguments import COMMANDS, parser
for command in [[], *([name] for name in COMMANDS)]:
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
        main([*command, "--help"])
roots = {name.partition(".")[0] for name in sys.modules}
print(sorted(roots - set(sys.stdlib_module_names) - {"__main__", "compression"}))
"""
    process = subprocess.run([sys.executable, "-S", "-c", code], cwd=PROJECT, capture_output=True, text=True)
    assert (process.returncode, process.stdout, process.stderr) == (0, "[]\n", "")


def test_help_lists_every_command_with_what_it_does() -> None:
    text = help_of()
    folder = PROJECT / "compression" / "commands"
    files = {path.stem for path in folder.glob("*.py")} | {path.parent.name for path in folder.glob("*/__init__.py")}
    assert set(COMMANDS) == files - {"__init__", "shared"}
    for name, command in COMMANDS.items():
        assert f"{name} {command.help}" in text
        assert command.help in help_of(name)


def test_help_quotes_the_values_of_the_code_that_it_does_not_import() -> None:
    *names, last = NORMALIZATIONS
    assert f"of the checkpoint: {', '.join(names)} or {last} (" in help_of("evaluate")
    assert all(ending in help_of("export") for ending in file_formats.FORMATS)
    assert f"one of {', '.join(RECIPES)} " in help_of("train")
    assert f"settings to try (default: {TRIALS})" in help_of("search")
    assert f"test images (default: {SCAN_IMAGES:,})" in help_of("sensitivity")
    assert all(suffix in help_of("sweep") for suffix in SUFFIXES)
    assert f"--download [{{{','.join(SPLITS)}}}]" in help_of("data")


def test_a_command_imports_no_other_command() -> None:
    code = """
import sys
from compression.__main__ import main
main(["models", "--fetch", "nothing"])
print(sorted(name for name in sys.modules if name.startswith("compression.commands.")), "optuna" in sys.modules)
"""
    process = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True)
    shared = ("arguments", "json_text", "progress", "recipe_options", "spec_options")
    names = ("models", "shared", *(f"shared.{name}" for name in shared))
    assert process.stdout == f"{[f'compression.commands.{name}' for name in names]} False\n"


# ---- far from any data


def one_sentence(process: subprocess.CompletedProcess[str]) -> str:
    assert process.returncode == 2
    assert process.stderr.count("\n") == 1
    assert process.stderr.startswith("error: ")
    return process.stderr


def test_a_process_ends_with_the_status_and_the_sentence_of_its_command(copied_project: Path) -> None:
    command = [sys.executable, "-m", "compression", "evaluate", "--model", "simple_cnn", "--bits", "4"]
    process = subprocess.run(command, cwd=copied_project, env=without_data(), capture_output=True, text=True)
    assert "python -m compression data --download" in one_sentence(process)


def test_an_error_for_missing_data_names_the_command_that_downloads_it(stranger: CommandSession) -> None:
    assert "python -m compression data --download" in one_sentence(stranger.run("train", "simple_cnn"))


def test_data_reports_missing_images(stranger: CommandSession) -> None:
    process = stranger.run("data", "--json")
    assert "there are no CIFAR-10 test images here" in one_sentence(process)
    report = json.loads(process.stdout)
    assert (report["test"]["images"], report["train"]["images"]) == (0, 0)


def test_data_reports_what_is_wrong_with_a_copy(stranger: CommandSession, tmp_path: Path) -> None:
    (tmp_path / "test_batch").write_bytes(b"nonsense")
    process = stranger.run("data", CIFAR10_ROOT=str(tmp_path))
    assert "test_batch is not a whole CIFAR-10 batch" in one_sentence(process)


def test_data_reports_the_images_and_their_source(
    stranger: CommandSession, copied_project: Path, tmp_path: Path
) -> None:
    files = sorted((PROJECT.parent / "shared" / "cifar10" / "plain_text").glob("test-*.parquet"))
    if not files:
        pytest.skip("there is no Parquet copy of CIFAR-10 beside the project, in shared/cifar10")
    for file in files:
        (tmp_path / file.name).symlink_to(file)
    process = stranger.run("data", "--json", CIFAR10_ROOT=str(tmp_path))
    shutil.rmtree(copied_project / "data")  # the next command finds no images again
    assert (process.returncode, process.stderr) == (0, "")
    report = json.loads(process.stdout)
    assert report["test"] == {"images": TEST.images, "source": f"Parquet in {tmp_path}"}
    assert report["cache"] == str(copied_project / "data")


# ---- checkpoints in every command, and JSON that any program reads


@pytest.fixture
def state_file(capsys: Captured, tmp_path: Path) -> Path:
    """Returns the state file of a compressed network, as `export` writes it."""
    path = tmp_path / "mine.state.safetensors"
    assert main(["export", "--model", "cnn3", "--bits", "8", "--out", str(path)]) == 0
    capsys.readouterr()
    return path


def test_our_own_exports_are_checkpoints(capsys: Captured, test_images: ImageSet, tmp_path: Path) -> None:
    """A network with batch norm: as a packed file, and as a state file with batch norm folded."""
    reports = []
    for name, options in (("mine.safetensors", []), ("mine.state.safetensors", ["--normalization", "cifar10"])):
        file = str(tmp_path / name)
        json_of(capsys, "export", "--model", "resnet20", "--fold-bn", "--bits", "8", "--out", file)
        reports.append(json_of(capsys, "evaluate", "--checkpoint", file, *options, "--images", "125"))
        assert "batch norm is folded" in reports[-1]["recognised"]
    assert reports[0]["correct"] == reports[1]["correct"] > 100
    assert main(["evaluate", "--checkpoint", str(tmp_path / "mine.safetensors"), "--normalization", "half"]) == 2
    assert "--normalization does not apply to a packed file" in capsys.readouterr().err


def test_a_network_that_is_compressed_already_is_not_called_float(
    capsys: Captured, test_images: ImageSet, tmp_path: Path
) -> None:
    file = str(tmp_path / "mine.safetensors")
    json_of(capsys, "export", "--model", "simple_cnn", "--bits", "4", "--out", file)
    for network, word in ((["--checkpoint", file], "stored"), (["--model", "simple_cnn"], "float")):
        assert main(["evaluate", *network, "--sparsity", "0.5", "--images", "125"]) == 0
        assert re.search(rf"^accuracy .*\), {word} \d", capsys.readouterr().out, re.MULTILINE)
        assert main(["sensitivity", *network, "--sparsity", "0.5", "--images", "125"]) == 0
        assert re.search(rf"^{word} \d.* on the first 125 test images", capsys.readouterr().out, re.MULTILINE)


def test_sensitivity_and_sweep_take_a_checkpoint(
    capsys: Captured, test_images: ImageSet, state_file: Path, tmp_path: Path
) -> None:
    network = ["--checkpoint", str(state_file), "--arch", "cnn3", "--normalization", "cifar10"]
    scan = json_of(capsys, "sensitivity", *network, "--bits", "4", "--images", "125")
    assert (scan["model"], scan["exact"]) == ("mine.state", True)
    assert {cell["layer"] for cell in scan["cells"]} == {"conv1", "conv2", "conv3", "fc1", "fc2"}
    table = json_of(capsys, "sweep", *network, "--bits", "4", "--images", "125", "--out", str(tmp_path / "table.csv"))
    assert (table["results"], table["failures"]) == (2, {})  # the float network, and the one of 4 bits
    assert "mine.state" in (tmp_path / "table.csv").read_text()


def test_json_has_no_number_that_is_none() -> None:
    values = {"loss": float("nan"), "all": [float("inf"), 1.5, (2, -float("inf"))], "name": "NaN"}
    assert to_json(values) == '{"loss": null, "all": [null, 1.5, [2, null]], "name": "NaN"}'


def test_a_network_whose_outputs_are_no_numbers_has_no_loss_in_json(
    capsys: Captured, test_images: ImageSet, tmp_path: Path
) -> None:
    state = dict(load_bundled("cnn3").module.state_dict())
    torch.save({key: value * 1e30 for key, value in state.items()}, tmp_path / "broken.pth")
    report = json_of(
        capsys, "evaluate", "--checkpoint", str(tmp_path / "broken.pth"), "--normalization", "none", "--images", "125"
    )
    assert report["loss"] is None


def test_search_takes_a_checkpoint(state_file: Path) -> None:
    command = ["search", "--checkpoint", str(state_file), "--normalization", "cifar10", "--drop", "5"]
    model = named_network(parser().parse_args(command))
    assert (model.name, model.about["arch"], model.normalization.name) == ("mine.state", "cnn3", "cifar10")


def test_a_recipe_that_was_searched_for_a_checkpoint_applies_to_it(state_file: Path, tmp_path: Path) -> None:
    recipe = CompressionSpec("mine.state", weights=QuantSpec(3))
    (tmp_path / "best.json").write_text(recipe.to_json())
    command = ["evaluate", "--recipe", str(tmp_path / "best.json"), "--checkpoint", str(state_file)]
    model, spec = network_and_spec(parser().parse_args([*command, "--normalization", "half"]))
    assert (spec, model.name, model.normalization.name) == (recipe, "mine.state", "half")
    with pytest.raises(ValueError, match="remove --bits, or change the recipe"):
        network_and_spec(parser().parse_args([*command, "--bits", "4"]))
