"""Networks whose weights cannot be meant are refused in words, or what they answer is said, before they are counted."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from compression.__main__ import main
from compression.data.cifar10 import TRAIN
from compression.data.images import ImageSet
from compression.errors import CheckpointError
from compression.evaluation.normalization_trial import choice_in_words, load_checkpoint
from tests.support.networks import Tensors, tensors

ARCH = "resnet8"

NOISE = ImageSet(
    torch.randint(0, 256, (200, *TRAIN.shape), generator=torch.Generator().manual_seed(0), dtype=torch.uint8),
    torch.arange(200) % 10,
    "made up",
    TRAIN,
)


def weights(state: Tensors) -> Tensors:
    return {name: value for name, value in state.items() if value.dim() > 1}


def negative_variance(state: Tensors) -> None:
    name = next(name for name in state if name.endswith("running_var"))
    state[name] = -state[name]


def codes_without_scales(state: Tensors) -> None:
    state.update({name: (50 * value).round().to(torch.int8) for name, value in weights(state).items()})


def whole_numbers(state: Tensors) -> None:
    state.update({name: (50 * value).round() for name, value in weights(state).items()})


def bools(state: Tensors) -> None:
    state.update({name: value > 0 for name, value in weights(state).items()})


def huge_weight(state: Tensors) -> None:
    first = next(iter(weights(state)))
    state[first] = state[first].clone()
    state[first][0, 0, 0, 0] = 3e38


def too_large_for_float32(state: Tensors) -> None:
    first = next(iter(weights(state)))
    state[first] = state[first].double()
    state[first][0, 0, 0, 0] = 1e300


def not_a_number(state: Tensors) -> None:
    last = list(weights(state))[-1]
    state[last] = torch.full_like(state[last], float("nan"))


REFUSED: dict[Callable[[Tensors], None], str] = {
    negative_variance: "has negative values, down to .*, which no variance has",
    codes_without_scales: r"holds integers \(int8\): they are codes of a .* network, and their scale is not known",
    whole_numbers: "holds whole numbers only, .* and their scale is not known",
    bools: r"holds integers \(bool\)",
    huge_weight: "the network gives infinite outputs or outputs that are not numbers, with every known normalisation",
    too_large_for_float32: "has NaN or infinite values",
    not_a_number: "has NaN or infinite values",
}


def saved(folder: Path, change: Callable[[Tensors], object]) -> Path:
    """Returns the path of a checkpoint with changed tensors."""
    state = tensors(ARCH)
    change(state)
    path = folder / "strange.pth"
    torch.save(state, path)
    return path


@pytest.mark.parametrize(("change", "words"), REFUSED.items(), ids=[change.__name__ for change in REFUSED])
def test_weights_that_cannot_be_meant_are_refused_in_words(
    change: Callable[[Tensors], None], words: str, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=words):
        load_checkpoint(saved(tmp_path, change), NOISE)


def test_the_command_line_refuses_them_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], few_trial_images: None, test_images: ImageSet
) -> None:
    path = saved(tmp_path, huge_weight)
    assert main(["evaluate", "--checkpoint", str(path), "--images", "100"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines()[-1].startswith("error: the network gives infinite outputs")


def zero_all(state: Tensors) -> None:
    for value in state.values():
        value.zero_()


def zero_the_last(state: Tensors) -> None:
    state[list(weights(state))[-1]].zero_()


@pytest.mark.parametrize("change", [zero_all, zero_the_last])
def test_a_network_that_always_gives_the_same_answer_is_called_that(
    change: Callable[[Tensors], None], tmp_path: Path
) -> None:
    choice = load_checkpoint(saved(tmp_path, change), NOISE).about["choice"]
    words = choice_in_words(choice)
    assert words.startswith("The network gives each of 200 training images the same answer: ")
    assert not choice.is_certain
