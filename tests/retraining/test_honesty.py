"""What training sees and learns: no test label, the outputs of a teacher, and the scales of layer inputs."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from compression.core.evidence import Evidence
from compression.core.observe import observe
from compression.data import images as image_files
from compression.data.cifar10 import TEST
from compression.data.images import ImageSet, load
from compression.files.packed_file import fingerprint, to_bytes
from compression.files.packed_reader import verify_file
from compression.networks.normalization import NORMALIZATIONS
from compression.retraining.recipe import Recipe
from compression.retraining.run import recover
from compression.retraining.start import prepare
from compression.retraining.training import Training
from compression.spec import ActivationSpec, CompressionSpec, PruneSpec, QuantSpec
from tests.retraining.test_training import RECIPE, finish, images, model

SPEC = CompressionSpec("resnet8", PruneSpec(sparsity=0.5), QuantSpec(3), activations=ActivationSpec(4))


def run(recipe: Recipe, teacher_arch: str | None = None) -> Training:
    network = model()
    inputs = network.normalization(images().pixels)
    evidence = Evidence(calibration=observe(network.module, inputs))
    teacher = model(teacher_arch) if teacher_arch else None
    return finish(Training(prepare(network, SPEC, evidence), recipe, images(), teacher))


def test_poisoned_test_labels_give_the_same_weights(
    training_images: ImageSet, test_images: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Evidence, choice of the best, and training: none of them looks at a test image."""
    recipe = Recipe(steps=6, batch_size=32, held_out=64, points=3)
    honest = fingerprint(recover(model(), SPEC, recipe, training_images[:400])[0].module)
    read = image_files._read_cache

    def poisoned(split: Any, *arguments: Any) -> ImageSet | None:
        cached = read(split, *arguments)
        return cached and (replace(cached, labels=9 - cached.labels) if split is TEST else cached)

    monkeypatch.setattr(image_files, "_read_cache", poisoned)
    assert not torch.equal(load(TEST).labels, test_images.labels)
    assert fingerprint(recover(model(), SPEC, recipe, training_images[:400])[0].module) == honest


def test_scales_of_layer_inputs_are_learned_and_are_in_the_file(tmp_path: Path) -> None:
    learned = run(RECIPE).network()
    frozen = run(replace(RECIPE, quantizers="frozen")).network()  # type: ignore[arg-type]
    scales = [[layer.inputs.scale for layer in each.layers if layer.inputs] for each in (learned, frozen)]
    assert len(scales[0]) == len(scales[1]) == len(learned.layers)
    assert all(one != other for one, other in zip(*scales, strict=True))
    assert all(0 < scale < 100 for scale in scales[0])
    path = tmp_path / "net.safetensors"
    path.write_bytes(to_bytes(learned, model()))
    verify_file(path, learned)


def test_a_teacher_changes_what_is_learned_and_stays_as_it_is() -> None:
    distilled = replace(RECIPE, distillation=0.5)
    own, alone = run(distilled), run(RECIPE)
    assert own.lineage().teacher == "resnet8"
    other = run(distilled, "simple_cnn")
    assert other.lineage().teacher == "simple_cnn"
    assert other.teacher is not None
    assert fingerprint(other.teacher.module) == fingerprint(model("simple_cnn").module)
    weights = {fingerprint(each.network().module) for each in (own, alone, other)}
    assert len(weights) == 3
    assert alone.lineage().teacher is None


def test_a_teacher_sees_images_as_it_was_trained_on_them() -> None:
    network = model()
    inputs = network.normalization(images().pixels)
    start = prepare(network, SPEC, Evidence(calibration=observe(network.module, inputs)))
    teachers = [replace(network, normalization=NORMALIZATIONS[name]) for name in ("cifar10", "half")]
    recipe = replace(RECIPE, distillation=0.9)
    same, other = (finish(Training(start, recipe, images(), teacher)).network().module for teacher in teachers)
    assert fingerprint(same) == fingerprint(run(recipe).network().module) != fingerprint(other)


def test_zeros_stay_zero_with_quantized_inputs_and_a_teacher() -> None:
    trained = run(replace(RECIPE, distillation=0.5))
    for layer in trained.network().layers:
        mask = trained.start.masks[layer.name].mask
        assert not layer.channels_first[~mask].any()
