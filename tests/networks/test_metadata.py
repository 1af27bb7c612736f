"""Numbers and types beside the weights: the numbers of NumPy are read as they are, and NumPy is never called."""

import threading
from collections import Counter

import numpy as np
import pytest
import torch

from compression.errors import CheckpointError
from compression.networks.checkpoints.metadata import NumpyType, numpy_replaced, numpy_scalar
from compression.networks.checkpoints.pickles import DTYPES, NUMPY_TYPES, ForeignName
from compression.networks.checkpoints.reading import _loaded, read_checkpoint
from tests.support.networks import save

WEIGHTS = {"w": torch.ones(2, 2)}

NUMBERS = [
    *(np.dtype(name).type(7) for name in NUMPY_TYPES),
    *(np.float64(value) for value in (0.0, -0.0, 93.25, 1e300, np.inf)),
    *(np.int64(value) for value in (-1, 2**62)),
    np.bool_(False),
    np.mean([93.0, 93.5]),
]


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: f"{type(number).__name__} {number}")
@pytest.mark.parametrize("new", [True, False])
def test_a_number_of_numpy_is_read_as_the_number_of_python(number: np.generic, new: bool) -> None:
    content = _loaded(save({"state_dict": WEIGHTS, "number": number}, new), "net")
    assert content["number"] == number.item()
    assert type(content["number"]) is type(number.item())


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders_are_read(order: str) -> None:
    kind = NumpyType("i4", False, True)
    kind.__setstate__((3, order, None, None, None, -1, -1, 0))
    assert numpy_scalar(kind, np.array(70_000, f"{order}i4").tobytes()) == 70_000


@pytest.mark.parametrize("name", ["numpy.core.multiarray", "numpy._core.multiarray"])
def test_files_of_both_versions_of_numpy_are_read(name: str) -> None:
    content = save({"net": WEIGHTS, "acc": np.float64(93.0)}, new=False)
    (own,) = {each for each in (b"numpy.core.multiarray", b"numpy._core.multiarray") if each in content}
    assert read_checkpoint(content.replace(own, name.encode()), "net").accuracies == {"acc": 0.93}


@pytest.mark.parametrize(
    "value",
    [
        Counter([3, 3, 5]),
        Counter(),
        torch.device("cpu"),
        torch.device("cuda", 1),
        *(getattr(torch, name) for name in DTYPES),
        *(np.dtype(name) for name in NUMPY_TYPES),
    ],
    ids=str,
)
@pytest.mark.parametrize("new", [True, False])
def test_what_can_do_nothing_may_stand_beside_the_weights(value: object, new: bool) -> None:
    tensors = read_checkpoint(save({"state_dict": WEIGHTS, "other": value}, new), "net").tensors
    assert torch.equal(tensors["w"], WEIGHTS["w"])


@pytest.mark.parametrize(
    "value",
    [
        np.complex128(1),
        np.str_("a"),
        np.bytes_(b"a"),
        np.datetime64("2020"),
        np.array([(1, 2)], "i4,i4")[0],
        np.void(b"a"),
    ],
    ids=lambda value: type(value).__name__ + str(value.dtype),
)
def test_other_scalars_of_numpy_are_refused(value: np.generic) -> None:
    with pytest.raises(CheckpointError, match=r"would run code that it brings along \(numpy\.dtype\)"):
        read_checkpoint(save({"state_dict": WEIGHTS, "other": value}), "net")


def test_arrays_of_numpy_are_refused_with_what_to_do() -> None:
    with pytest.raises(CheckpointError, match=r"holds arrays of NumPy, .* torch\.from_numpy\(array\)"):
        read_checkpoint(save({"state_dict": WEIGHTS, "losses": np.ones(3)}), "net")


@pytest.mark.parametrize("name", ["O", "O8", "V8", "S8", "U2", "M8", "c16", "f8,f8", "", "f16"])
def test_a_type_that_is_no_number_has_no_stand_in(name: str) -> None:
    with pytest.raises(ForeignName):
        NumpyType(name, False, True)


def test_torch_keeps_none_of_these_names_even_with_many_readers() -> None:
    """Names that torch allows hold for the whole process, so one reader must not take them from another."""
    content, errors = save({"net": WEIGHTS, "acc": np.float64(93.0)}), []

    def read() -> None:
        try:
            for _ in range(20):
                assert read_checkpoint(content, "net").accuracies == {"acc": 0.93}
        except Exception as error:
            errors.append(error)

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert not errors
    with pytest.raises(ZeroDivisionError), numpy_replaced():
        assert 1 / 0
    assert not any("numpy" in str(each) for each in torch.serialization.get_safe_globals())
