"""Public checkpoints: whatever their names and wrappings, the same network; and no code of theirs ever runs."""

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from compression.data import ImageSet
from compression.models.checkpoint import TRIAL_IMAGES, load_checkpoint, try_normalizations
from compression.models.normalization import NORMALIZATIONS
from compression.models.reading import WRAPPERS, CheckpointError, read_tensors
from compression.models.resnet import ResNet
from compression.models.zoo import FloatModel

NONE = NORMALIZATIONS["none"]
Tensors = dict[str, Tensor]


def network(option: str) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return ResNet(3, option).eval()


def tensors(option: str = "B") -> Tensors:
    return network(option).state_dict()


def renamed(old: str, new: str) -> Callable[[Tensors], Tensors]:
    return lambda found: {key.replace(old, new): value for key, value in found.items()}


def prefixed(found: Tensors) -> Tensors:
    return {f"module.{key}": value for key, value in found.items()}


DIALECTS: dict[str, Callable[[Tensors], Mapping]] = {
    "our own": lambda found: found,
    "module.": prefixed,
    "linear": renamed("fc.", "linear."),
    "shortcut": renamed(".downsample.", ".shortcut."),
    "no counters": lambda found: {k: v for k, v in found.items() if not k.endswith("num_batches_tracked")},
    "akamaster": lambda found: {"state_dict": prefixed(renamed("fc.", "linear.")(found)), "best_prec1": 91.7},
    "kuangliu": lambda found: {"net": renamed("downsample", "shortcut")(found), "acc": 91.7, "epoch": 199},
    "wrapped twice": lambda found: {"model": {"state_dict": found}},
    **{wrapper: lambda found, wrapper=wrapper: {wrapper: found, "epoch": 3} for wrapper in WRAPPERS},
}


# ---- understood


