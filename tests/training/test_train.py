"""Training: an interrupted and resumed run has the same bits as an uninterrupted one, and crops are correct."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from compression.data.cifar10 import TEST
from compression.data.images import ImageSet
from compression.networks.architectures.plain import SimpleCNN
from compression.networks.architectures.resnet import ResNet
from compression.networks.bundled import bundled_names, load_bundled
from compression.training.recipe import RECIPES, TrainingProgress, TrainingRecipe
from compression.training.train import pad_crop_flip, train

RECIPE = TrainingRecipe(epochs=3, max_lr=0.05, batch_size=100, seed=5)  # 256 images: two batches of 100 and one of 56


def images(count: int = 256) -> ImageSet:
    """Returns images of dark noise with a bright row, whose number is the label."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 100, (count, 3, 32, 32), generator=generator, dtype=torch.uint8)
    labels = torch.randint(0, 2, (count,), generator=generator)
    for image, label in zip(pixels, labels, strict=True):
        image[:, 6 + 16 * label : 10 + 16 * label] = 255
    return ImageSet(pixels, labels, "made up", TEST)


def fresh(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return SimpleCNN()


def same_weights(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


# ---- killed and resumed


class Killed:
    """Reports progress and interrupts the run after `steps` steps, as Ctrl-C does."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def __call__(self, progress: TrainingProgress) -> None:
        if progress.steps_done == self.steps:
            raise KeyboardInterrupt


@pytest.mark.parametrize("kills", [[5], [1], [3], [4, 8], [9]], ids=str)
def test_a_run_that_was_killed_ends_with_the_bits_of_one_that_was_not(kills: list[int], tmp_path: Path) -> None:
    """With three steps per epoch, 5 is in the middle of the second epoch, 3 ends the first and 9 ends the run."""
    whole = train(fresh(), images(), RECIPE)
    for number, steps in enumerate(kills):
        with pytest.raises(KeyboardInterrupt):
            train(fresh(number), images(), RECIPE, tmp_path / "run.pt", Killed(steps))
    seed = 0 if kills[0] < 4 else 99  # the start is in the checkpoint once the first epoch was saved
    second = train(fresh(seed), images(), RECIPE, tmp_path / "run.pt")
    assert same_weights(second, whole)


def test_a_resumed_run_repeats_only_the_epoch_it_was_killed_in(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(fresh(), images(), RECIPE, tmp_path / "run.pt", Killed(5))
    reports: list[TrainingProgress] = []
    train(fresh(), images(), RECIPE, tmp_path / "run.pt", reports.append)
    assert [progress.steps_done for progress in reports] == [4, 5, 6, 7, 8, 9]


def test_a_finished_run_is_not_run_again(tmp_path: Path) -> None:
    first = train(fresh(), images(), RECIPE, tmp_path / "run.pt")
    reports: list[TrainingProgress] = []
    again = train(fresh(99), images(), RECIPE, tmp_path / "run.pt", reports.append)
    assert reports == []
    assert same_weights(first, again)
    assert [path.name for path in tmp_path.iterdir()] == ["run.pt"]


def test_the_seed_decides_the_run() -> None:
    assert same_weights(train(fresh(), images(), RECIPE), train(fresh(), images(), RECIPE))
    assert not same_weights(train(fresh(), images(), RECIPE), train(fresh(), images(), replace(RECIPE, seed=6)))


@pytest.mark.parametrize(
    ("module", "recipe", "words"),
    [
        (fresh(), replace(RECIPE, seed=6), "belongs to a run with another recipe: .*'seed': 5.*; move it away"),
        (fresh(), replace(RECIPE, epochs=4), "belongs to a run with another recipe: .*'epochs': 3"),
        (ResNet(1), RECIPE, "belongs to a run of another network; move it away"),
    ],
    ids=["seed", "epochs", "network"],
)
def test_the_checkpoint_of_something_else_is_refused_and_kept(
    module: nn.Module, recipe: TrainingRecipe, words: str, tmp_path: Path
) -> None:
    train(fresh(), images(), RECIPE, tmp_path / "run.pt")
    before = (tmp_path / "run.pt").read_bytes()
    with pytest.raises(ValueError, match=words):
        train(module, images(), recipe, tmp_path / "run.pt")
    assert (tmp_path / "run.pt").read_bytes() == before


def test_a_damaged_checkpoint_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "run.pt").write_bytes(b"half of what was wri")
    with pytest.raises(ValueError, match=r"run\.pt is damaged; move it away to start a new run"):
        train(fresh(), images(), RECIPE, tmp_path / "run.pt")
    assert (tmp_path / "run.pt").read_bytes() == b"half of what was wri"


# ---- what training does


def test_training_reaches_a_high_accuracy_on_a_simple_task() -> None:
    reports: list[TrainingProgress] = []
    train(fresh(), images(), replace(RECIPE, epochs=12), report=reports.append)
    assert reports[0].train_accuracy < 0.7
    assert reports[-1].train_accuracy > 0.95
    assert reports[-1].loss < reports[0].loss / 2


def test_progress_is_reported_after_each_step() -> None:
    reports: list[TrainingProgress] = []
    train(fresh(), images(), RECIPE, report=reports.append)
    assert [progress.steps_done for progress in reports] == list(range(1, 3 * RECIPE.steps(256) + 1))
    assert [progress.epoch for progress in reports] == [1] * 3 + [2] * 3 + [3] * 3


def test_an_average_without_memory_is_the_network_itself() -> None:
    module = fresh()
    assert same_weights(train(module, images(), replace(RECIPE, ema_decay=0.0)), module)


def test_the_average_is_ready_to_use_and_the_images_are_as_they_were() -> None:
    dataset = images()
    assert not any(part.training for part in train(fresh(), dataset, RECIPE).modules())
    assert torch.equal(dataset.pixels, images().pixels)


# ---- recipes


def test_every_bundled_network_has_the_recipe_that_its_file_states() -> None:
    assert sorted(RECIPES) == bundled_names()
    for name, recipe in RECIPES.items():
        about = load_bundled(name).about
        assert (about["arch"], about["recipe"]) == (name, asdict(recipe))


@pytest.mark.parametrize(("count", "steps"), [(1, 1), (128, 1), (129, 2), (50_000, 391)])
def test_the_last_batch_of_an_epoch_may_be_smaller(count: int, steps: int) -> None:
    assert TrainingRecipe(epochs=1, max_lr=0.1).steps(count) == steps


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"epochs": 0}, "epochs and batch_size must be at least 1, got 0, 100"),
        ({"batch_size": 0}, "epochs and batch_size must be at least 1"),
        ({"normalization": "mnist"}, "normalization must be one of imagenet, cifar10"),
    ],
)
def test_nonsense_in_a_recipe_is_refused(change: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(RECIPE, **change)


# ---- crops and flips


def crops(image: Tensor, pad: int) -> list[Tensor]:
    """Returns all images (C, H, W) that shifts by up to `pad` pixels and mirroring can produce."""
    _, height, width = image.shape
    canvas = F.pad(image, (pad,) * 4)
    windows = [canvas[:, y : y + height, x : x + width] for y in range(2 * pad + 1) for x in range(2 * pad + 1)]
    return windows + [window.flip(2) for window in windows]


def number_pixels(count: int, side: int) -> Tensor:
    """Returns images in which all pixels differ."""
    return torch.arange(1, 3 * side * side + 1).view(1, 3, side, side).expand(count, -1, -1, -1)


@pytest.mark.parametrize("pad", [0, 1, 2])
def test_each_image_becomes_one_of_its_crops_and_all_of_them_occur(pad: int) -> None:
    possible = crops(number_pixels(1, 5)[0], pad)
    out = pad_crop_flip(number_pixels(2000, 5), pad, torch.Generator().manual_seed(0))
    which = [next(i for i, crop in enumerate(possible) if torch.equal(image, crop)) for image in out]
    assert set(which) == set(range(len(possible)))
    share = sum(i >= len(possible) // 2 for i in which) / len(which)
    assert share == pytest.approx(0.5, abs=0.05)


def test_images_keep_their_place_shape_and_type() -> None:
    pixels = images(50).pixels
    out = pad_crop_flip(pixels, 4, torch.Generator().manual_seed(0))
    assert (out.shape, out.dtype) == (pixels.shape, torch.uint8)
    for image, result in zip(pixels, out, strict=True):
        assert any(torch.equal(result, crop) for crop in crops(image, 4))


def test_the_generator_decides_the_crops() -> None:
    one, same, other = (pad_crop_flip(images(50).pixels, 4, torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
