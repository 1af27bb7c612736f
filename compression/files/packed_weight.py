"""The weight of one layer as few bytes, and back, without loss; 0 and -0 are the same weight.

First the numbers of its quantizer (or, where it has none, the weights that are not zero); then which weights have codes
(`survivors`, or all); then the codes, in the shortest of the ways of `coding`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import torch
from torch import Size, Tensor

from compression.core.record import LayerRecord
from compression.files.ans import entropy_bits
from compression.files.bits import Array
from compression.files.codings import Coding, Stream, decode, encode
from compression.files.packed_quantizer import Kind, as_bytes, floats, read, written
from compression.files.places import from_choices, from_filters, left_choices, left_filters
from compression.networks.weights import swap_channels
from compression.quantization.quantizers import QParams, dequantize, quantize
from compression.spec import Structure

Pattern = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Left:
    """Which weights (C_out, ...) have codes, and the bytes that say so; `pattern` (n, m) where n of each m have."""

    structure: Structure
    places: Array
    told: bytes = b""
    pattern: Pattern | None = None


@dataclass(frozen=True, eq=False)
class Packed:
    """A weight as bytes, and all that must be known beside them.

    `shape` has the output channels first. `numbers`: of its quantizer, or the weights that are left, as float32.
    `about`: what `numbers` must have beside them. `entropy_bits`: of all codes, with one more for what is zero.
    """

    kind: Kind
    shape: Size
    transposed: int
    numbers: bytes
    about: dict[str, Any]
    left: Left
    stream: Stream
    alphabet: int
    entropy_bits: float

    @property
    def payload(self) -> int:
        """Bytes of the codes and the places, without those of `numbers`."""
        return len(self.left.told) + self.stream.nbytes

    @property
    def nbytes(self) -> int:
        return len(self.numbers) + self.payload

    @property
    def content(self) -> bytes:
        return b"".join((*self._parts, self.stream.codes))

    @property
    def header(self) -> dict[str, Any]:
        """What `unpacked` must know beside `content`, for JSON."""
        return {
            "shape": list(self.shape),
            "kind": self.kind,
            "coding": self.stream.coding,
            "alphabet": self.alphabet,
            "lengths": [len(part) for part in self._parts],
            **({"structure": self.left.structure} if self.left.told else {}),
            **({"pattern": self.left.pattern} if self.left.pattern else {}),
            **({"transposed": self.transposed} if self.transposed else {}),
            **self.about,
        }

    @property
    def _parts(self) -> tuple[bytes, ...]:
        return self.numbers, self.left.told, self.stream.model, self.stream.places


def packed(record: LayerRecord) -> Packed:
    """The weight of a layer, in the shortest way that there is.

    Where a quantizer does not give the weights back from their values, they are written as they are: of two values
    that differ in the last bit of a float32 it may find the other one.
    """
    weight = record.channels_first
    there = weight != 0
    if record.qparams is not None:
        codes = quantize(weight, record.qparams)
        meant = dequantize(codes, record.qparams)
        if torch.equal(torch.where(there, meant, 0.0), weight):
            low = record.qparams.low if isinstance(record.qparams, QParams) else 0
            agree = (meant == weight).numpy()
            return _shortest(record, *written(record.qparams), codes.numpy() - low, record.qparams.codes, agree)
    no_codes = np.zeros(weight.shape, np.int64)
    return _shortest(record, Kind.FLOAT, as_bytes(weight[there]), {}, no_codes, 1, there.numpy())


def unpacked(content: bytes, header: dict[str, Any]) -> Tensor:
    """What was `packed`, float32, in the shape that its module has it in.

    Raises Damaged, or what NumPy and torch raise, where `content` and `header` are those of no weight.
    """
    shape, kind, alphabet = Size(header["shape"]), Kind(header["kind"]), header["alphabet"]
    ends = [0, *accumulate(header["lengths"])]
    numbers, told, model, places = (content[start:end] for start, end in pairwise(ends))
    left = _from_told(Structure(header.get("structure", Structure.WEIGHT)), told, shape, header.get("pattern"))
    codes, there = np.zeros(shape, np.int64), np.zeros(shape, bool)
    stream = Stream(Coding(header["coding"]), content[ends[-1] :], places, model)
    codes[left], there[left] = decode(stream, int(left.sum()), alphabet)
    weight = torch.zeros(shape)
    kept = torch.from_numpy(there)
    if kind is Kind.FLOAT:
        weight[kept] = floats(numbers)
    else:
        qparams = read(kind, numbers, alphabet, len(shape), header)
        weight = torch.where(kept, dequantize(torch.from_numpy(codes + header.get("low", 0)).int(), qparams), weight)
    return swap_channels(weight, header.get("transposed", 0))


def _shortest(
    record: LayerRecord,
    kind: Kind,
    numbers: bytes,
    about: dict[str, Any],
    codes: Array,
    alphabet: int,
    agree: Array,
) -> Packed:
    """codes (C_out, ...) -> the shortest of the ways to say what is left and its codes; of equals, the simpler.

    `agree`: where the code of a weight means that weight, whether or not it is zero.
    """
    there = (record.channels_first != 0).numpy()
    bound = entropy_bits(np.bincount(np.where(there, codes, alphabet).ravel()))
    found = []
    for left in _ways(there, record.pattern):
        stream = encode(codes[left.places], alphabet, there[left.places], bool(agree[left.places].all()))
        found.append(
            Packed(kind, Size(there.shape), record.transposed_groups, numbers, about, left, stream, alphabet, bound)
        )
    return min(found, key=lambda each: each.nbytes)


def _ways(there: Array, pattern: Pattern | None) -> Iterator[Left]:
    """there (C_out, ...) -> what can be said of the weights that are left before each of them has its code."""
    yield Left(Structure.WEIGHT, np.ones(there.shape, bool))
    told, left = left_filters(there)
    if not left.all():
        yield Left(Structure.FILTER, left, told)
    if pattern and (choices := left_choices(there, *pattern)):
        yield Left(Structure.N_M, choices[1], choices[0], pattern)


def _from_told(structure: Structure, told: bytes, shape: Size, pattern: Pattern | None) -> Array:
    if structure is Structure.FILTER:
        return from_filters(told, shape)
    return from_choices(told, shape, *pattern) if pattern else np.ones(shape, bool)
