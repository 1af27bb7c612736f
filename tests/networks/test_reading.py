"""Reading checkpoints: tensors of every file format as they were save, and an error if they cannot be read."""

import os
import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from compression.errors import CheckpointError
from compression.networks.checkpoints.accuracies import stated_accuracies
from compression.networks.checkpoints.boxes import WRAPPERS
from compression.networks.checkpoints.reading import MAX_BYTES, read_checkpoint, read_tensors
from tests.support.hostile import storage, tensor, text, zip_of
from tests.support.networks import KINDS, Tensors, network, save, tensors

ARCH = "resnet8"


each_kind = pytest.mark.parametrize("kind", KINDS)


def same(actual: Tensors, expected: Tensors) -> bool:
    return actual.keys() == expected.keys() and all(
        actual[key].dtype == value.dtype and torch.equal(actual[key], value) for key, value in expected.items()
    )


# ---- read


@each_kind
@pytest.mark.parametrize("suffix", ["th", "pt", "bin", "safetensors", "pth.tar", "txt"])
def test_the_format_of_a_file_is_recognised_from_its_content(kind: str, suffix: str, tmp_path: Path) -> None:
    content = KINDS[kind](tensors(ARCH))
    path = tmp_path / f"net.{suffix}"
    path.write_bytes(content)
    assert same(read_tensors(path), tensors(ARCH))
    assert same(read_tensors(content, path.name), tensors(ARCH))


@each_kind
@pytest.mark.parametrize(
    "kind_of_number",
    [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64, torch.int8, torch.uint8, torch.bool],
)
def test_numbers_of_every_kind_are_read_as_they_are(kind: str, kind_of_number: torch.dtype) -> None:
    content = {"w": torch.tensor([[0, 1, 1], [1, 0, 1]]).to(kind_of_number)}
    assert same(read_tensors(KINDS[kind](content), "net"), content)


@pytest.mark.parametrize("kind_of_number", [torch.float8_e4m3fn, torch.float8_e5m2, torch.uint16, torch.uint64])
def test_numbers_that_only_safetensors_has_are_read_as_they_are(kind_of_number: torch.dtype) -> None:
    state = read_tensors(safetensors.torch.save({"w": torch.tensor([0, 1, 2]).to(kind_of_number)}), "net")
    assert (state["w"].dtype, state["w"].tolist()) == (kind_of_number, [0, 1, 2])


@each_kind
def test_tensors_without_elements_and_without_dimensions_are_read(kind: str) -> None:
    content = {"none": torch.zeros(0, 3), "one": torch.tensor(2.5), "w": torch.ones(3)}
    assert same(read_tensors(KINDS[kind](content), "net"), content)


@pytest.mark.parametrize("new", [True, False])
def test_views_and_tensors_over_one_storage_are_read(new: bool) -> None:
    base = torch.arange(24.0)
    content = {"all": base, "part": base[4:8], "turned": base.view(4, 6).T, "repeated": base[:1].expand(3, 5)}
    assert same(read_tensors(save(content, new), "net"), content)


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_weights_are_found_under_the_names_that_trainers_use(wrapper: str) -> None:
    assert same(read_tensors(save({wrapper: tensors(ARCH), "epoch": 3, "best": 0.9}), "net"), tensors(ARCH))


def test_weights_are_found_under_two_wrappers() -> None:
    assert same(read_tensors(save({"model": {"state_dict": tensors(ARCH)}}), "net"), tensors(ARCH))


