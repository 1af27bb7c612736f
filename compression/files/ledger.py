"""From 32 bits a weight down to what is on the disk: where each byte of the file goes, and what that means in words.

The bytes of a layer that was pruned are told apart by what they are for: `codes`, the values of the weights that are
left, and `places`, which these are. Places are masks, gaps and choices. Where zeros are written as codes, they are
those codes; in an entropy-coded stream, which has one symbol for both, they are the entropy of there or not, N h(k / N)
bits of N weights of which k are left (the chain rule, Shannon 1948, section 6). Where nothing was pruned, zero is a
value like the others.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from compression.core.record import CompressedModel, LayerRecord
from compression.files.ans import entropy_bits
from compression.files.codings import Coding
from compression.files.packed_file import FileParts, as_text, joined, parts, prove
from compression.files.packed_quantizer import Kind
from compression.files.packed_weight import Packed
from compression.files.size import packed_bytes
from compression.networks.model import FloatModel
from compression.networks.weights import float_bytes
from compression.spec import FLOAT_BITS

LITTLE = 0.005  # of the file: no word is lost on less

ADDED = {
    "scales": "scales, zero points and codebooks",
    "places": "saying which weights are left",
    "rest": "float32 biases and batch norm",
    "container": "its header",
}


@dataclass(frozen=True)
class LayerBytes:
    """The weight of one layer on the disk. All but `weights`, `left` and `bits` are bytes.

    `left`: of the weights, those that pruning and rounding left, or all where nothing was pruned. `bits`: of a code.
    `coding`: how they are written, "float32" as they are. `scales`: with zero points and codebooks. `model`: the
    frequencies that entropy coding goes by. `bound`: the order-0 entropy of the codes, one more for what is zero, and
    the float32 weights where there are no codes.
    """

    name: str
    weights: int
    left: int
    bits: int
    coding: str
    codes: int
    places: int
    model: int
    scales: int
    bound: float

    @property
    def total(self) -> int:
        return self.codes + self.places + self.model + self.scales


@dataclass(frozen=True)
class FileLedger:
    """A whole file. `float32`: the network uncompressed; `inputs`: what quantizes them; `container`: names, shapes,
    codings, spec, checksums.
    """

    float32: int
    layers: tuple[LayerBytes, ...]
    inputs: int
    rest: int
    container: int

    @property
    def total(self) -> int:
        """The bytes on the disk."""
        return self.coded + self.container

    @property
    def coded(self) -> int:
        """All but the container: what `size` counts of other ways to store the network."""
        return sum(layer.total for layer in self.layers) + self.inputs + self.rest

    @property
    def bound(self) -> float:
        """Bytes that no coding of one code after another goes below: of codes and places, without scales and rest."""
        return sum(layer.bound for layer in self.layers)

    @property
    def sparsity(self) -> float:
        """The share of the weights that is not written as values, 0..1."""
        return 1 - sum(layer.left for layer in self.layers) / sum(layer.weights for layer in self.layers)

    @property
    def steps(self) -> dict[str, int]:
        """The bytes of the weights as float32, and what comes off and is added until the file is what it is."""
        layers = self.layers
        float32 = sum(packed_bytes(layer.weights, FLOAT_BITS) for layer in layers)
        narrow = sum(packed_bytes(layer.weights, layer.bits) for layer in layers)
        pruned = sum(packed_bytes(layer.left, layer.bits) for layer in layers)
        return {
            "float32": float32,
            "fewer bits": narrow - float32,
            "pruned": pruned - narrow,
            "entropy coding": sum(layer.codes + layer.model for layer in layers) - pruned,
            "scales": sum(layer.scales for layer in layers) + self.inputs,
            "places": sum(layer.places for layer in layers),
            "rest": self.rest,
            "container": self.container,
        }


def written(compressed: CompressedModel, model: FloatModel) -> tuple[bytes, FileLedger]:
    """The file of a compressed network, as `codec.to_bytes` gives it, and where its bytes go."""
    found = parts(compressed)
    content = joined(found, model)
    return content, file_ledger(found, len(content))


def proved(compressed: CompressedModel, model: FloatModel) -> tuple[bytes, FileLedger]:
    """The same, once it was read from a file. Raises CodecError where that gave back another network."""
    content, ledger = written(compressed, model)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "packed.safetensors")
        path.write_bytes(content)
        prove(path, compressed)
    return content, ledger


def file_ledger(found: FileParts, nbytes: int) -> FileLedger:
    """The ledger of a file of `nbytes` bytes that `found` became."""
    layers = tuple(_layer_bytes(record, each) for record, each in found.layers)
    float32 = float_bytes(found.compressed.original)
    inputs = len(as_text(found.inputs)) if found.inputs else 0
    rest = float32 - sum(packed_bytes(layer.weights, FLOAT_BITS) for layer in layers)
    container = nbytes - sum(layer.total for layer in layers) - inputs - rest
    return FileLedger(float32, layers, inputs, rest, container)


def _layer_bytes(record: LayerRecord, found: Packed | None) -> LayerBytes:
    left = record.nonzero if record.pruned else record.weights
    if found is None:
        float32 = packed_bytes(record.weights, FLOAT_BITS)
        return LayerBytes(record.name, record.weights, left, FLOAT_BITS, "float32", float32, 0, 0, 0, float32)
    is_float = found.kind is Kind.FLOAT
    values = len(found.numbers) * is_float
    codes = len(found.stream.codes) - _places_in_codes(record, found, left)
    model = len(found.stream.model) if found.stream.coding is Coding.ENTROPY else 0
    return LayerBytes(
        name=record.name,
        weights=record.weights,
        left=left,
        bits=FLOAT_BITS if is_float else record.bits,
        coding=found.stream.coding,
        codes=codes + values,
        places=found.payload - codes - model,
        model=model,
        scales=len(found.numbers) - values,
        bound=found.entropy_bits / 8 + values,
    )


def _places_in_codes(record: LayerRecord, found: Packed, left: int) -> int:
    """Of the bytes of the codes, those that say which weights are left."""
    codes = len(found.stream.codes)
    if found.kind is Kind.FLOAT:
        return codes
    if not record.pruned:
        return 0
    if found.stream.coding is Coding.ENTROPY:
        gone = int(found.left.places.sum()) - left
        return min(codes, round(entropy_bits(np.array([left, gone])) / 8))
    return max(0, codes - packed_bytes(left, record.bits))


def in_words(ledger: FileLedger) -> str:
    """How much smaller than float32 the file is, how much one would expect, and why that is not the same."""
    steps = ledger.steps
    alone = steps["float32"] + steps["fewer bits"] + steps["pruned"]
    other = _other_than_codes(ledger)
    if not alone:
        return f"no weight is left: {other}"
    if alone == steps["float32"]:
        return f"nothing was taken off the weights{f': {other}' if other else ''}"
    saved = -steps["entropy coding"] / alone
    coding = f"entropy coding takes {100 * saved:.0f} % off the codes" if saved >= LITTLE else ""
    times, expected = f"{ledger.float32 / ledger.total:.3g}", f"{steps['float32'] / alone:.3g}"
    if times == expected:
        said = " and ".join(filter(None, (coding, other)))
        return f"{_what(ledger)} is {times} times smaller here, as one would expect{f': {said}' if said else ''}"
    because, although = (other, coding) if float(times) < float(expected) else (coding, other)
    return (
        f"{_what(ledger)} is {times} times smaller here, not {expected} times"
        f"{f', because {because}' if because else ''}{f', although {although}' if although else ''}"
    )


def _what(ledger: FileLedger) -> str:
    """ "4 bits a weight and 90 % sparse". Bits are those of the mean weight."""
    steps = ledger.steps
    bits = FLOAT_BITS * (1 + steps["fewer bits"] / steps["float32"])
    said = [f"{bits:.3g} bits a weight"] if bits < FLOAT_BITS else []
    return " and ".join(said + ([f"{100 * ledger.sparsity:.3g} % sparse"] if ledger.sparsity else []))


def _other_than_codes(ledger: FileLedger) -> str:
    """What else the file holds, the most first; nothing where it is little."""
    steps = ledger.steps
    shares = sorted(((steps[name] / ledger.total, words) for name, words in ADDED.items()), reverse=True)
    said = [(f"{100 * share:.0f} %", words) for share, words in shares if share >= LITTLE]
    goes = [f"{percent} of the file goes to {words}" for percent, words in said[:1]]
    return ", ".join(goes + [f"{percent} to {words}" for percent, words in said[1:]])
