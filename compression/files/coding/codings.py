"""The five lossless codings of the codes of weights.

A weight that is zero has a code too, which need not be stored. A decoder must know n and the alphabet.
With w = width(alphabet) bits per code, a stream holds:

    coding    codes                                positions                                   model
    dense     all n codes, w bits each             none                                        none
    bitmap    codes of the nonzero weights, w bits one bit per weight: 1 if it is nonzero      none
    gaps      codes of the nonzero weights, w bits runs of zeros, g bits each (see `_gaps`)    g, number of runs (`<BI`)
    entropy   ANS words (see `ans`)                none: symbol `alphabet` is a zero weight    frequencies (see `ans`)
    contexts  ANS words (see `contexts`)           none: symbol `alphabet` is a zero weight    `zero`, then frequencies
"""

import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from math import prod

import numpy as np
import torch

from compression.cached_property import cached_property
from compression.files.coding.ans import choose_model, count_bytes, decode_symbols, encode_symbols, read_model
from compression.files.coding.bits import Array, DamagedStream, Reader, pack, unpack, varint, whole_bytes, width
from compression.files.coding.contexts import decode_in_contexts, encode_in_contexts

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
    CONTEXTS = "contexts"


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


@dataclass(frozen=True, eq=False)
class CodedWeights:
    """The codes of some weights: `codes` (n,) are 0..alphabet-1, and `nonzero` (n,) is True for weights that are not 0.

    `shape` is (C_out, C_in, ...), or (n,) without whole channels. `symbols` (n,) are the codes of nonzero weights,
    and `alphabet` for each zero weight; `counts` (alphabet + 1,) says how often each symbol occurs.
    """

    codes: Array
    alphabet: int
    nonzero: Array
    shape: tuple[int, ...] = ()

    @cached_property
    def symbols(self) -> Array:
        if self.kept == len(self.codes):
            return self.codes
        # torch takes a tenth of the time of NumPy
        return torch.where(torch.from_numpy(self.nonzero), torch.from_numpy(self.codes), self.alphabet).numpy()

    @cached_property
    def counts(self) -> Array:
        # torch takes half of the time of NumPy
        return torch.bincount(torch.from_numpy(self.symbols), minlength=self.alphabet + 1).numpy()

    @cached_property
    def kept(self) -> int:
        """The number of nonzero weights."""
        return int(np.count_nonzero(self.nonzero))

    @property
    def width(self) -> int:
        """The bits of a code."""
        return width(self.alphabet)


def encode(weights: CodedWeights, zeros_have_codes: bool, quick: bool = False) -> Stream:
    """Returns the shortest of the five streams; of equally short ones, the first in the order of `Coding`.

    `zeros_have_codes`: the codes of the zero weights decode to zero, so that DENSE, which stores no positions, is
    possible. Streams that cannot be the shortest are not made. `quick` is for a count of bytes: CONTEXTS, which takes
    several times as long as all others, is left out, and an ENTROPY stream has about its length, but no content.
    """
    streams = (_entropy(weights, quick), None if quick else _contexts(weights))
    best = min(filter(None, streams), key=lambda each: each.nbytes, default=None)
    for coding in (Coding.DENSE, Coding.BITMAP, Coding.GAPS)[not zeros_have_codes :]:
        if best is None or LEAST_BYTES[coding](weights) <= best.nbytes:
            stream = ENCODERS[coding](weights)
            best = min((each for each in (stream, best) if each), key=lambda each: (each.nbytes, ORDER[each.coding]))
    assert best is not None
    return best


def decode(stream: Stream, shape: tuple[int, ...], alphabet: int) -> CodesAndNonzero:
    """Returns the codes (n,) int64 and which weights are nonzero (n,) bool, of n weights in a tensor of `shape`.

    The code of a zero weight is 0. A DENSE stream has no positions: all codes are the stored ones and all weights count
    as nonzero. Raises DamagedStream if the bytes cannot be those of n codes.
    """
    codes, nonzero = DECODERS[stream.coding](stream, shape, alphabet)
    if len(codes) and codes.max() >= alphabet:
        raise DamagedStream
    return codes, nonzero


def _dense(weights: CodedWeights) -> Stream:
    return Stream(Coding.DENSE, pack(weights.codes, weights.width))


def _dense_bytes(weights: CodedWeights) -> int:
    return whole_bytes(len(weights.codes) * weights.width)


def _from_dense(stream: Stream, shape: tuple[int, ...], alphabet: int) -> CodesAndNonzero:
    return unpack(stream.codes, prod(shape), width(alphabet)), np.ones(prod(shape), bool)


def _bitmap(weights: CodedWeights) -> Stream:
    return Stream(Coding.BITMAP, pack(weights.codes[weights.nonzero], weights.width), pack(weights.nonzero, 1))


def _bitmap_bytes(weights: CodedWeights) -> int:
    return whole_bytes(weights.kept * weights.width) + whole_bytes(len(weights.codes))


def _from_bitmap(stream: Stream, shape: tuple[int, ...], alphabet: int) -> CodesAndNonzero:
    return _unpack_at(unpack(stream.positions, prod(shape), 1).astype(bool), stream.codes, alphabet)