def test_a_whole_training_checkpoint_is_read() -> None:
    """The checkpoint has the state of an optimizer, with numbers as keys and tuples in lists."""
    module = nn.Linear(3, 2)
    optimizer = torch.optim.Adam(module.parameters())
    module(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    content = {"state_dict": module.state_dict(), "optimizer": optimizer.state_dict(), "classes": ("cat", "dog")}
    for new in (True, False):
        assert same(read_tensors(save(content, new), "net"), dict(module.state_dict()))


def test_parameters_are_read_as_plain_tensors() -> None:
    state = read_tensors(save(OrderedDict(nn.Linear(3, 2).named_parameters())), "net")
    assert {type(value) for value in state.values()} == {torch.Tensor}
    assert not any(value.requires_grad for value in state.values())


def test_values_that_are_no_tensors_or_have_no_name_are_ignored() -> None:
    content = {
        "w": torch.ones(2),
        "epoch": 3,
        7: torch.ones(2),
        None: torch.ones(2),
        (1, 2): "a",
        "list": [torch.ones(2)],
    }
    assert read_tensors(save(content), "net").keys() == {"w"}


@pytest.mark.parametrize("name", ["", ".", "a b", "naïve.重み", "weight\n", "w" * 1000, "\0", "../../etc/passwd", "🙂"])
@each_kind
def test_names_of_tensors_may_be_anything(kind: str, name: str) -> None:
    content = {name: torch.ones(2)}
    assert same(read_tensors(KINDS[kind](content), "net"), content)


@pytest.mark.parametrize("name", ["a b.th", "naïve 重み.th", "net.th\n", "-rf", "{0}.th", "%s.th"])
def test_names_of_files_may_be_anything(name: str, tmp_path: Path) -> None:
    torch.save(tensors(ARCH), tmp_path / name)
    assert same(read_tensors(tmp_path / name), tensors(ARCH))


def test_the_metadata_of_a_safetensors_file_is_no_tensor() -> None:
    about = {"shape": "a word of more than eight letters", "recipe": "64 epochs"}
    assert same(read_tensors(safetensors.torch.save(tensors(ARCH), about), "net"), tensors(ARCH))


def test_a_file_saved_without_checksums_is_read() -> None:
    torch.serialization.set_crc32_options(False)
    try:
        content = save(tensors(ARCH))
    finally:
        torch.serialization.set_crc32_options(True)
    assert same(read_tensors(content, "net"), tensors(ARCH))


# ---- no file, or too large a one


@pytest.mark.parametrize("suffix", ["th", "safetensors"])
def test_no_file_and_no_folder_is_a_checkpoint(suffix: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"there is no file .*nowhere"):
        read_tensors(tmp_path / f"nowhere.{suffix}")
    (tmp_path / f"folder.{suffix}").mkdir()
    with pytest.raises(CheckpointError, match=r"folder.* cannot be read: Is a directory"):
        read_tensors(tmp_path / f"folder.{suffix}")


def test_a_large_file_is_refused_unread(tmp_path: Path) -> None:
    """The message states the size of the whole file, not of the part that would be read."""
    (tmp_path / "large.th").touch()
    os.truncate(tmp_path / "large.th", MAX_BYTES + 1_000_000)
    with pytest.raises(
        CheckpointError, match=rf"large\.th has {MAX_BYTES + 1_000_000:,} bytes; the limit is {MAX_BYTES:,}"
    ):
        read_tensors(tmp_path / "large.th")


def test_large_content_is_refused() -> None:
    with pytest.raises(CheckpointError, match=rf"^net has {MAX_BYTES + 1:,} bytes; the limit is {MAX_BYTES:,}"):
        read_tensors(bytes(MAX_BYTES + 1), "net")


# ---- no plain weights


class Evil:
    """Unpickled the usual way, it creates the file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple:
        return (open, (str(self.file), "w"))


WAYS_TO_PICKLE: dict[str, Callable[[object], bytes]] = {
    "zip": lambda content: save(content),
    "old": lambda content: save(content, new=False),
    **{f"bare {protocol}": lambda content, protocol=protocol: pickle.dumps(content, protocol) for protocol in range(6)},
}


@pytest.mark.parametrize("way", WAYS_TO_PICKLE)
@pytest.mark.parametrize("suffix", ["th", "pt", "bin", "safetensors"])
def test_code_in_a_checkpoint_is_refused_and_does_not_run(way: str, suffix: str, tmp_path: Path) -> None:
    trace, file = tmp_path / "it ran", tmp_path / f"evil.{suffix}"
    file.write_bytes(WAYS_TO_PICKLE[way]({"state_dict": {"conv1.weight": Evil(trace)}}))
    with pytest.raises(CheckpointError, match="reading it would run code that it brings along"):
        read_tensors(file)
    assert not trace.exists()


def test_the_hostile_code_of_these_tests_runs_if_it_is_unpickled(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Evil(tmp_path / "it ran")))
    assert (tmp_path / "it ran").exists()


@pytest.mark.parametrize("new", [True, False])
def test_a_pickled_network_is_refused_with_what_to_do(new: bool) -> None:
    with pytest.raises(CheckpointError, match=r"Save it again with torch\.save\(model\.state_dict\(\), path\)"):
        read_tensors(save(network(ARCH), new), "whole.pt")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({}, "holds no weights"),
        ({"epoch": 3, "lr": 0.1}, "holds no weights"),
        ({"state_dict": {}}, "holds no weights"),
        ({"state_dict": None}, "holds no weights"),
        ([torch.ones(3)], "holds a list, not a dictionary of weights by name"),
        (torch.ones(3), "holds a Tensor, not a dictionary of weights by name"),
        (None, "holds a NoneType, not a dictionary of weights by name"),
    ],
    ids=["nothing", "numbers", "nothing inside", "None inside", "list", "tensor", "None"],
)
@pytest.mark.parametrize("new", [True, False])
def test_a_file_without_weights_is_refused(content: object, words: str, new: bool) -> None:
    with pytest.raises(CheckpointError, match=words):
        read_tensors(save(content, new), "net.th")


@each_kind
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_no_numbers_are_refused_by_name(kind: str, value: float) -> None:
    state = {key: tensor.clone() for key, tensor in tensors(ARCH).items()}
    state["layer2.0.conv1.weight"][3, 2, 1, 0] = value
    with pytest.raises(CheckpointError, match=r"tensor layer2\.0\.conv1\.weight of net has NaN or infinite values"):
        read_tensors(KINDS[kind](state), "net")


@each_kind
def test_numbers_beyond_float32_are_refused_by_name(kind: str) -> None:
    with pytest.raises(CheckpointError, match=r"tensor w of net has NaN or infinite values \(as float32\)"):
        read_tensors(KINDS[kind]({"w": torch.tensor([1e300], dtype=torch.float64)}), "net")


def test_complex_numbers_are_refused_by_name() -> None:
    with pytest.raises(CheckpointError, match="tensor w of net has complex numbers"):
        read_tensors(safetensors.torch.save({"w": torch.ones(2, dtype=torch.complex64)}), "net")


def test_unprintable_characters_are_shown_as_escapes() -> None:
    with pytest.raises(CheckpointError) as error:
        read_tensors(save({"a\0b\n\x1b[31m": torch.tensor([float("nan")])}), "net\r")
    assert str(error.value) == r"the tensor a\x00b\n\x1b[31m of net\r has NaN or infinite values (as float32)"


def test_a_surrogate_in_a_name_is_shown_as_an_escape() -> None:
    """Unicode's surrogates cannot be printed at all; pickles can hold them."""
    name = b"X" + struct.pack("<I", 3) + "\ud800".encode("utf-8", "surrogatepass")
    value = tensor(storage(text("0"), 1), [1], [1])
    with pytest.raises(CheckpointError, match=r"tensor \\ud800 of net has NaN or infinite values"):
        read_tensors(zip_of(b"}" + name + value + b"s", struct.pack("<f", float("nan"))), "net")


def test_long_messages_are_shortened() -> None:
    with pytest.raises(CheckpointError) as error:
        read_tensors(save({"w" * 1_000_000: torch.tensor([float("nan")])}), "net")
    assert len(str(error.value)) == 2000


# ---- what the file says of its accuracy


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"best_prec1": 92.96}, {"best_prec1": 0.9296}),
        ({"best_prec": 0.9296}, {"best_prec": 0.9296}),
        ({"best_acc": 93, "acc": 92.5, "epoch": 90}, {"best_acc": 0.93, "acc": 0.925}),
        ({"best_acc1": torch.tensor(71.5), "best_top1": torch.tensor([0.5])}, {"best_acc1": 0.715, "best_top1": 0.5}),
        ({"Acc@1": 92.0, "val-accuracy": 0.25}, {"Acc@1": 0.92, "val-accuracy": 0.25}),
        ({"acc": True, "accuracy": None, "test_acc": "much", "val_acc": [92.0]}, {}),
        ({"acc": float("nan"), "accuracy": -1.0, "test_acc": 101, "val_acc": torch.ones(2)}, {}),
        ({"train_acc": 99.0, "loss": 0.5, 7: 92.0}, {}),
        ({"**acc**": 92.0, "<acc>": 92.0}, {}),
    ],
)
@pytest.mark.parametrize("new", [True, False])
def test_accuracies_are_numbers_under_the_names_that_trainers_use(
    content: dict[object, object], expected: dict[str, float], new: bool
) -> None:
    content_of_file = read_checkpoint(save({"state_dict": tensors(ARCH), **content}, new), "net")
    assert content_of_file.accuracies == pytest.approx(expected)
    assert same(content_of_file.tensors, tensors(ARCH))


def test_accuracies_are_read_inside_a_wrapper_and_in_the_metadata_of_safetensors() -> None:
    inside = {"model": {"state_dict": tensors(ARCH), "test_acc": 91.0}, "acc": 90.0}
    assert read_checkpoint(save(inside), "net").accuracies == pytest.approx({"acc": 0.9, "test_acc": 0.91})
    file = safetensors.torch.save(tensors(ARCH), {"accuracy": "92.41 %", "acc": "1e400", "author": "acc"})
    assert read_checkpoint(file, "net").accuracies == pytest.approx({"accuracy": 0.9241})
    assert read_checkpoint(safetensors.torch.save(tensors(ARCH)), "net").accuracies == {}


def test_a_dictionary_that_lies_about_its_items_is_read_as_it_is() -> None:
    content = OrderedDict(acc=90.0)
    content.items = 3  # type: ignore[assignment, method-assign]
    assert stated_accuracies(content) == {"acc": 0.9}
