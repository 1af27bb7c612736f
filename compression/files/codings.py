"""The four lossless codings of the codes of weights.

Codes are whole numbers 0..alphabet-1 in a flat array (n,). A boolean array `nonzero` (n,) says which weights are not
zero; a weight that is zero has a code too, which need not be stored. A decoder must know n and the alphabet.
With w = width(alphabet) bits per code, a stream holds:

    coding    codes                                positions                                   model
    dense     all n codes, w bits each             none                                        none
    bitmap    codes of the nonzero weights, w bits one bit per weight: 1 if it is nonzero      none
    gaps      codes of the nonzero weights, w bits runs of zeros, g bits each (see `_gaps`)    g, number of runs (`<BI`)
    entropy   ANS words (see `ans`)                none: symbol `alphabet` is a zero weight    frequencies (see `ans`)
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from compression.files.ans import decode_symbols, encode_symbols
from compression.files.bits import Array, DamagedStream, pack, unpack, width

CodesAndNonzero = tuple[Array, Array]

MOST_SYMBOLS = 1 << 12  # a larger alphabet is not entropy coded: its frequencies would take more than they save

GAP_BITS = range(1, 17)

GAPS_HEADER = struct.Struct("<BI")


class Coding(StrEnum):
    """How codes are stored as bytes, from the simplest to the most involved."""

    DENSE = "dense"
    BITMAP = "bitmap"
    GAPS = "gaps"
    ENTROPY = "entropy"


@dataclass(frozen=True)
class Stream:
    """Encoded codes: the bytes of the codes, of the positions of nonzero weights, and of the coding's own parameters.

    See the table of this module for what `codes`, `positions` and `model` hold in each coding.
    """

    coding: Coding
    codes: bytes
    positions: bytes = b""
    model: bytes = b""

    @property
    def nbytes(self) -> int:
        return len(self.codes) + len(self.positions) + len(self.model)


def encode(codes: Array, alphabet: int, nonzero: Array, zeros_have_codes: bool) -> Stream:
    """Returns the shortest of the four streams; of equally short ones, the first in the order of `Coding`.

    `zeros_have_codes`: the codes of the zero weights decode to zero, so that DENSE, which stores no positions, is
    possible.
    """
    codings = [coding for coding in Coding if zeros_have_codes or coding is not Coding.DENSE]
    streams = (ENCODERS[coding](codes, alphabet, nonzero) for coding in codings)
    return min((stream for stream in streams if stream), key=lambda stream: stream.nbytes)


def decode(stream: Stream, count: int, alphabet: int) -> CodesAndNonzero:
    """Returns the codes (count,) int64 and which weights are nonzero (count,) bool.

    The code of a zero weight is 0. A DENSE stream has no positions: all codes are the stored ones and all weights count
    as nonzero. Raises DamagedStream if the bytes cannot be those of `count` codes.
    """
    codes, nonzero = DECODERS[stream.coding](stream, count, alphabet)
    if count and codes.max() >= alphabet:
        raise DamagedStream
    return codes, nonzero


def _dense(codes: Array, alphabet: int, nonzero: Array) -> Stream:
    return Stream(Coding.DENSE, pack(codes, width(alphabet)))


def _from_dense(stream: Stream, count: int, alphabet: int) -> CodesAndNonzero:
    return unpack(stream.codes, count, width(alphabet)), np.ones(count, bool)


def _bitmap(codes: Array, alphabet: int, nonzero: Array) -> Stream:
    return Stream(Coding.BITMAP, pack(codes[nonzero], width(alphabet)), pack(nonzero, 1))


def _from_bitmap(stream: Stream, count: int, alphabet: int) -> CodesAndNonzero:
    return _unpack_at(unpack(stream.positions, count, 1).astype(bool), stream.codes, alphabet)


def _gaps(codes: Array, alphabet: int, nonzero: Array) -> Stream:
    """Stores the number of zeros before each nonzero weight in g bits; g is the one that takes the fewest bits.

    The largest number of g bits, 2^g - 1, means: so many zeros, and the gap goes on with the next number. These are the
    relative indices of Han et al. 2015 (arXiv:1510.00149), section 2, who insert a zero weight there instead.
    """
    gaps = np.diff(nonzero.nonzero()[0], prepend=-1) - 1
    bits = min(GAP_BITS, key=lambda g: g * (len(gaps) + int((gaps // (2**g - 1)).sum())))
    skip = 2**bits - 1
    runs = np.full(len(gaps) + int((gaps // skip).sum()), skip)
    runs[np.cumsum(gaps // skip + 1) - 1] = gaps % skip
    header = GAPS_HEADER.pack(bits, len(runs))
    return Stream(Coding.GAPS, pack(codes[nonzero], width(alphabet)), pack(runs, bits), header)


def _from_gaps(stream: Stream, count: int, alphabet: int) -> CodesAndNonzero:
    if len(stream.model) != GAPS_HEADER.size:
        raise DamagedStream
    bits, length = GAPS_HEADER.unpack(stream.model)
    if bits not in GAP_BITS or length > 2 * count:
        raise DamagedStream
    runs = unpack(stream.positions, length, bits)
    ends_at_weight = runs < 2**bits - 1
    places = (np.cumsum(runs + ends_at_weight) - 1)[ends_at_weight]
    if len(places) and places[-1] >= count:
        raise DamagedStream
    nonzero = np.zeros(count, bool)
    nonzero[places] = True
    return _unpack_at(nonzero, stream.codes, alphabet)


def _unpack_at(nonzero: Array, content: bytes, alphabet: int) -> CodesAndNonzero:
    """Returns the codes (n,), which are those packed in `content` where `nonzero` is True and 0 elsewhere."""
    codes = np.zeros(len(nonzero), np.int64)
    codes[nonzero] = unpack(content, int(nonzero.sum()), width(alphabet))
    return codes, nonzero


def _entropy(codes: Array, alphabet: int, nonzero: Array) -> Stream | None:
    """Returns None for an alphabet that is too large, or if there are no codes. A zero weight is one more symbol."""
    if alphabet >= MOST_SYMBOLS or not len(codes):
        return None
    content, model = encode_symbols(np.where(nonzero, codes, alphabet), alphabet + 1)
    return Stream(Coding.ENTROPY, content, model=model)


def _from_entropy(stream: Stream, count: int, alphabet: int) -> CodesAndNonzero:
    symbols = decode_symbols(stream.codes, stream.model, count, alphabet + 1)
    nonzero = symbols < alphabet
    return symbols * nonzero, nonzero


ENCODERS: dict[Coding, Callable[[Array, int, Array], Stream | None]] = {
    Coding.DENSE: _dense,
    Coding.BITMAP: _bitmap,
    Coding.GAPS: _gaps,
    Coding.ENTROPY: _entropy,
}

DECODERS: dict[Coding, Callable[[Stream, int, int], CodesAndNonzero]] = {
    Coding.DENSE: _from_dense,
    Coding.BITMAP: _from_bitmap,
    Coding.GAPS: _from_gaps,
    Coding.ENTROPY: _from_entropy,
}
