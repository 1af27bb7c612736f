"""Streams of codes: each coding restores its input, takes the expected number of bytes, and refuses damaged streams."""

import math
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compression.files.coding.ans import entropy_bits
from compression.files.coding.bits import Array, DamagedStream, pack, unpack, width
from compression.files.coding.codings import (
    DECODERS,
    ENCODERS,
    LEAST_BYTES,
    CodedWeights,
    Coding,
    Stream,
    _entropy,
    decode,
    encode,
)

each_coding = pytest.mark.parametrize("coding", Coding)


def bell(count: int, alphabet: int, sparsity: float, seed: int = 0) -> tuple[Array, Array]:
    """Returns codes like those of weights, most of them in the middle, and which of the weights are nonzero."""
    rng = np.random.default_rng(seed)
    codes = np.clip(np.rint(rng.normal(alphabet / 2, alphabet / 6, count)), 0, alphabet - 1).astype(np.int64)
    return codes, rng.random(count) >= sparsity


@st.composite
def codes_to_encode(draw: st.DrawFn) -> tuple[Array, int, Array]:
    alphabet = draw(st.sampled_from([1, 2, 3, 15, 255, 4096, 5000, 65535]))
    some = draw(st.lists(st.integers(0, alphabet - 1), min_size=1, max_size=6))
    codes = draw(st.lists(st.sampled_from(some), max_size=300))
    nonzero = draw(st.lists(st.booleans(), min_size=len(codes), max_size=len(codes)))
    return np.array(codes, np.int64), alphabet, np.array(nonzero, bool)


def nonzero_codes_equal(one: tuple[Array, Array], other: tuple[Array, Array]) -> bool:
    return bool((one[1] == other[1]).all() and (one[0][one[1]] == other[0][other[1]]).all())


