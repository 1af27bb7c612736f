"""Public checkpoints, from the file to the network with its normalisation."""

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from compression.core.compress import compress
from compression.data.cifar10 import TRAIN
from compression.data.images import ImageSet
from compression.errors import CheckpointError
from compression.evaluation.normalization_trial import (
    choice_in_words,
    load_checkpoint,
    trial_images,
    try_normalizations,
)
from compression.evaluation.temperature import best_factor, scaled_losses
from compression.networks.model import FloatModel
from compression.networks.normalization import NORMALIZATIONS
from compression.spec import CompressionSpec, PruneSpec
from tests.support.networks import KINDS, images, network, save, tensors

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
        "accuracies": {"best_prec1": pytest.approx(0.917)},
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
    (tmp_path / "net.th").write_bytes(save(tensors("resnet8"))[:-1000])
    with pytest.raises(CheckpointError, match=r"net\.th is damaged or not a checkpoint"):
        load_checkpoint(tmp_path / "net.th", NONE)


# ---- what the file says of itself


def test_an_accuracy_that_the_file_states_is_kept(tmp_path: Path) -> None:
    torch.save({"net": tensors("resnet8"), "acc": 93.5, "epoch": 3}, tmp_path / "net.th")
    assert load_checkpoint(tmp_path / "net.th", NONE).about["accuracies"] == {"acc": 0.935}


# ---- normalisation, found by trying


class Brightness(nn.Module):
    """Decides by the mean of the first channel: two logits for classes 0 and 1, `steepness` times their difference."""

    def __init__(self, steepness: float, middle: float) -> None:
        super().__init__()
        self.steepness, self.middle = steepness, middle

    def forward(self, x: Tensor) -> Tensor:
        distance = self.steepness * (x[:, 0].mean((1, 2)) - self.middle)
        return torch.stack([-distance, distance, *[torch.full_like(distance, -9.0)] * 8], 1)


def made_images(count: int, bright: int = 145, dark: int = 110) -> ImageSet:
    """Grey images, by turns dark of class 0 and bright of class 1, each with a little noise of its own."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % 2
    grey = torch.where(labels == 1, bright, dark) + torch.randint(-20, 21, (count,), generator=generator)
    pixels = grey.to(torch.uint8)[:, None, None, None].expand(-1, *TRAIN.shape)
    return ImageSet(pixels, labels, "made up", TRAIN)


def test_the_normalisation_of_a_network_whose_middle_is_half_is_found() -> None:
    choice = try_normalizations(Brightness(8.0, 0.0), made_images(2000))
    assert choice.best.normalization == "half"
    assert choice.is_certain
    assert choice.best.loss == min(each.loss for each in choice.trials if each.loss is not None)
    assert (choice.best.images, choice.runner_up.images) == (2000, 2000)
    assert f"The normalisation is half: the mean loss on 2,000 training images is {choice.best.loss:.4f} with half" in (
        choice_in_words(choice)
    )
    assert choice.runner_up.normalization in choice_in_words(choice)


def test_the_difference_and_its_error_are_those_of_the_paired_losses() -> None:
    network, few = Brightness(8.0, 0.0), made_images(400)
    choice = try_normalizations(network, few)
    logits = [network(NORMALIZATIONS[each.normalization](few.pixels)).double() for each in choice.trials[:2]]
    losses = [scaled_losses(each, few.labels) for each in logits]
    gap = losses[1] - losses[0]
    assert choice.best.loss == pytest.approx(float(losses[0].mean()))
    assert choice.difference == pytest.approx(float(gap.mean()))
    assert choice.standard_error == pytest.approx(float(gap.std()) / 20)


def test_a_network_that_ignores_its_input_tells_nothing_and_both_are_named() -> None:
    choice = try_normalizations(Brightness(0.0, 0.0), made_images(6000))
    assert not choice.is_certain
    assert choice.best.images == choice.runner_up.images == 6000  # it counted on to the end
    words = choice_in_words(choice)
    assert "is uncertain" in words
    assert choice.best.normalization in words
    assert choice.runner_up.normalization in words
    assert "this difference may be chance" in words


def test_confidence_makes_no_difference() -> None:
    """Logits that are four times as large have another loss, and after temperature scaling the same."""
    choices = [try_normalizations(Brightness(steepness, 0.0), made_images(2000)) for steepness in (2.0, 8.0)]
    one, other = ([(each.normalization, each.loss) for each in choice.trials] for choice in choices)
    assert [name for name, _ in one] == [name for name, _ in other]
    assert [loss for _, loss in one[:2]] == pytest.approx([loss for _, loss in other[:2]], rel=0.01)


def test_the_best_factor_has_no_better_neighbours() -> None:
    generator = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(500, 10, generator=generator).double(), torch.arange(500) % 10
    logits[torch.arange(500), labels] += 1
    factor = best_factor(3 * logits, labels)
    assert 3 * factor == pytest.approx(best_factor(logits, labels))
    loss = lambda factor: float(F.cross_entropy(factor * 3 * logits, labels))
    assert loss(factor) == pytest.approx(float(scaled_losses(3 * logits, labels).mean()))
    assert loss(factor) < min(loss(factor * 0.99), loss(factor * 1.01))


def test_normalisations_that_are_clearly_worse_drop_out_early() -> None:
    choice = try_normalizations(Brightness(8.0, 0.0), made_images(10_000))
    counts = [each.images for each in choice.trials]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] == counts[1] >= 2000
    assert counts[-1] == 500


def test_a_pruned_network_is_never_certain(simple_cnn: FloatModel, test_images: ImageSet) -> None:
    pruned = compress(simple_cnn.module, CompressionSpec("simple_cnn", PruneSpec(sparsity=0.3))).module
    choice = try_normalizations(pruned, test_images[:1000])
    assert not choice.is_certain
    assert "30% of the weights are zero" in choice_in_words(choice)


def test_a_network_that_only_guesses_is_never_certain(test_images: ImageSet) -> None:
    choice = try_normalizations(network("resnet8"), test_images[:500])
    assert not choice.is_certain
    assert choice.doubt
    assert "so few images correctly" in choice.doubt


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_network_without_a_finite_loss_is_refused_in_words(value: float) -> None:
    broken = network("resnet8")
    broken.bn1.running_var.fill_(-1.0 if value != value else 0.0)
    broken.bn1.eps = 0.0
    with pytest.raises(CheckpointError, match="infinite outputs or outputs that are not numbers"):
        try_normalizations(broken, made_images(50))


def test_a_normalisation_without_a_finite_loss_comes_last_and_has_none() -> None:
    """Outputs overflow unless the mean of the input is small, which it is only with one normalisation."""

    class Overflow(Brightness):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) * torch.where(x[:, :1].mean((1, 2, 3)) > 0.35, torch.inf, 1.0)[:, None]

    choice = try_normalizations(Overflow(8.0, 0.0), made_images(100))
    assert choice.best.loss is not None
    assert choice.runner_up.loss is None
    assert choice_in_words(choice).startswith("Only half gives a finite loss")
    assert "NaN" not in json.dumps([asdict(each) for each in choice.trials])


def test_a_trial_reports_its_progress() -> None:
    shares: list[float] = []
    try_normalizations(Brightness(8.0, 0.0), made_images(2), shares.append)
    assert shares == [(turn + 1) / len(NORMALIZATIONS) for turn in range(len(NORMALIZATIONS))]


def test_the_public_network_is_read_as_it_was_trained(public_checkpoint: Path, training_images: ImageSet) -> None:
    about = load_checkpoint(public_checkpoint, training_images).about
    choice = about["choice"]
    assert (choice.best.normalization, choice.runner_up.normalization) == ("imagenet", "cifar10")
    assert choice.is_certain
    assert not choice.leaks
    assert {trial.normalization for trial in choice.trials} == set(NORMALIZATIONS)
    assert about["accuracies"] == {"best_prec1": pytest.approx(0.9178)}


def test_with_test_images_the_leak_is_stated(simple_cnn: FloatModel, test_images: ImageSet, tmp_path: Path) -> None:
    torch.save(simple_cnn.module.state_dict(), tmp_path / "net.th")
    model = load_checkpoint(tmp_path / "net.th", test_images)
    assert model.normalization == simple_cnn.normalization
    assert model.about["choice"] == try_normalizations(simple_cnn.module, test_images)
    assert "found with test images, which are also counted" in choice_in_words(model.about["choice"])


def test_training_images_are_taken_where_there_are_any(training_images: ImageSet) -> None:
    assert trial_images().split is TRAIN


# ---- networks that are trained here, some so briefly that their losses are close


class Residual(nn.Module):
    """A strided convolution, one residual block, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 4, 4, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        self.block = nn.Sequential(nn.Conv2d(16, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16))
        self.fc = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return self.fc(F.adaptive_avg_pool2d(F.relu(x + self.block(x)), 2).flatten(1))


