"""Where each byte of a packed file goes, from 32 bits per weight down to the file on the disk, and a text about it.

The bytes of a pruned layer are divided by purpose: `codes` hold the values of its nonzero weights, and `places` hold
the positions of these weights: masks, gaps and the numbers of choices. Where zero weights have codes, these codes count
as places. An entropy-coded stream holds codes and positions in the same symbols; the entropy of zero against nonzero
counts as places: N h(k / N) bits for N weights of which k are nonzero, with the binary entropy h (chain rule of
entropy, Shannon 1948, section 6). In a layer that was not pruned, zero is a value like any other.
"""

from dataclasses import dataclass

import numpy as np

from compression.core.record import CompressedModel, LayerRecord
from compression.files.coding.ans import entropy_bits
from compression.files.coding.codings import Coding
from compression.files.packed_file import FileParts, assemble, count_file_bytes, pack_layers
from compression.files.packed_quantizer import QuantizerKind
from compression.files.packed_weight import PackedWeight
from compression.files.size import packed_bytes
from compression.networks.model import FloatModel
from compression.networks.weights import float_bytes
from compression.spec import FLOAT_BITS

ENTROPY_CODINGS = (Coding.ENTROPY, Coding.CONTEXTS)

LEAST_SHARE = 0.005  # of the file; smaller shares are not mentioned in words

ADDED = {
    "scales": "scales, zero points and codebooks",
    "places": "the positions of nonzero weights",
    "rest": "biases and batch norm",
    "container": "the header",
}


@dataclass(frozen=True)
class LayerBytes:
    """The bytes that the weight of one layer takes in the file.

    `weights` is the number of weights, `survivors` the number of nonzero ones after pruning and rounding, or of all
    weights if the layer was not pruned, and `bits` the bits of a code. `coding` names the coding, or is "float32" if
    the weight is not packed. All other fields are bytes: `codes` and `places` (see above), `model` with the frequencies
    for entropy coding, and `scales` with zero points and codebooks. `bound` is the order-0 entropy of the codes, where
    zero is one more symbol, plus the float32 weights if there are no codes. `contexts` is what coding with contexts
    saves on the codes, against the order-0 entropy; 0 for other codings.
    """

    name: str
    weights: int
    survivors: int
    bits: int
    coding: str
    codes: int
    places: int
    model: int
    scales: int
    bound: float
    contexts: int = 0

    @property
    def total(self) -> int:
        return self.codes + self.places + self.model + self.scales


@dataclass(frozen=True)
class FileLedger:
    """The bytes of a whole packed file.

    `float32`: the uncompressed network. `rest`: biases and batch norm, coded. `container`: the header of the file, with
    codings, lengths, spec, the quantizers of the inputs of layers, and checksums. With `exact` False, all are an
    estimate of a few percent that takes a part of the time, see `packed_file.FileParts`.
    """

    float32: int
    layers: tuple[LayerBytes, ...]
    rest: int
    container: int
    exact: bool = True

    @property
    def total(self) -> int:
        """The size of the file in bytes."""
        return self.coded + self.container

    @property
    def coded(self) -> int:
        """The bytes without the container: what `size` counts for the other ways to store a network."""
        return sum(layer.total for layer in self.layers) + self.rest

    @property
    def bound(self) -> float:
        """The order-0 entropy of codes and places in bytes: no coding that looks at each code alone takes fewer."""
        return sum(layer.bound for layer in self.layers)

    @property
    def sparsity(self) -> float:
        """The fraction of weights that are not stored as values, 0..1."""
        return 1 - sum(layer.survivors for layer in self.layers) / sum(layer.weights for layer in self.layers)

    @property
    def steps(self) -> dict[str, int]:
        """The bytes of the weights as float32, then what each step adds to them (or saves, below 0) down to the file.

        The values sum to `total`. "pruned" is what is saved if zero weights take no bits at all; "entropy coding" is
        what the coding saves beyond that if it looks at each code alone, and "contexts" what it saves by looking at
        other codes as well; "places" is what the positions of the nonzero weights take.
        """
        layers = self.layers
        float32 = sum(packed_bytes(layer.weights, FLOAT_BITS) for layer in layers)
        narrow = sum(packed_bytes(layer.weights, layer.bits) for layer in layers)
        pruned = sum(packed_bytes(layer.survivors, layer.bits) for layer in layers)
        return {
            "float32": float32,
            "fewer bits": narrow - float32,
            "pruned": pruned - narrow,
            "entropy coding": sum(layer.codes + layer.model + layer.contexts for layer in layers) - pruned,
            "contexts": -sum(layer.contexts for layer in layers),
            "scales": sum(layer.scales for layer in layers),
            "places": sum(layer.places for layer in layers),
            "rest": self.rest,
            "container": self.container,
        }


def count_file(compressed: CompressedModel, model: FloatModel, quick: bool = False) -> FileLedger:
    """Returns where the bytes of the packed file go, without making the file: exactly, or a `quick` estimate.

    `model` is the float network that was compressed. Raises ValueError if its architecture is unknown.
    """
    parts = pack_layers(compressed, quick)
    return file_ledger(parts, count_file_bytes(parts, model))


def encode_file(compressed: CompressedModel, model: FloatModel) -> tuple[bytes, FileLedger]:
    """Returns the packed file of a compressed network, as `packed_file.to_bytes` does, and where its bytes go."""
    parts = pack_layers(compressed)
    content = assemble(parts, model)
    return content, file_ledger(parts, len(content))