@each_coding
@given(case=codes_to_encode())
@settings(max_examples=150, deadline=None)
def test_decoding_restores_the_codes(coding: Coding, case: tuple[Array, int, Array]) -> None:
    codes, alphabet, nonzero = case
    weights = CodedWeights(codes, alphabet, nonzero, (1, len(codes)) if len(codes) % 2 else (2, len(codes) // 2))
    stream = ENCODERS[coding](weights)
    if stream is None:
        return
    assert stream.coding is coding
    decoded = decode(stream, weights.shape or (len(codes),), alphabet)
    if coding is Coding.DENSE:
        assert decoded[0].tolist() == codes.tolist()
    else:
        assert nonzero_codes_equal(decoded, (codes, nonzero))


@given(case=codes_to_encode())
@settings(max_examples=150, deadline=None)
def test_a_stream_that_is_not_made_could_not_have_been_shorter(case: tuple[Array, int, Array]) -> None:
    weights = CodedWeights(*case)
    streams = [ENCODERS[coding](weights) for coding in Coding]
    for coding, least in LEAST_BYTES.items():
        stream = ENCODERS[coding](weights)
        assert stream
        assert least(weights) == stream.nbytes if coding is not Coding.GAPS else least(weights) <= stream.nbytes
    assert encode(weights, zeros_have_codes=True) == min((s for s in streams if s), key=lambda each: each.nbytes)


@given(case=codes_to_encode())
@settings(max_examples=150, deadline=None)
def test_a_quick_entropy_stream_is_as_long_or_up_to_eight_bytes_longer(case: tuple[Array, int, Array]) -> None:
    assert_quick_length_is_right(CodedWeights(*case))


@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("alphabet", [2, 3, 15, 255])
@pytest.mark.parametrize("count", [1, 100, 2_000, 100_000])
def test_a_quick_entropy_stream_of_many_codes_has_the_same_length_within_eight_bytes(
    count: int, alphabet: int, sparsity: float
) -> None:
    codes, nonzero = bell(count, alphabet, sparsity)
    assert_quick_length_is_right(CodedWeights(codes, alphabet, nonzero))


def assert_quick_length_is_right(weights: CodedWeights) -> None:
    stream, quick = _entropy(weights), _entropy(weights, quick=True)
    if stream is None or quick is None:
        assert stream is quick
        return
    assert quick.model == stream.model
    assert 0 <= len(quick.codes) - len(stream.codes) <= 8


@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("alphabet", [3, 15, 255, 65535])
def test_long_streams_are_restored_and_the_shortest_coding_is_used(alphabet: int, sparsity: float) -> None:
    codes, nonzero = bell(50_000, alphabet, sparsity)
    weights = CodedWeights(codes, alphabet, nonzero)
    stream = encode(weights, zeros_have_codes=False)
    assert nonzero_codes_equal(decode(stream, weights.shape or (len(codes),), alphabet), (codes, nonzero))
    streams = [ENCODERS[each](weights) for each in (Coding.BITMAP, Coding.GAPS, Coding.ENTROPY)]
    assert stream.nbytes == min(each.nbytes for each in streams if each)


def test_dense_codes_are_used_only_if_a_code_stands_for_zero() -> None:
    codes, nonzero = np.arange(15), np.arange(15) != 7
    weights = CodedWeights(codes, 15, nonzero)
    assert encode(weights, zeros_have_codes=True).coding is Coding.DENSE
    assert encode(weights, zeros_have_codes=False).coding is not Coding.DENSE


def test_on_paper() -> None:
    """The codes 0 0 5 0 0 0 7 of an alphabet of eight: three bits per code."""
    codes, nonzero = np.array([0, 0, 5, 0, 0, 0, 7]), np.array([0, 0, 1, 0, 0, 0, 1], bool)
    weights = CodedWeights(codes, 8, nonzero)
    dense, bitmap, gaps = (ENCODERS[each](weights) for each in (Coding.DENSE, Coding.BITMAP, Coding.GAPS))
    assert dense
    assert dense.nbytes == 3  # 21 bits
    assert bitmap
    assert (bitmap.codes, bitmap.positions) == (bytes([5 | 7 << 3]), bytes([1 << 2 | 1 << 6]))
    assert gaps
    assert gaps.positions == bytes([2 | 3 << 2 | 0 << 4])  # 2 zeros, 3 without a weight, 0


@pytest.mark.parametrize("bits", range(33))
def test_packed_values_take_the_given_number_of_bits(bits: int) -> None:
    values = np.random.default_rng(bits).integers(0, 2**bits, 77)
    content = pack(values, bits)
    assert len(content) == math.ceil(77 * bits / 8)
    assert unpack(content, 77, bits).tolist() == values.tolist()


@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("alphabet", [2, 3, 7, 15, 255])
@pytest.mark.parametrize("count", [100, 2_000, 100_000])
def test_entropy_coding_takes_hardly_more_than_the_bound(count: int, alphabet: int, sparsity: float) -> None:
    codes, nonzero = bell(count, alphabet, sparsity)
    stream = ENCODERS[Coding.ENTROPY](CodedWeights(codes, alphabet, nonzero))
    assert stream
    bound = entropy_bits(np.bincount(np.where(nonzero, codes, alphabet))) / 8
    assert bound - 1 <= len(stream.codes) <= 1.02 * bound + 64


def test_the_entropy_of_a_fair_coin_and_of_no_choice() -> None:
    assert entropy_bits(np.array([50, 0, 50])) == pytest.approx(100)
    assert entropy_bits(np.array([9])) == 0


@pytest.mark.parametrize("alphabet", [1, 2, 3, 4, 5, 255, 256, 257])
def test_the_width_of_a_symbol(alphabet: int) -> None:
    assert 2 ** width(alphabet) >= alphabet > 2 ** (width(alphabet) - 1)


@each_coding
def test_a_damaged_stream_gives_codes_of_the_alphabet_or_an_error(coding: Coding) -> None:
    """A wrong code is detected by the checksum of the file, not here."""
    whole = ENCODERS[coding](CodedWeights(bell(500, 15, 0.6)[0], 15, bell(500, 15, 0.6)[1], (5, 10, 10)))
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
            codes, nonzero = decode(Stream(coding, *map(bytes, parts)), (5, 10, 10), 15)
            assert len(codes) == len(nonzero) == 500
            assert codes.min() >= 0
            assert codes.max() < 15


def test_every_coding_has_an_encoder_and_a_decoder() -> None:
    assert list(ENCODERS) == list(DECODERS) == list(Coding)