def _gaps(weights: CodedWeights) -> Stream:
    """Stores the number of zeros before each nonzero weight in g bits; g is the one that takes the fewest bits.

    The largest number of g bits, 2^g - 1, means: so many zeros, and the gap goes on with the next number. These are the
    relative indices of Han et al. 2015 (arXiv:1510.00149), section 2, who insert a zero weight there instead.
    """
    gaps = np.diff(np.flatnonzero(weights.nonzero), prepend=-1) - 1
    counts = np.bincount(gaps)
    lengths = np.flatnonzero(counts)
    bits = min(GAP_BITS, key=lambda g: g * (len(gaps) + int((lengths // (2**g - 1) * counts[lengths]).sum())))
    skip = 2**bits - 1
    runs = np.full(len(gaps) + int((gaps // skip).sum()), skip)
    runs[np.cumsum(gaps // skip + 1) - 1] = gaps % skip
    header = GAPS_HEADER.pack(bits, len(runs))
    return Stream(Coding.GAPS, pack(weights.codes[weights.nonzero], weights.width), pack(runs, bits), header)


def _least_gaps_bytes(weights: CodedWeights) -> int:
    """Returns the bytes that `_gaps` takes at least.

    A gap of z zeros takes floor(z / s) more numbers than one, s = 2^g - 1, which is at least (z - s + 1) / s.
    """
    kept = weights.kept
    zeros = len(weights.codes) - int(weights.nonzero[::-1].argmax()) - kept if kept else 0
    bits = np.array(GAP_BITS)
    runs = kept + np.maximum(0, -((kept * (2**bits - 2) - zeros) // (2**bits - 1)))
    return GAPS_HEADER.size + whole_bytes(kept * weights.width) + whole_bytes(int((bits * runs).min()))


def _from_gaps(stream: Stream, shape: tuple[int, ...], alphabet: int) -> CodesAndNonzero:
    if len(stream.model) != GAPS_HEADER.size:
        raise DamagedStream
    count, (bits, length) = prod(shape), GAPS_HEADER.unpack(stream.model)
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


def _entropy(weights: CodedWeights, quick: bool = False) -> Stream | None:
    """Returns None for an alphabet that is too large, or if there are no codes. A zero weight is one more symbol.

    If `quick`, its codes are zeros, as many as there would be or up to eight more.
    """
    if weights.alphabet >= MOST_SYMBOLS or not len(weights.codes):
        return None
    if quick:
        length, model = count_bytes(weights.counts)
        return Stream(Coding.ENTROPY, bytes(length), model=model)
    content, model = encode_symbols(weights.symbols, weights.counts)
    return Stream(Coding.ENTROPY, content, model=model)


def _from_entropy(stream: Stream, shape: tuple[int, ...], alphabet: int) -> CodesAndNonzero:
    return _codes_of(decode_symbols(stream.codes, stream.model, prod(shape), alphabet + 1), alphabet)


def _contexts(weights: CodedWeights) -> Stream | None:
    """Returns None for an alphabet that is too large, for no whole channels, or if there are no codes but one.

    The code of zero is not known here: it is the middle one of a symmetric quantizer, and else near the mean.
    """
    if weights.alphabet >= MOST_SYMBOLS or len(weights.shape) < 2 or not weights.kept:
        return None
    zeros = {(weights.alphabet - 1) // 2, round(float(weights.codes[weights.nonzero].mean()))}
    frequencies, model = choose_model(weights.counts)
    streams = []
    for zero in sorted(zeros):
        with suppress(ValueError):
            content = encode_in_contexts(weights.symbols, weights.shape, frequencies, zero)
            streams.append(Stream(Coding.CONTEXTS, content, model=varint(zero) + model))
    return min(streams, key=lambda stream: stream.nbytes, default=None)


def _from_contexts(stream: Stream, shape: tuple[int, ...], alphabet: int) -> CodesAndNonzero:
    reader = Reader(stream.model)
    zero, frequencies = reader.varint(), read_model(reader.rest(), alphabet + 1)
    if len(shape) < 2 or zero >= alphabet:
        raise DamagedStream
    return _codes_of(decode_in_contexts(stream.codes, shape, frequencies, zero), alphabet)


def _codes_of(symbols: Array, alphabet: int) -> CodesAndNonzero:
    nonzero = symbols < alphabet
    return symbols * nonzero, nonzero


ORDER = {coding: place for place, coding in enumerate(Coding)}

LEAST_BYTES: dict[Coding, Callable[[CodedWeights], int]] = {
    Coding.DENSE: _dense_bytes,
    Coding.BITMAP: _bitmap_bytes,
    Coding.GAPS: _least_gaps_bytes,
}

ENCODERS: dict[Coding, Callable[[CodedWeights], Stream | None]] = {
    Coding.DENSE: _dense,
    Coding.BITMAP: _bitmap,
    Coding.GAPS: _gaps,
    Coding.ENTROPY: _entropy,
    Coding.CONTEXTS: _contexts,
}

DECODERS: dict[Coding, Callable[[Stream, tuple[int, ...], int], CodesAndNonzero]] = {
    Coding.DENSE: _from_dense,
    Coding.BITMAP: _from_bitmap,
    Coding.GAPS: _from_gaps,
    Coding.ENTROPY: _from_entropy,
    Coding.CONTEXTS: _from_contexts,
}
