"""Streams of codes: each way gives back what it was given, costs what it must, and refuses what is damaged."""

import math
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compression.files.ans import entropy_bits
from compression.files.bits import Array, DamagedStream, pack, unpack, width
from compression.files.codings import DECODERS, ENCODERS, Coding, Stream, decode, encode

each_coding = pytest.mark.parametrize("coding", Coding)


def bell(count: int, alphabet: int, sparsity: float, seed: int = 0) -> tuple[Array, Array]:
    """Codes like those of weights, most in the middle, and which weights are there."""
    rng = np.random.default_rng(seed)
    codes = np.clip(np.rint(rng.normal(alphabet / 2, alphabet / 6, count)), 0, alphabet - 1).astype(np.int64)
    return codes, rng.random(count) >= sparsity


@st.composite
def anything(draw: st.DrawFn) -> tuple[Array, int, Array]:
    alphabet = draw(st.sampled_from([1, 2, 3, 15, 255, 4096, 5000, 65535]))
    some = draw(st.lists(st.integers(0, alphabet - 1), min_size=1, max_size=6))
    codes = draw(st.lists(st.sampled_from(some), max_size=300))
    there = draw(st.lists(st.booleans(), min_size=len(codes), max_size=len(codes)))
    return np.array(codes, np.int64), alphabet, np.array(there, bool)


def there_alike(one: tuple[Array, Array], other: tuple[Array, Array]) -> bool:
    return bool((one[1] == other[1]).all() and (one[0][one[1]] == other[0][other[1]]).all())


@each_coding
@given(case=anything())
@settings(max_examples=150, deadline=None)
def test_what_went_in_comes_out(coding: Coding, case: tuple[Array, int, Array]) -> None:
    codes, alphabet, there = case
    stream = ENCODERS[coding](codes, alphabet, there)
    if stream is None:
        return
    assert stream.coding is coding
    found = decode(stream, len(codes), alphabet)
    if coding is Coding.DENSE:
        assert found[0].tolist() == codes.tolist()
    else:
        assert there_alike(found, (codes, there))


@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("alphabet", [3, 15, 255, 65535])
def test_large_ones_too_and_the_shortest_is_taken(alphabet: int, sparsity: float) -> None:
    codes, there = bell(50_000, alphabet, sparsity)
    stream = encode(codes, alphabet, there, zeros_have_codes=False)
    assert there_alike(decode(stream, len(codes), alphabet), (codes, there))
    ways = [ENCODERS[way](codes, alphabet, there) for way in (Coding.BITMAP, Coding.GAPS, Coding.ENTROPY)]
    assert stream.nbytes == min(found.nbytes for found in ways if found)


def test_places_need_not_be_told_where_codes_say_zero_themselves() -> None:
    codes, there = np.arange(15), np.arange(15) != 7
    assert encode(codes, 15, there, zeros_have_codes=True).coding is Coding.DENSE
    assert encode(codes, 15, there, zeros_have_codes=False).coding is not Coding.DENSE


def test_on_paper() -> None:
    """- - 5 - - - 7, of eight codes: three bits a code."""
    codes, there = np.array([0, 0, 5, 0, 0, 0, 7]), np.array([0, 0, 1, 0, 0, 0, 1], bool)
    dense, bitmap, gaps = (ENCODERS[way](codes, 8, there) for way in (Coding.DENSE, Coding.BITMAP, Coding.GAPS))
    assert dense
    assert dense.nbytes == 3  # 21 bits
    assert bitmap
    assert (bitmap.codes, bitmap.positions) == (bytes([5 | 7 << 3]), bytes([1 << 2 | 1 << 6]))
    assert gaps
    assert gaps.positions == bytes([2 | 3 << 2 | 0 << 4])  # two bits: a gap of 2, three more, and then none


@pytest.mark.parametrize("bits", range(33))
def test_packing_takes_no_more_bits_than_asked(bits: int) -> None:
    values = np.random.default_rng(bits).integers(0, 2**bits, 77)
    packed = pack(values, bits)
    assert len(packed) == math.ceil(77 * bits / 8)
    assert unpack(packed, 77, bits).tolist() == values.tolist()


@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("alphabet", [2, 3, 7, 15, 255])
@pytest.mark.parametrize("count", [100, 2_000, 100_000])
def test_entropy_coding_takes_hardly_more_than_the_bound(count: int, alphabet: int, sparsity: float) -> None:
    codes, there = bell(count, alphabet, sparsity)
    stream = ENCODERS[Coding.ENTROPY](codes, alphabet, there)
    assert stream
    bound = entropy_bits(np.bincount(np.where(there, codes, alphabet))) / 8
    assert bound - 1 <= len(stream.codes) <= 1.02 * bound + 64


def test_the_entropy_of_a_fair_coin_and_of_no_choice() -> None:
    assert entropy_bits(np.array([50, 0, 50])) == pytest.approx(100)
    assert entropy_bits(np.array([9])) == 0


@pytest.mark.parametrize("alphabet", [1, 2, 3, 4, 5, 255, 256, 257])
def test_the_width_of_a_symbol(alphabet: int) -> None:
    assert 2 ** width(alphabet) >= alphabet > 2 ** (width(alphabet) - 1)


@each_coding
def test_a_damaged_stream_gives_codes_of_the_alphabet_or_a_sentence(coding: Coding) -> None:
    """Which codes these are, is for a checksum to say."""
    whole = ENCODERS[coding](bell(500, 15, 0.6)[0], 15, bell(500, 15, 0.6)[1])
    assert whole
    rng = np.random.default_rng(0)
    for _ in range(500):
        parts = [bytearray(part) for part in (whole.codes, whole.positions, whole.model)]
        part = parts[rng.integers(3)]
        if part and rng.random() < 0.5:
            part[rng.integers(len(part))] ^= 1 << rng.integers(8)
        elif rng.random() < 0.5:
            del part[rng.integers(len(part) + 1) :]
        else:
            part += rng.bytes(rng.integers(1, 9))
        with suppress(DamagedStream):
            codes, there = decode(Stream(coding, *map(bytes, parts)), 500, 15)
            assert len(codes) == len(there) == 500
            assert codes.min() >= 0
            assert codes.max() < 15


def test_every_way_is_written_and_read() -> None:
    assert list(ENCODERS) == list(DECODERS) == list(Coding)
