"""Packs the weight of one layer without loss into as few bytes as possible, and unpacks it. 0 and -0 count as equal.

The content of a packed weight is, in this order:

    1. the numbers of its quantizer (`packed_quantizer`), or its nonzero weights if it has none
    2. which weights have codes (`places`); nothing if all have
    3. the model of the coding, the positions of the nonzero weights, and the codes (`codings`)

The lengths of all parts but the codes stand in the header of the weight; the codes take the rest.
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
from compression.files.codings import CodedWeights, Coding, Stream, decode, encode
from compression.files.packed_quantizer import QuantizerKind, as_bytes, as_floats, as_numbers, from_numbers
from compression.files.places import decode_choices, decode_filters, encode_choices, encode_filters
from compression.networks.weights import swap_channels
from compression.quantization.quantizers import QParams, dequantize, quantize
from compression.spec import Structure

Pattern = tuple[int, int]


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
    """The weight of one layer as bytes (`content`), with what a reader must know beside them (`header`).

    `shape` has the output channels first. `transposed`: `LayerRecord.transposed_groups`. `numbers`: of the quantizer,
    or the nonzero weights as float32. `fields`: the header fields that belong to `numbers`. `alphabet`: the number of
    different codes. `entropy_bits`: the order-0 entropy of all codes, where zero weights are one more symbol.
    """

    kind: QuantizerKind
    shape: Size
    transposed: int
    numbers: bytes
    fields: dict[str, Any]
    places: Places
    stream: Stream
    alphabet: int
    entropy_bits: float

    @property
    def payload_bytes(self) -> int:
        """The bytes of `content` without those of `numbers`."""
        return len(self.places.encoding) + self.stream.nbytes

    @property
    def nbytes(self) -> int:
        return len(self.numbers) + self.payload_bytes

    @property
    def content(self) -> bytes:
        return b"".join((*self._parts, self.stream.codes))

    @property
    def header(self) -> dict[str, Any]:
        """What `unpack_weight` must know beside `content`, as values for JSON.

        `lengths` are those of the numbers, the encoded places, the model and the positions. Left out are `structure`
        and `pattern` if all weights have codes, and `transposed` if it is 0.
        """
        return {
            "shape": list(self.shape),
            "kind": self.kind,
            "coding": self.stream.coding,
            "alphabet": self.alphabet,
            "lengths": [len(part) for part in self._parts],
            **({"structure": self.places.structure} if self.places.encoding else {}),
            **({"pattern": self.places.pattern} if self.places.pattern else {}),
            **({"transposed": self.transposed} if self.transposed else {}),
            **self.fields,
        }

    @property
    def _parts(self) -> tuple[bytes, ...]:
        return self.numbers, self.places.encoding, self.stream.model, self.stream.positions


def pack_weight(record: LayerRecord) -> PackedWeight:
    """Packs the weight of a layer into the fewest bytes.

    If quantizing and dequantizing the weight does not give it back exactly, its nonzero values are stored as float32:
    where values of neighbouring codes differ in the last bit of a float32, quantizing may yield the other code.
    """
    weight = record.channels_first.contiguous()
    nonzero = weight.numpy() != 0
    if record.qparams is not None:
        codes = quantize(weight, record.qparams)
        exact = (dequantize(codes, record.qparams) == weight).numpy()
        if exact.all() or exact[nonzero].all():
            low = record.qparams.low if isinstance(record.qparams, QParams) else 0
            numbers = as_numbers(record.qparams)
            return _shortest(record, *numbers, codes.numpy() - low, record.qparams.codes, nonzero, exact)
    no_codes = np.zeros(weight.shape, np.int64)
    numbers = QuantizerKind.FLOAT, as_bytes(weight[torch.from_numpy(nonzero)]), {}
    return _shortest(record, *numbers, no_codes, 1, nonzero, nonzero)


def unpack_weight(content: bytes, header: dict[str, Any]) -> Tensor:
    """Returns the weight that `pack_weight` packed, float32, in the shape that it has in its module.

    Raises DamagedStream, or the errors of NumPy and torch, if `content` and `header` do not describe a weight.
    """
    shape, kind, alphabet = Size(header["shape"]), QuantizerKind(header["kind"]), header["alphabet"]
    ends = [0, *accumulate(header["lengths"])]
    numbers, encoding, model, positions = (content[start:end] for start, end in pairwise(ends))
    mask = _decode_places(Structure(header.get("structure", Structure.WEIGHT)), encoding, shape, header.get("pattern"))
    codes, nonzero = np.zeros(shape, np.int64), np.zeros(shape, bool)
    stream = Stream(Coding(header["coding"]), content[ends[-1] :], positions, model)
    codes[mask], nonzero[mask] = decode(stream, int(mask.sum()), alphabet)
    weight = torch.zeros(shape)
    stored = torch.from_numpy(nonzero)
    if kind is QuantizerKind.FLOAT:
        weight[stored] = as_floats(numbers)
    else:
        qparams = from_numbers(kind, numbers, alphabet, len(shape), header)
        weight = torch.where(stored, dequantize(torch.from_numpy(codes + header.get("low", 0)).int(), qparams), weight)
    return swap_channels(weight, header.get("transposed", 0))


def _shortest(
    record: LayerRecord,
    kind: QuantizerKind,
    numbers: bytes,
    fields: dict[str, Any],
    codes: Array,
    alphabet: int,
    nonzero: Array,
    exact: Array,
) -> PackedWeight:
    """Returns the shortest packed weight over all ways to encode the places; of equally short ones, the simplest.

    All arrays are (C_out, ...). `codes` are 0..alphabet-1, and `exact` is True where a code decodes to its weight.
    """
    every = CodedWeights(codes.ravel(), alphabet, nonzero.ravel())
    bound = entropy_bits(every.counts)
    candidates = []
    for places in _possible_places(nonzero, record.pattern):
        mask = places.mask
        some = CodedWeights(codes[mask], alphabet, nonzero[mask]) if places.encoding else every
        stream = encode(some, zeros_have_codes=bool(exact[mask].all() if places.encoding else exact.all()))
        shape = Size(nonzero.shape)
        candidates.append(
            PackedWeight(kind, shape, record.transposed_groups, numbers, fields, places, stream, alphabet, bound)
        )
    return min(candidates, key=lambda candidate: candidate.nbytes)


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