@pytest.mark.parametrize("option", ["A", "B"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_is_the_same_network(dialect: str, option: str, tmp_path: Path) -> None:
    torch.save(DIALECTS[dialect](tensors(option)), tmp_path / "net.th")
    found = load_checkpoint(tmp_path / "net.th", NONE, "resnet20")
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert all(torch.equal(value, tensors(option)[name]) for name, value in found.module.state_dict().items())
    torch.testing.assert_close(found.module(x), network(option)(x))


def test_every_kind_of_file_is_the_same_network(tmp_path: Path) -> None:
    torch.save(tensors(), tmp_path / "new.th")
    torch.save(tensors(), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    safetensors.torch.save_file(tensors(), tmp_path / "safe.safetensors")
    for name in ("new.th", "old.pt", "safe.safetensors"):
        found = read_tensors(tmp_path / name)
        assert found.keys() == tensors().keys()
        assert all(torch.equal(found[key], value) for key, value in tensors().items())


def test_half_precision_is_understood(tmp_path: Path) -> None:
    torch.save({key: value.half() for key, value in tensors().items()}, tmp_path / "half.th")
    found = load_checkpoint(tmp_path / "half.th", NONE, "resnet20").module.state_dict()
    assert torch.equal(found["conv1.weight"], tensors()["conv1.weight"].half().float())


def test_a_loaded_checkpoint_is_named_after_its_file_and_frozen(tmp_path: Path) -> None:
    torch.save(tensors("A"), tmp_path / "my net.th")
    found = load_checkpoint(tmp_path / "my net.th", NONE, "resnet20")
    assert (found.name, found.normalization, found.accuracy) == ("my net", NONE, None)
    assert not found.module.training
    assert not any(p.requires_grad for p in found.module.parameters())


# ---- normalisation, found by trying


def test_all_known_normalisations_are_tried_and_the_lowest_loss_comes_first(
    simple_cnn: FloatModel, test_images: ImageSet
) -> None:
    trials = try_normalizations(simple_cnn.module, test_images)
    assert {trial.normalization for trial in trials} == set(NORMALIZATIONS)
    assert [trial.loss for trial in trials] == sorted(trial.loss for trial in trials)
    assert trials[0].normalization == simple_cnn.normalization.name


def test_a_few_hundred_images_are_enough_to_find_it(public_checkpoint: Path, test_images: ImageSet) -> None:
    found = load_checkpoint(public_checkpoint, test_images[:TRIAL_IMAGES], "resnet20")
    assert found.normalization.name == "imagenet"
    assert found.about["tried"][0]["normalization"] == "imagenet"
    assert len(found.about["tried"]) == len(NORMALIZATIONS)


# ---- refused


class Evil:
    """Unpickled the usual way, it creates the file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple:
        return (open, (str(self.file), "w"))


WAYS_TO_PICKLE: dict[str, Callable[[object, Path], None]] = {
    "zip": lambda content, path: torch.save(content, path),
    "old": lambda content, path: torch.save(content, path, _use_new_zipfile_serialization=False),
    "bare": lambda content, path: path.write_bytes(pickle.dumps(content, 2)) and None,
}


@pytest.mark.parametrize("way", WAYS_TO_PICKLE)
@pytest.mark.parametrize("suffix", ["th", "pt", "bin"])
def test_code_in_a_checkpoint_is_refused_and_does_not_run(way: str, suffix: str, tmp_path: Path) -> None:
    trace, file = tmp_path / "it ran", tmp_path / f"evil.{suffix}"
    WAYS_TO_PICKLE[way]({"state_dict": {"conv1.weight": Evil(trace)}}, file)
    with pytest.raises(CheckpointError, match="reading it would run code that it brings along"):
        read_tensors(file)
    assert not trace.exists()


def test_the_evil_in_these_tests_is_real(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Evil(tmp_path / "it ran")))
    assert (tmp_path / "it ran").exists()


def test_a_pickled_network_is_refused_with_what_to_do(tmp_path: Path) -> None:
    torch.save(network("A"), tmp_path / "whole.pt")
    with pytest.raises(CheckpointError, match=r"Save it again with torch\.save\(model\.state_dict\(\), path\)"):
        read_tensors(tmp_path / "whole.pt")


@pytest.mark.parametrize("fraction", [0.0, 0.001, 0.01, 0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("kind", ["new.th", "old.th", "safe.safetensors"])
def test_a_file_cut_short_is_refused(kind: str, fraction: float, tmp_path: Path) -> None:
    path = tmp_path / kind
    if kind == "safe.safetensors":
        safetensors.torch.save_file(tensors(), path)
    else:
        torch.save(tensors(), path, _use_new_zipfile_serialization=kind == "new.th")
    path.write_bytes(path.read_bytes()[: int(fraction * path.stat().st_size)])
    with pytest.raises(CheckpointError, match="damaged"):
        read_tensors(path)


def test_an_old_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    """torch raises half a dozen kinds of errors here, depending on where the file ends."""
    whole = tmp_path / "whole.th"
    torch.save({"a": torch.ones(3), "b": torch.zeros(2, 2)}, whole, _use_new_zipfile_serialization=False)
    content, cut = whole.read_bytes(), tmp_path / "cut.th"
    for length in range(len(content)):
        cut.write_bytes(content[:length])
        with pytest.raises(CheckpointError):
            read_tensors(cut)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({}, "holds no weights"),
        ({"epoch": 3, "lr": 0.1}, "holds no weights"),
        ([torch.ones(3)], "holds a list, not weights by name"),
        (torch.ones(3), "holds a Tensor, not weights by name"),
    ],
    ids=["nothing", "numbers", "list", "tensor"],
)
def test_a_file_without_weights_is_refused(content: object, words: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "net.th")
    with pytest.raises(CheckpointError, match=words):
        read_tensors(tmp_path / "net.th")


@pytest.mark.parametrize("suffix", ["th", "safetensors"])
def test_no_file_and_no_folder_is_a_checkpoint(suffix: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"there is no file .*nowhere"):
        read_tensors(tmp_path / f"nowhere.{suffix}")
    (tmp_path / f"folder.{suffix}").mkdir()
    with pytest.raises(CheckpointError, match=r"folder.* cannot be read: Is a directory"):
        read_tensors(tmp_path / f"folder.{suffix}")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused_by_name(value: float, tmp_path: Path) -> None:
    found = tensors()
    found["layer2.0.conv1.weight"][3, 2, 1, 0] = value
    torch.save(found, tmp_path / "net.th")
    with pytest.raises(CheckpointError, match=r"has NaN or infinite values in layer2\.0\.conv1\.weight"):
        read_tensors(tmp_path / "net.th")


def without(name: str) -> Tensors:
    return {key: value for key, value in tensors().items() if key != name}


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (
            tensors() | {"fc.weight": torch.zeros(100, 64), "fc.bias": torch.zeros(100)},
            r"is a resnet20 for 100 classes, and CIFAR-10 has 10 \(fc\.weight\)",
        ),
        (tensors() | {"bn1.bias": torch.zeros(1)}, r"bn1\.bias should have shape \(16,\) and has \(1,\)"),
        (without("layer3.1.bn2.weight"), r"is not a resnet20: it lacks layer3\.1\.bn2\.weight$"),
        (tensors() | {"head.weight": torch.zeros(1)}, r"is not a resnet20: it has unknown head\.weight$"),
        (ResNet(5).state_dict(), r"it has unknown layer1\.3\.bn1\.bias, .* and \d+ more"),
        (ResNet(2).state_dict(), r"it lacks layer1\.2\.bn1\.bias, .* and \d+ more"),
    ],
    ids=["100 classes", "a vector of one", "one missing", "one unknown", "deeper", "shallower"],
)
def test_another_network_is_refused_with_the_tensors_that_do_not_fit(
    found: Tensors, words: str, tmp_path: Path
) -> None:
    torch.save(found, tmp_path / "net.th")
    with pytest.raises(CheckpointError, match=words):
        load_checkpoint(tmp_path / "net.th", NONE, "resnet20")


def test_the_weights_of_a_resnet_are_not_a_simple_cnn(tmp_path: Path) -> None:
    torch.save(tensors(), tmp_path / "net.th")
    with pytest.raises(CheckpointError, match=r"is not a simple_cnn: it lacks .*; it has unknown "):
        load_checkpoint(tmp_path / "net.th", NONE, "simple_cnn")


def test_an_unknown_architecture_is_refused_and_the_others_named(tmp_path: Path) -> None:
    torch.save(tensors(), tmp_path / "net.th")
    with pytest.raises(CheckpointError, match=r"there is no architecture 'alexnet'; there are .*resnet20"):
        load_checkpoint(tmp_path / "net.th", NONE, "alexnet")
