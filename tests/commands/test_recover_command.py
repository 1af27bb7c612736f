"""`recover`: a compressed network is trained, and what it reports is true of the file that it writes."""

import json
from pathlib import Path

import pytest
import torch

from compression.__main__ import main
from compression.commands.recover import recipe_of
from compression.commands.shared.arguments import parser
from compression.data.images import ImageSet
from compression.engine.cluster import Engine
from compression.evaluation.evaluation import evaluate
from compression.files.exported import load_exported
from compression.files.packed_reader import load_compressed
from compression.networks.weights import weighted_layers
from compression.results.known import known_results
from compression.results.store import Store
from compression.retraining.lineage import lineage_from_json
from compression.retraining.recipe import Recipe
from compression.spec import CompressionSpec, PruneSpec
from tests.commands.test_cli import Captured, json_of

SPARSE = ("recover", "--model", "simple_cnn", "--sparsity", "0.9")


def test_a_network_is_trained_and_its_file_has_the_accuracy_that_is_printed(
    here: Engine, test_images: ImageSet, training_images: ImageSet, tmp_path: Path, capsys: Captured
) -> None:
    path = tmp_path / "sparse.safetensors"
    values = json_of(capsys, *SPARSE, "--epochs", "2", "--training-images", "3000", "--out", str(path))
    assert values["bytes"] == path.stat().st_size
    network = load_compressed(path)
    result = evaluate(network.module, test_images, network.normalization)
    assert values["accuracy"] == pytest.approx(result.accuracy, abs=2e-4)
    assert values["float_accuracy"] > values["accuracy"] > values["accuracy_before"] + 0.02
    weights = torch.cat([each.flatten() for each in weighted_layers(network.module).values()])
    assert (weights == 0).float().mean() == pytest.approx(0.9, abs=1e-3)
    lineage = lineage_from_json((tmp_path / "sparse.lineage.json").read_text())
    assert lineage.spec == CompressionSpec("simple_cnn", PruneSpec(sparsity=0.9))
    assert lineage.recipe == Recipe(epochs=2.0)
    assert lineage.steps == values["steps"] == 2 * ((3000 - 1000) // 128)
    assert json.loads(lineage.spec.to_json()) == values["spec"]
    stored = load_exported(path.read_bytes(), path.name, "sparse")
    [point] = known_results(stored, Store(), test_images).points  # of Trade-offs
    assert (point.accuracy, point.file_bytes) == (values["accuracy"], values["bytes"])


def test_another_network_can_be_the_teacher(
    here: Engine, training_images: ImageSet, tmp_path: Path, capsys: Captured
) -> None:
    path = tmp_path / "taught.safetensors"
    teaching = ("--distillation", "0.5", "--teacher", "cnn3")
    json_of(capsys, *SPARSE, "--epochs", "0.5", "--training-images", "2000", *teaching, "--out", str(path))
    assert lineage_from_json((tmp_path / "taught.lineage.json").read_text()).teacher == "cnn3"


def test_all_options_of_training_reach_the_recipe() -> None:
    given = "--bits 2 --sparsity 0.5 --epochs 2 --optimizer adam --learning-rate 0.01 --rate-schedule rewound "
    given += "--weight-penalty l1 --weight-decay 0.01 --quantizers learned --sparsity-schedule iterative "
    given += "--bit-schedule 32,4 --distillation 0.5 --bit-penalty 0.1 --training-seed 3 --out net.safetensors"
    assert recipe_of(parser().parse_args(["recover", *given.split()])) == Recipe(
        epochs=2.0,
        optimizer="adam",
        learning_rate=0.01,
        rate_schedule="rewound",
        weight_penalty="l1",
        weight_decay=0.01,
        sparsity_schedule="iterative",
        bit_schedule=(32, 4),
        distillation=0.5,
        bit_penalty=0.1,
        seed=3,
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((*SPARSE, "--out", "net.onnx"), "the name of --out must end in .safetensors"),
        (("recover", "--model", "simple_cnn", "--out", "net.safetensors"), "there is nothing to recover from"),
        ((*SPARSE, "--epochs", "-1", "--out", "net.safetensors"), "epochs must be above 0"),
        ((*SPARSE, "--teacher", "cnn3", "--out", "net.safetensors"), "add --distillation"),
        ((*SPARSE, "--optimizer", "lamb", "--out", "net.safetensors"), "optimizer must be one of"),
        ((*SPARSE, "--bit-schedule", "4", "--out", "net.safetensors"), "more bits first need layer inputs or weights"),
        ((*SPARSE, "--bit-schedule", "four", "--out", "net.safetensors"), "must be whole numbers with commas"),
        ((*SPARSE, "--rate-schedule", "rewound", "--out", "net.safetensors"), "an iterative sparsity schedule"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is(
    arguments: tuple[str, ...], words: str, capsys: Captured
) -> None:
    assert main([*arguments]) == 2
    assert words in capsys.readouterr().err
