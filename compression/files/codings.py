"""Codes of weights to bytes and back, without loss, in four ways.

Codes are whole numbers 0..alphabet-1, in a flat array (n,), and beside them stands which weights are `there` (n,): a
weight that is not there is zero, whatever its code. Whoever decodes must know n and the alphabet.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from compression.files.ans import decode_symbols, encode_symbols
from compression.files.bits import Array, Damaged, pack, unpack, width

Decoded = tuple[Array, Array]

MOST_SYMBOLS = 1 << 12  # beyond, to tell the frequencies takes more than they save

GAP_BITS = range(1, 17)

GAPS_HEADER = struct.Struct("<BI")


class Coding(StrEnum):
    """How codes become bytes."""

    DENSE = "dense"
    BITMAP = "bitmap"
    GAPS = "gaps"
    ENTROPY = "entropy"


@dataclass(frozen=True)
class Stream:
    """The bytes of the codes, of the places of the weights that are there, and of what else decoding takes."""

    coding: Coding
    codes: bytes
    places: bytes = b""
    model: bytes = b""

    @property
    def nbytes(self) -> int:
        return len(self.codes) + len(self.places) + len(self.model)


def encode(codes: Array, alphabet: int, there: Array, exact: bool) -> Stream:
    """The shortest of all four; of equals, the simpler.

    `exact`: the codes of the weights that are not there mean zero too, so that no place need be told.
    """
    ways = [coding for coding in Coding if exact or coding is not Coding.DENSE]
    streams = (ENCODERS[coding](codes, alphabet, there) for coding in ways)
    return min((stream for stream in streams if stream), key=lambda stream: stream.nbytes)


def decode(stream: Stream, count: int, alphabet: int) -> tuple[Array, Array]:
    """Codes (count,) int64 and which weights are there (count,) bool; the codes of the others are 0, but for DENSE.

    Raises Damaged where the bytes cannot be those of any codes.
    """
    codes, there = DECODERS[stream.coding](stream, count, alphabet)
    if count and codes.max() >= alphabet:
        raise Damaged
    return codes, there


def _dense(codes: Array, alphabet: int, there: Array) -> Stream:
    return Stream(Coding.DENSE, pack(codes, width(alphabet)))


def _from_dense(stream: Stream, count: int, alphabet: int) -> Decoded:
    return unpack(stream.codes, count, width(alphabet)), np.ones(count, bool)


def _bitmap(codes: Array, alphabet: int, there: Array) -> Stream:
    """A bit a weight says whether it is there; then the codes of those that are."""
    return Stream(Coding.BITMAP, pack(codes[there], width(alphabet)), pack(there, 1))


def _from_bitmap(stream: Stream, count: int, alphabet: int) -> Decoded:
    return _placed(stream.codes, unpack(stream.places, count, 1).astype(bool), alphabet)


def _gaps(codes: Array, alphabet: int, there: Array) -> Stream:
    """The zeros before each weight that is there, in g bits; the largest number of g bits says "so many, and nothing
    here yet". Relative indices: Han et al. 2015 (arXiv:1510.00149), section 2, which puts in a zero weight instead.
    """
    gaps = np.diff(there.nonzero()[0], prepend=-1) - 1
    bits = min(GAP_BITS, key=lambda g: g * (len(gaps) + int((gaps // (2**g - 1)).sum())))
    skip = 2**bits - 1
    written = np.full(len(gaps) + int((gaps // skip).sum()), skip)
    written[np.cumsum(gaps // skip + 1) - 1] = gaps % skip
    header = GAPS_HEADER.pack(bits, len(written))
    return Stream(Coding.GAPS, pack(codes[there], width(alphabet)), pack(written, bits), header)


def _from_gaps(stream: Stream, count: int, alphabet: int) -> Decoded:
    if len(stream.model) != GAPS_HEADER.size:
        raise Damaged
    bits, written = GAPS_HEADER.unpack(stream.model)
    if bits not in GAP_BITS or written > 2 * count:
        raise Damaged
    gaps = unpack(stream.places, written, bits)
    here = gaps < 2**bits - 1
    places = (np.cumsum(gaps + here) - 1)[here]
    if len(places) and places[-1] >= count:
        raise Damaged
    there = np.zeros(count, bool)
    there[places] = True
    return _placed(stream.codes, there, alphabet)


def _placed(packed: bytes, there: Array, alphabet: int) -> Decoded:
    codes = np.zeros(len(there), np.int64)
    codes[there] = unpack(packed, int(there.sum()), width(alphabet))
    return codes, there


def _entropy(codes: Array, alphabet: int, there: Array) -> Stream | None:
    """A weight that is not there is one more symbol."""
    if alphabet >= MOST_SYMBOLS or not len(codes):
        return None
    found, model = encode_symbols(np.where(there, codes, alphabet), alphabet + 1)
    return Stream(Coding.ENTROPY, found, model=model)


def _from_entropy(stream: Stream, count: int, alphabet: int) -> Decoded:
    symbols = decode_symbols(stream.codes, stream.model, count, alphabet + 1)
    there = symbols < alphabet
    return symbols * there, there


ENCODERS: dict[Coding, Callable[[Array, int, Array], Stream | None]] = {
    Coding.DENSE: _dense,
    Coding.BITMAP: _bitmap,
    Coding.GAPS: _gaps,
    Coding.ENTROPY: _entropy,
}

DECODERS: dict[Coding, Callable[[Stream, int, int], Decoded]] = {
    Coding.DENSE: _from_dense,
    Coding.BITMAP: _from_bitmap,
    Coding.GAPS: _from_gaps,
    Coding.ENTROPY: _from_entropy,
}
