"""Public checkpoints, from the file to the network with its normalisation."""

from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from compression.data.images import ImageSet
from compression.errors import CheckpointError
from compression.evaluation.evaluation import evaluate
from compression.evaluation.normalization_trial import TRIAL_IMAGES, load_checkpoint, try_normalizations
from compression.networks.model import FloatModel
from compression.networks.normalization import NORMALIZATIONS
from tests.support.networks import KINDS, images, network, saved, tensors

NONE = NORMALIZATIONS["none"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_of_every_kind_is_the_network_that_was_saved(kind: str, tmp_path: Path) -> None:
    (tmp_path / "net.th").write_bytes(KINDS[kind](tensors("resnet8")))
    found = load_checkpoint(tmp_path / "net.th", NONE)
    assert all(torch.equal(value, tensors("resnet8")[name]) for name, value in found.module.state_dict().items())
    torch.testing.assert_close(found.module(images()), network("resnet8")(images()))


def test_a_loaded_checkpoint_is_named_after_its_file_and_frozen(tmp_path: Path) -> None:
    torch.save(tensors("resnet8-a"), tmp_path / "my net.th")
    found = load_checkpoint(tmp_path / "my net.th", NONE)
    assert (found.name, found.normalization, found.accuracy) == ("my net", NONE, None)
    assert not found.module.training
    assert not any(p.requires_grad for p in found.module.parameters())


def test_a_loaded_checkpoint_says_what_it_was_recognised_as(tmp_path: Path) -> None:
    """The tricks of akamaster's public checkpoints, with shortcuts that have no parameters."""
    renamed = {f"module.{key.replace('fc.', 'linear.')}": value for key, value in tensors("resnet8-a").items()}
    torch.save({"state_dict": renamed, "best_prec1": 91.7}, tmp_path / "net.th")
    assert load_checkpoint(tmp_path / "net.th", NONE).about == {
        "origin": str(tmp_path / "net.th"),
        "arch": "resnet8-a",
        "recognised": "ResNet-8 with shortcuts without parameters (option A), 75,290 parameters; "
        "“module.” removed from every name; “linear” read as “fc”",
    }


def test_the_public_checkpoint_is_recognised(public_checkpoint: Path) -> None:
    about = load_checkpoint(public_checkpoint, NONE).about
    assert about["arch"] == "resnet20-a"
    assert about["recognised"].endswith("269,722 parameters; “module.” removed from every name; “linear” read as “fc”")


def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    torch.save(tensors("resnet8"), tmp_path / "net.th")
    with pytest.raises(CheckpointError, match=r"is not a simple_cnn: it lacks .*; it has unknown "):
        load_checkpoint(tmp_path / "net.th", NONE, "simple_cnn")
    with pytest.raises(CheckpointError, match=r"no architecture 'alexnet'\. Supported architectures: .*resnet20"):
        load_checkpoint(tmp_path / "net.th", NONE, "alexnet")


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "net.th").write_bytes(saved(tensors("resnet8"))[:-1000])
    with pytest.raises(CheckpointError, match=r"net\.th is damaged or not a checkpoint"):
        load_checkpoint(tmp_path / "net.th", NONE)


# ---- normalisation, found by trying


def test_all_known_normalisations_are_tried_and_the_lowest_loss_comes_first(
    simple_cnn: FloatModel, test_images: ImageSet
) -> None:
    trials = try_normalizations(simple_cnn.module, test_images)
    assert {trial.normalization for trial in trials} == set(NORMALIZATIONS)
    assert [trial.loss for trial in trials] == sorted(trial.loss for trial in trials)
    assert trials[0].normalization == simple_cnn.normalization.name


def test_a_trial_is_an_evaluation_of_the_first_images(simple_cnn: FloatModel, test_images: ImageSet) -> None:
    best = try_normalizations(simple_cnn.module, test_images)[0]
    found = evaluate(simple_cnn.module, test_images[:TRIAL_IMAGES], simple_cnn.normalization)
    assert (best.accuracy, best.loss) == (found.accuracy, found.loss)


def test_trying_tells_how_much_of_it_is_done(simple_cnn: FloatModel, test_images: ImageSet) -> None:
    shares: list[float] = []
    try_normalizations(simple_cnn.module, test_images[:2], shares.append)
    assert shares == [(turn + 1) / len(NORMALIZATIONS) for turn in range(len(NORMALIZATIONS))]


def test_a_few_hundred_images_are_enough_to_find_it(public_checkpoint: Path, test_images: ImageSet) -> None:
    found = load_checkpoint(public_checkpoint, test_images[:TRIAL_IMAGES])
    assert found.normalization.name == "imagenet"
    assert found.about["tried"][0]["normalization"] == "imagenet"
    assert len(found.about["tried"]) == len(NORMALIZATIONS)


def test_what_was_tried_is_kept(simple_cnn: FloatModel, test_images: ImageSet, tmp_path: Path) -> None:
    torch.save(simple_cnn.module.state_dict(), tmp_path / "net.th")
    found = load_checkpoint(tmp_path / "net.th", test_images)
    assert found.normalization == simple_cnn.normalization
    assert found.about["tried"] == [asdict(trial) for trial in try_normalizations(simple_cnn.module, test_images)]
