"""Which weights are left, told by filter or by choice: on paper, and there and back."""

import math

import numpy as np
import pytest
import torch

from compression.files.bits import DamagedStream
from compression.files.places import decode_choices, decode_filters, encode_choices, encode_filters
from compression.pruning.structures import keep_n_of_m

PATTERNS = [(2, 4), (1, 4), (4, 8), (1, 2), (3, 4), (5, 7), (16, 32), (95, 96), (2, 90)]


def scores(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(sum(shape)))


def test_a_bit_a_filter_on_paper() -> None:
    there = np.array([[0, 0], [0, 3], [1, 0]]) != 0
    told, left = encode_filters(there)
    assert told == bytes([0b110])
    assert left.tolist() == [[False, False], [True, True], [True, True]]
    assert decode_filters(told, (3, 2)).tolist() == left.tolist()


def test_choices_have_the_numbers_of_the_combinatorial_number_system() -> None:
    """2:4: {0,1} is 0, {0,2} 1, {1,2} 2, {0,3} 3, {1,3} 4, {2,3} 5, in three bits each, lowest first."""
    there = np.array([[1, 1, 0, 0], [1, 0, 1, 0], [0, 1, 1, 0], [1, 0, 0, 1], [0, 1, 0, 1], [0, 0, 1, 1]], bool)
    found = encode_choices(there, 2, 4)
    assert found
    assert int.from_bytes(found[0], "little") == sum(number << 3 * number for number in range(6))
    assert found[1].tolist() == there.tolist()


@pytest.mark.parametrize(("n", "m"), PATTERNS)
@pytest.mark.parametrize("shape", [(3, 100), (4, 35, 3, 3), (2, 3, 1, 1)])
def test_choices_there_and_back(n: int, m: int, shape: tuple[int, ...]) -> None:
    there = keep_n_of_m(scores(*shape), n, m).numpy()
    found = encode_choices(there, n, m)
    assert found
    told, left = found
    groups = there.size // shape[1] * (shape[1] // m)
    assert len(told) == math.ceil(groups * math.ceil(math.log2(math.comb(m, n))) / 8)
    assert (left == there).all()
    assert (decode_choices(told, shape, n, m) == there).all()


def test_of_fewer_than_n_some_zeros_are_left_too() -> None:
    there = np.array([[0, 0, 0, 1, 0, 0, 0, 0]], bool)
    found = encode_choices(there, 2, 4)
    assert found
    assert found[1].sum() == 4
    assert (found[1] | ~there).all()


def test_what_does_not_keep_to_the_pattern_is_not_told_by_it() -> None:
    assert encode_choices(np.ones((1, 4), bool), 2, 4) is None


def test_patterns_with_too_many_choices_are_not_told_by_them() -> None:
    assert encode_choices(keep_n_of_m(scores(2, 64), 32, 64).numpy(), 32, 64) is None


@pytest.mark.parametrize("told", [b"", b"\x00\x00", bytes([0b111])])
def test_damage_is_refused(told: bytes) -> None:
    """Three bits tell six choices; there is no seventh."""
    with pytest.raises(DamagedStream):
        decode_choices(told, (1, 4), 2, 4)
