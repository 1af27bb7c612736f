"""Packs the weight of one layer without loss into as few bytes as possible, and unpacks it. 0 and -0 count as equal.

A packed weight has three parts, which a file keeps apart because each is coded best with its like:

    entry    whole numbers that say how to decode it: `PackedWeight.entry`
    floats   the scales, codebooks or nonzero weights as float32 (`packed_quantizer`)
    content  its zero points, if they are whole; which weights have codes (`places`), nothing if all have; the model of
             the coding, the positions of the nonzero weights, and the codes (`codings`)
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from torch import Size, Tensor

from compression.cached_property import cached_property
from compression.core.record import LayerRecord
from compression.files.coding.ans import entropy_bits
from compression.files.coding.bits import Array, DamagedStream, Reader, pack, unpack, width
from compression.files.coding.codings import MOST_SYMBOLS, CodedWeights, Coding, Stream, decode, encode
from compression.files.coding.places import decode_choices, decode_filters, encode_choices, encode_filters
from compression.files.packed_quantizer import Numbers, QuantizerKind, Zeros, as_numbers, flat, from_numbers
from compression.networks.weights import swap_channels
from compression.quantization.quantizers import QParams, dequantize, quantize
from compression.spec import Structure

Pattern = tuple[int, int]

T = TypeVar("T")

# The numbers of these in a file are their places here.
KINDS, CODINGS, STRUCTURES, ZEROS = list(QuantizerKind), list(Coding), list(Structure), list(Zeros)

MOST_OF_A_GROUP = 64  # m in n:m

MOST_CODES = 1 << 20

MODEL_BYTES = 5 * (MOST_SYMBOLS + 3)  # at most five bytes for each number


@dataclass(frozen=True, eq=False)
class Places:
    """Which weights have codes: all, those of some filters, or n of each m.

    `mask` (C_out, ...) is True for a weight with a code; `encoding` are its bytes in the file, empty if all weights
    have codes. `pattern` is (n, m) if n of each m weights have codes.
    """

    structure: Structure
    mask: Array
    encoding: bytes = b""
    pattern: Pattern | None = None


@dataclass(frozen=True, eq=False)
class PackedWeight:
    """The weight of one layer, packed.

    `shape` has the output channels first. `transposed`: `LayerRecord.transposed_groups`. `alphabet`: the number of
    different codes. `entropy_bits`: the order-0 entropy of all codes, where zero weights are one more symbol;
    `stream_entropy_bits`: of those in the stream.
    """

    shape: Size
    transposed: int
    numbers: Numbers
    places: Places
    stream: Stream
    alphabet: int
    entropy_bits: float
    stream_entropy_bits: float

    @property
    def content(self) -> bytes:
        return b"".join(self._parts)

    @property
    def payload_bytes(self) -> int:
        """The bytes of `content` without those of the zero points."""
        return len(self.places.encoding) + self.stream.nbytes

    @property
    def nbytes(self) -> int:
        """The bytes of `content`, and of the floats before they are coded."""
        return self.payload_bytes + self.zero_point_bytes + self.numbers.floats.nbytes

    @property
    def zero_point_bytes(self) -> int:
        return len(self._parts[0])

    @property
    def kind_of_floats(self) -> str:
        """What the float32 numbers are, so that a file can code them together with those of other weights."""
        return kind_of_floats(self.numbers.kind)

    @property
    def entry(self) -> list[int]:
        """What `unpack_weight` must know beside floats and content, as whole numbers from 0 up."""
        numbers, pattern = self.numbers, self.places.pattern or ()
        return [
            KINDS.index(numbers.kind),
            CODINGS.index(self.stream.coding),
            STRUCTURES.index(self.places.structure),
            *pattern,
            self.transposed,
            self.alphabet,
            ZEROS.index(numbers.zeros),
            -2 * numbers.low if numbers.low <= 0 else 2 * numbers.low - 1,
            numbers.group_size,
            numbers.divisor,
            len(numbers.floats),
            *(len(part) for part in self._parts),
        ]

    @cached_property
    def _parts(self) -> tuple[bytes, ...]:
        zero_points, stream = pack(np.array(self.numbers.wholes, np.int64), width(self.alphabet)), self.stream
        return zero_points, self.places.encoding, stream.model, stream.positions, stream.codes


def kind_of_floats(kind: QuantizerKind) -> str:
    """Returns what the float32 numbers of a packed weight are called in a file."""
    return f"quantizer {kind}"


@dataclass(frozen=True, eq=False)
class Codes:
    """A weight as whole numbers: `codes` (C_out, ...) in 0..alphabet-1, which `numbers` turn into weights again.

    `nonzero` (C_out, ...) is True for weights that are not 0, and `exact` where a code decodes to its weight; it does
    for all nonzero weights. Of float weights, the nonzero ones are in `numbers`, and no code says more.
    """

    numbers: Numbers
    codes: Array
    alphabet: int
    nonzero: Array
    exact: Array


def codes_of(record: LayerRecord, quick: bool = False) -> Codes:
    """Returns the codes of the weight of a layer; `quick` trusts a quantizer with a level at zero to be exact.

    If quantizing and dequantizing the weight does not give it back exactly, its nonzero values are stored as float32:
    where values of neighbouring codes differ in the last bit of a float32, quantizing may yield the other code.
    """
    weight = record.channels_first.contiguous()
    nonzero = weight.numpy() != 0
    if record.qparams is not None:
        codes = quantize(weight, record.qparams)
        if quick and isinstance(record.qparams, QParams) and record.qparams.zero_is_exact:
            exact = np.broadcast_to(np.True_, nonzero.shape)
        else:
            exact = (dequantize(codes, record.qparams) == weight).numpy()
        if exact.all() or exact[nonzero].all():
            low = record.qparams.low if isinstance(record.qparams, QParams) else 0
            numbers = _without_unused(as_numbers(record.qparams), nonzero)
            return Codes(numbers, codes.numpy() - low, record.qparams.codes, nonzero, exact)
    no_codes = np.zeros(weight.shape, np.int64)
    numbers = Numbers(QuantizerKind.FLOAT, flat(weight[torch.from_numpy(nonzero)]))
    return Codes(numbers, no_codes, 1, nonzero, nonzero)


def pack_weight(record: LayerRecord, quick: bool = False) -> PackedWeight:
    """Packs the weight of a layer into the fewest bytes; `quick`: see `codings.encode` and `codes_of`.

    Of all ways to encode the places, the shortest is taken, and of equally short ones the simplest.
    """
    weight, bound, candidates = codes_of(record, quick), 0.0, []
    for places in _possible_places(weight.nonzero, record.pattern):
        mask: Array | slice = places.mask if places.encoding else slice(None)  # a mask takes a copy
        rows = _shape_of(places.mask, places.structure)
        some = CodedWeights(weight.codes[mask].ravel(), weight.alphabet, weight.nonzero[mask].ravel(), rows)
        entropy = entropy_bits(some.counts)
        bound = bound or entropy  # of all weights, which come first
        stream = encode(some, bool(weight.exact[mask].all()), quick)
        about = Size(weight.codes.shape), record.transposed_groups, weight.numbers
        candidates.append(PackedWeight(*about, places, stream, weight.alphabet, bound, entropy))
    return min(candidates, key=lambda candidate: candidate.nbytes)


def _without_unused(numbers: Numbers, nonzero: Array) -> Numbers:
    """Returns numbers that are 0 for each group without a nonzero weight; nonzero (C_out, ...) bool.

    Its weights are zero whatever its scale is, and zeros take hardly any bytes.
    """
    rows = nonzero.reshape(len(nonzero), -1)
    if size := numbers.group_size:
        rows = np.pad(rows, ((0, 0), (0, -rows.shape[1] % size))).reshape(-1, size)
    used = rows.sum(1) > 0
    if used.all() or numbers.zeros is Zeros.FLOATS or len(numbers.floats) % len(rows):
        return numbers
    floats = numbers.floats.reshape(len(rows), -1) * used[:, None]
    return replace(numbers, floats=floats.ravel())


@dataclass(frozen=True)
class Entry:
    """What `PackedWeight.entry` says: how to decode a weight, how many floats it has, and the lengths of its parts."""

    kind: QuantizerKind
    coding: Coding
    structure: Structure
    pattern: Pattern | None
    transposed: int
    alphabet: int
    zeros: Zeros
    low: int
    group_size: int
    divisor: int
    floats: int
    lengths: tuple[int, ...]


def read_entry(reader: Reader, weights: int) -> Entry:
    """Reads the entry of a weight with so many `weights`.

    Raises DamagedStream if decoding it could take much more time or memory than its weights.
    """
    kind, coding = _choose(KINDS, reader.varint()), _choose(CODINGS, reader.varint())
    structure = _choose(STRUCTURES, reader.varint())
    pattern = (reader.varint(), reader.varint()) if structure is Structure.N_M else None
    transposed, alphabet = reader.varint(), reader.varint()
    zeros, low, group_size = _choose(ZEROS, reader.varint()), reader.varint(), reader.varint()
    divisor, floats, lengths = reader.varint(), reader.varint(), tuple(reader.varint() for _ in range(5))
    most = MOST_SYMBOLS if coding in (Coding.ENTROPY, Coding.CONTEXTS) else MOST_CODES
    if (
        not 1 <= alphabet <= most
        or not 1 <= divisor <= MOST_CODES
        or floats > max(weights, 1) * 2
        or lengths[2] > MODEL_BYTES
        or (pattern and not 0 < pattern[0] <= pattern[1] <= MOST_OF_A_GROUP)
    ):
        raise DamagedStream
    low = -low // 2 if low % 2 == 0 else (low + 1) // 2
    return Entry(
        kind, coding, structure, pattern, transposed, alphabet, zeros, low, group_size, divisor, floats, lengths
    )


def _choose(options: Sequence[T], number: int) -> T:
    if number >= len(options):
        raise DamagedStream
    return options[number]


def unpack_weight(entry: Entry, floats: Array, content: Reader, expected: Size) -> Tensor:
    """Returns the weight that `pack_weight` packed, float32, in the shape that it has in its module, `expected`.

    Raises DamagedStream, or the errors of NumPy and torch, if the parts do not describe a weight.
    """
    shape = swap_channels(torch.empty(expected, device="meta"), entry.transposed).shape
    zero_points, encoding, model, positions, codes_content = map(content.take, entry.lengths)
    count = entry.floats if entry.zeros is Zeros.WHOLES else 0
    wholes = tuple(unpack(zero_points, count, width(entry.alphabet)).tolist())
    numbers = Numbers(entry.kind, floats, wholes, entry.zeros, entry.low, entry.group_size, entry.divisor)
    mask = _decode_places(entry.structure, encoding, shape, entry.pattern)
    codes, nonzero = np.zeros(shape, np.int64), np.zeros(shape, bool)
    stream = Stream(entry.coding, codes_content, positions, model)
    codes[mask], nonzero[mask] = decode(stream, _shape_of(mask, entry.structure), entry.alphabet)
    weight, stored = torch.zeros(shape), torch.from_numpy(nonzero)
    if entry.kind is QuantizerKind.FLOAT:
        weight[stored] = torch.from_numpy(floats)
    else:
        qparams = from_numbers(numbers, entry.alphabet, len(shape))
        weight = torch.where(stored, dequantize(torch.from_numpy(codes + entry.low).int(), qparams), weight)
    return swap_channels(weight, entry.transposed)


def _shape_of(mask: Array, structure: Structure) -> tuple[int, ...]:
    """Returns the shape of the weights with codes: whole channels, or a row of them for n:m."""
    if structure is Structure.N_M:
        return (int(mask.sum()),)
    return int(mask.reshape(len(mask), -1).any(1).sum()), *mask.shape[1:]


def _possible_places(nonzero: Array, pattern: Pattern | None) -> Iterator[Places]:
    """Yields all sets of weights with codes that contain every nonzero weight (C_out, ...), the simplest first."""
    yield Places(Structure.WEIGHT, np.ones(nonzero.shape, bool))
    encoding, mask = encode_filters(nonzero)
    if not mask.all():
        yield Places(Structure.FILTER, mask, encoding)
    if pattern and (choices := encode_choices(nonzero, *pattern)):
        yield Places(Structure.N_M, choices[1], choices[0], pattern)


def _decode_places(structure: Structure, encoding: bytes, shape: Size, pattern: Pattern | None) -> Array:
    if structure is Structure.FILTER:
        return decode_filters(encoding, shape)
    return decode_choices(encoding, shape, *pattern) if pattern else np.ones(shape, bool)