def plain() -> nn.Module:
    features = nn.Sequential(nn.Conv2d(3, 16, 4, 4), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU())
    return nn.Sequential(features, nn.Flatten(), nn.Linear(512, 10))


def with_batch_norm() -> nn.Module:
    first = nn.Conv2d(3, 16, 4, 4, bias=False), nn.BatchNorm2d(16), nn.ReLU()
    second = nn.Conv2d(16, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU()
    return nn.Sequential(*first, *second, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(128, 10))


def trained(
    make: Callable[[], nn.Module], inputs: Tensor, labels: Tensor, steps: tuple[int, ...]
) -> Iterator[nn.Module]:
    """Trains a network with Adam (Kingma and Ba 2015) on normalised `inputs`, and yields it after each of `steps`."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = make().train()
        optimizer = torch.optim.Adam(module.parameters(), 3e-3)
        for step in range(1, steps[-1] + 1):
            rows = torch.randint(len(inputs), (32,))
            optimizer.zero_grad()
            F.cross_entropy(module(inputs[rows]), labels[rows]).backward()
            optimizer.step()
            if step in steps:
                yield copy.deepcopy(module).eval()


@pytest.mark.parametrize("name", NORMALIZATIONS)
def test_the_normalisation_of_trained_networks_is_found_or_called_uncertain(
    name: str, training_images: ImageSet
) -> None:
    """Three architectures, trained briefly or very briefly, so that losses are close: never wrong in silence."""
    images = training_images[:1000]
    inputs = NORMALIZATIONS[name](images.pixels)
    for make in (plain, with_batch_norm, Residual):
        for steps, module in zip((30, 150), trained(make, inputs, images.labels, (30, 150)), strict=True):
            choice = try_normalizations(module, images)
            assert choice.best.normalization == name or not choice.is_certain
            if not choice.is_certain:
                assert "is uncertain" in choice_in_words(choice)
                assert choice.runner_up.normalization in choice_in_words(choice)
            if steps == 150 and name in ("half", "none"):  # far from all others
                assert choice.best.normalization == name
