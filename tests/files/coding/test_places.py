"""Encoding the places of nonzero weights, per filter or per choice of n of m: by hand, and round trips."""

import math

import numpy as np
import pytest
import torch

from compression.files.coding.bits import DamagedStream
from compression.files.coding.places import decode_choices, decode_filters, encode_choices, encode_filters
from compression.pruning.structures import keep_n_of_m

PATTERNS = [(2, 4), (1, 4), (4, 8), (1, 2), (3, 4), (5, 7), (16, 32), (95, 96), (2, 90)]


def scores(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(sum(shape)))


def test_filters_take_one_bit_each() -> None:
    nonzero = np.array([[0, 0], [0, 3], [1, 0]]) != 0
    encoding, survivors = encode_filters(nonzero)
    assert encoding == bytes([0b110])
    assert survivors.tolist() == [[False, False], [True, True], [True, True]]
    assert decode_filters(encoding, (3, 2)).tolist() == survivors.tolist()


def test_choices_have_the_numbers_of_the_combinatorial_number_system() -> None:
    """2:4: {0,1} is 0, {0,2} 1, {1,2} 2, {0,3} 3, {1,3} 4, {2,3} 5, in three bits each, lowest first."""
    nonzero = np.array([[1, 1, 0, 0], [1, 0, 1, 0], [0, 1, 1, 0], [1, 0, 0, 1], [0, 1, 0, 1], [0, 0, 1, 1]], bool)
    places = encode_choices(nonzero, 2, 4)
    assert places
    assert int.from_bytes(places[0], "little") == sum(number << 3 * number for number in range(6))
    assert places[1].tolist() == nonzero.tolist()


@pytest.mark.parametrize(("n", "m"), PATTERNS)
@pytest.mark.parametrize("shape", [(3, 100), (4, 35, 3, 3), (2, 3, 1, 1)])
def test_decoding_restores_choices(n: int, m: int, shape: tuple[int, ...]) -> None:
    nonzero = keep_n_of_m(scores(*shape), n, m).numpy()
    places = encode_choices(nonzero, n, m)
    assert places
    encoding, survivors = places
    groups = nonzero.size // shape[1] * (shape[1] // m)
    assert len(encoding) == math.ceil(groups * math.ceil(math.log2(math.comb(m, n))) / 8)
    assert (survivors == nonzero).all()
    assert (decode_choices(encoding, shape, n, m) == nonzero).all()


def test_a_group_with_fewer_than_n_nonzero_weights_keeps_some_zeros() -> None:
    nonzero = np.array([[0, 0, 0, 1, 0, 0, 0, 0]], bool)
    places = encode_choices(nonzero, 2, 4)
    assert places
    assert places[1].sum() == 4
    assert (places[1] | ~nonzero).all()


def test_weights_that_break_the_pattern_are_not_encoded_by_it() -> None:
    assert encode_choices(np.ones((1, 4), bool), 2, 4) is None


def test_patterns_with_too_many_choices_are_not_encoded_by_them() -> None:
    assert encode_choices(keep_n_of_m(scores(2, 64), 32, 64).numpy(), 32, 64) is None


@pytest.mark.parametrize("encoding", [b"", b"\x00\x00", bytes([0b111])])
def test_damaged_choices_are_refused(encoding: bytes) -> None:
    """Three bits encode six choices, so the numbers 6 and 7 stand for none."""
    with pytest.raises(DamagedStream):
        decode_choices(encoding, (1, 4), 2, 4)