def file_ledger(parts: FileParts, nbytes: int) -> FileLedger:
    """Returns the ledger of the file of `nbytes` bytes that was assembled from `parts`."""
    layers = tuple(_layer_bytes(record, weight, parts) for record, weight in parts.layers)
    rest = sum(len(content) for content, _ in parts.floats.values())
    rest -= sum(_bytes_of_floats(record, weight, parts) for record, weight in parts.layers)
    container = nbytes - sum(layer.total for layer in layers) - rest
    return FileLedger(float_bytes(parts.compressed.original), layers, rest, container, parts.exact)


def _bytes_of_floats(record: LayerRecord, packed: PackedWeight | None, parts: FileParts) -> int:
    """Returns the bytes of a layer's float32 numbers: their share, by count, of all that are coded together."""
    kind, count = (packed.kind_of_floats, len(packed.numbers.floats)) if packed else ("weights", record.weights)
    content, numbers = parts.floats[kind]
    return len(content) * count // max(numbers, 1)


def _layer_bytes(record: LayerRecord, packed: PackedWeight | None, parts: FileParts) -> LayerBytes:
    survivors = record.nonzero if record.pruned else record.weights
    floats = _bytes_of_floats(record, packed, parts)
    if packed is None:
        return LayerBytes(record.name, record.weights, survivors, FLOAT_BITS, "float32", floats, 0, 0, 0, floats)
    is_float = packed.numbers.kind is QuantizerKind.FLOAT
    values = floats * is_float
    is_in_contexts = packed.stream.coding is Coding.CONTEXTS
    codes = len(packed.stream.codes) - _places_in_codes(record, packed, survivors)
    model = len(packed.stream.model) if packed.stream.coding in ENTROPY_CODINGS else 0
    return LayerBytes(
        name=record.name,
        weights=record.weights,
        survivors=survivors,
        bits=FLOAT_BITS if is_float else record.bits,
        coding=packed.stream.coding,
        codes=codes + values,
        places=packed.payload_bytes - codes - model,
        model=model,
        scales=floats - values + packed.zero_point_bytes,
        bound=packed.entropy_bits / 8 + values,
        contexts=round(packed.stream_entropy_bits / 8) - len(packed.stream.codes) if is_in_contexts else 0,
    )


def _places_in_codes(record: LayerRecord, packed: PackedWeight, survivors: int) -> int:
    """Returns how many bytes of the encoded codes hold the positions of nonzero weights."""
    codes = len(packed.stream.codes)
    if packed.numbers.kind is QuantizerKind.FLOAT:
        return codes
    if not record.pruned:
        return 0
    if packed.stream.coding in ENTROPY_CODINGS:
        zeros = int(packed.places.mask.sum()) - survivors
        return min(codes, round(entropy_bits(np.array([survivors, zeros])) / 8))
    return max(0, codes - packed_bytes(survivors, record.bits))


def explain_size(ledger: FileLedger) -> str:
    """Returns sentences that compare the size of the file with float32, and with what its bits and sparsity suggest.

    They suggest the size of the codes of the nonzero weights alone, without entropy coding.
    """
    steps = ledger.steps
    codes = steps["float32"] + steps["fewer bits"] + steps["pruned"]
    shares = _largest_shares(ledger)
    if codes in (0, steps["float32"]):
        fact = "All weights are stored as float32." if codes else "All weights are zero."
        return f"{fact} {shares}." if shares else fact
    saved = -(steps["entropy coding"] + steps["contexts"]) / codes
    coding = f"entropy coding shortens the codes by {100 * saved:.0f} %" if saved >= LEAST_SHARE else ""
    times, expected = f"{ledger.float32 / ledger.total:.3g}", f"{steps['float32'] / codes:.3g}"
    fact = f"The file is {times} times smaller than the float32 network"
    if times == expected:
        reasons = " and ".join(filter(None, (coding, shares)))
        fact = f"{fact}, as {_settings(ledger)} would make it."
        return f"{fact} {reasons[0].upper()}{reasons[1:]}." if reasons else fact
    fact = f"{fact}. {_settings(ledger)} would make it {expected} times smaller."
    larger = float(times) < float(expected)
    because, although = (shares, coding) if larger else (coding, shares)
    clauses = (f" because {because}" if because else "") + (f", although {although}" if although else "")
    return f"{fact} It is {'larger' if larger else 'smaller'} than that{clauses}." if clauses else fact


def _settings(ledger: FileLedger) -> str:
    """Returns the mean bits per weight, the sparsity or both, such as "4 bits per weight and 90 % sparsity"."""
    steps = ledger.steps
    bits = FLOAT_BITS * (1 + steps["fewer bits"] / steps["float32"])
    words = [f"{bits:.3g} bits per weight"] if bits < FLOAT_BITS else []
    return " and ".join(words + ([f"{100 * ledger.sparsity:.3g} % sparsity"] if ledger.sparsity else []))


def _largest_shares(ledger: FileLedger) -> str:
    """Returns what the file holds beside the codes, the largest share first; empty if all shares are small."""
    shares = ((ledger.steps[name] / ledger.total, words) for name, words in ADDED.items())
    ranked = sorted(shares, key=lambda pair: pair[0], reverse=True)
    percents = [(f"{100 * share:.0f} %", words) for share, words in ranked if share >= LEAST_SHARE]
    first = [f"{percent} of the file holds {words}" for percent, words in percents[:1]]
    return ", ".join(first + [f"{percent} holds {words}" for percent, words in percents[1:]])
