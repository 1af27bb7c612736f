"""Writes a compressed network as a packed file, which `packed_reader` reads back bit for bit as it was evaluated.

A packed file is a valid safetensors file with one tensor of bytes, `network`, and the entry `squeezelab` in its header,
which is the number of the format, "3" or "4". 0 and -0 count as equal. The bytes of the tensor are, in this order:

    checksum    the first 16 bytes of the SHA-256 of all bytes after it
    network     the first 16 bytes of the `fingerprint` of the decoded network
    about       a block (`bits.block`) with raw DEFLATE of JSON text, an object with these members:
                    arch            the architecture, a name for `find_architecture`
                    normalization   the name, mean and standard deviation with which images are normalised
                    classes         the names of the classes
                    tensors         module -> tensor -> its shape, in the order of the state dict
                    spec            the compression spec; `fold_bn` says whether batch norm was folded into the weights
                    inputs          layer name -> [bits, scale, zero point] of the quantizer of its inputs
    directory   a block with raw DEFLATE of variable-length integers: for each tensor with two or more dimensions, in
                the order of the state dict, 0, or 1 and the entry of its packed weight (`packed_weight`)
    weights     the contents of the packed weights
    floats      for each kind of float32 numbers, sorted by its name: a block of `floats`. The numbers of a packed
                weight are of the kind of its quantizer, behind "quantizer "; those of every other tensor that inference
                reads are of the kind "weights" if it has two or more dimensions, else of the kind that the last part of
                its name says. All are in the order of the state dict. In format 4, the numbers of a kind of vectors are
                blocks of `vectors` instead

The checksum is compared before anything is decoded. Nothing in the file is executed.
"""

import hashlib
import json
import zlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import safetensors
import safetensors.numpy
import safetensors.torch
import torch
from torch import Tensor, nn

from compression.cached_property import cached_property
from compression.core.record import CompressedModel, LayerRecord
from compression.files.coding.bits import Array, block, varint
from compression.files.coding.floats import encode_floats
from compression.files.coding.vectors import encode_vectors
from compression.files.packed_quantizer import flat
from compression.files.packed_weight import PackedWeight, pack_weight
from compression.networks.architectures.table import ARCHITECTURES
from compression.networks.checkpoints.names import COUNTERS
from compression.networks.model import FloatModel
from compression.networks.weights import FLOAT_BYTES
from compression.quantization.vectors import is_vector, round_tensor
from compression.spec import CompressionSpec, VectorFormat

FORMAT_KEY, CONTENT = "squeezelab", "network"

FORMAT = "3"

FORMAT_OF_INT8 = "4"  # the same, but biases and batch norm are 8-bit codes

DIGEST_BYTES = 16

Floats = dict[str, list[Array]]


@dataclass(frozen=True, eq=False)
class FileParts:
    """The packed weights of a compressed network, before they are written to a file.

    `layers` pairs each record with its packed weight, or with None if the weight is not packed but stored as float32.
    `quick` parts are for a count of bytes while a slider moves: the coding that takes longest was not tried, and batch
    norm is not re-estimated, because that takes long.
    """

    compressed: CompressedModel
    layers: tuple[tuple[LayerRecord, PackedWeight | None], ...]
    quick: bool = False

    @property
    def exact(self) -> bool:
        """Whether all bytes are those of the file: `quick` makes no difference for a network that stays as it is."""
        unchanged = all(weight is None for _, weight in self.layers) and not self.compressed.spec.reestimate_bn
        return unchanged or not self.quick

    @property
    def inputs(self) -> dict[str, tuple[int, float, int]]:
        """The quantizers of the inputs of layers, by layer name: bits, scale, zero point."""
        quantizers = {record.name: record.inputs for record, _ in self.layers if record.inputs}
        return {name: (each.bits, each.scale, each.zero_point) for name, each in quantizers.items()}

    @cached_property
    def floats(self) -> dict[str, tuple[bytes, int]]:
        """For each kind of float32 numbers: how they are coded, and how many they are."""
        weights = {weight_key(record): weight for record, weight in self.layers}
        kinds: Floats = defaultdict(list)
        in_codes = set()
        for key, tensor in self._tensors():
            if weight := weights.get(key):
                kinds[weight.kind_of_floats].append(weight.numbers.floats)
            else:
                kinds[kind := kind_of_tensor(key, tensor)].append(flat(tensor))
                if has_codes(self.compressed.spec.vector_format, tensor):
                    in_codes.add(kind)
        return {
            kind: (
                encode_vectors(arrays) if kind in in_codes else encode_floats(np.concatenate(arrays)),
                sum(map(len, arrays)),
            )
            for kind, arrays in sorted(kinds.items())
        }

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Yields the tensors that inference reads; if `quick`, with batch norm as before it is re-estimated."""
        if not self.quick:
            yield from tensors_of(self.compressed.module)
            return
        compressed = self.compressed
        changed = {weight_key(record): record.weight for record in compressed.layers} | dict(compressed.vectors)
        for key, tensor in tensors_of(compressed.original):
            yield key, round_tensor(key, changed.get(key, tensor), compressed.spec.vector_format)


def pack_layers(compressed: CompressedModel, quick: bool = False) -> FileParts:
    """Packs the weight of each compressed layer; the network may have any architecture. `quick`: see `FileParts`."""
    return FileParts(compressed, tuple((each, _pack_if_shorter(each, quick)) for each in compressed.layers), quick)


def _pack_if_shorter(record: LayerRecord, quick: bool) -> PackedWeight | None:
    """Returns the packed weight, or None if float32 is as short, as it is for float weights without a zero."""
    if record.qparams is None and record.nonzero == record.weights:
        return None
    weight = pack_weight(record, quick)
    return weight if weight.nbytes < FLOAT_BYTES * record.weights else None


def to_bytes(compressed: CompressedModel, model: FloatModel) -> bytes:
    """Returns the content of the packed file of `compressed`.

    `model` is the float network that was compressed; the file names its architecture and normalization. Raises
    ValueError if its architecture is unknown.
    """
    return assemble(pack_layers(compressed), model)


def assemble(parts: FileParts, model: FloatModel) -> bytes:
    """Returns the content of the packed file of layers that are packed already and not `quick`; see `to_bytes`."""
    assert not parts.quick
    network = bytes.fromhex(fingerprint(parts.compressed.module))[:DIGEST_BYTES]
    body = b"".join((network, *_body(parts, model)))
    content = hashlib.sha256(body).digest()[:DIGEST_BYTES] + body
    tensor = torch.frombuffer(bytearray(content), dtype=torch.uint8)
    return safetensors.torch.save({CONTENT: tensor}, {FORMAT_KEY: format_of(parts.compressed.spec)})


def count_file_bytes(parts: FileParts, model: FloatModel) -> int:
    """Returns the length of what `assemble` returns, without the time of its digests; an estimate of it if `quick`."""
    length = 2 * DIGEST_BYTES + sum(map(len, _body(parts, model)))
    entry = {FORMAT_KEY: format_of(parts.compressed.spec)}
    return len(safetensors.numpy.save({CONTENT: np.empty(length, np.uint8)}, entry))


def _body(parts: FileParts, model: FloatModel) -> Iterator[bytes]:
    """Yields what follows the digests. Raises ValueError if the architecture of `model` is unknown."""
    yield block(deflate(settings_text(parts, model).encode()))
    weights = {weight_key(record): weight for record, weight in parts.layers if weight}
    large = [key for key, tensor in tensors_of(parts.compressed.original) if tensor.dim() > 1]
    entries = [[1, *weights[key].entry] if key in weights else [0] for key in large]
    yield block(deflate(b"".join(varint(number) for entry in entries for number in entry)))
    yield from (weights[key].content for key in large if key in weights)
    yield from (block(content) for content, _ in parts.floats.values())


def settings_text(parts: FileParts, model: FloatModel) -> str:
    """Returns the JSON text of the file. Raises ValueError if the architecture of `model` is unknown."""
    arch = model.about.get("arch", "")
    if arch.partition(":")[0] not in ARCHITECTURES:
        raise ValueError(
            f"{model.name} has no known architecture, so a packed file cannot name it; "
            f"known architectures: {', '.join(ARCHITECTURES)}"
        )
    return json.dumps(
        {
            "arch": arch,
            "normalization": [model.normalization.name, model.normalization.mean, model.normalization.std],
            "classes": model.classes,
            "tensors": shapes_of(parts.compressed.original),
            "spec": json.loads(parts.compressed.spec.to_json()) | _folding(parts.compressed, model),
            "inputs": parts.inputs,
        },
        separators=(",", ":"),
    )


def shapes_of(module: nn.Module) -> dict[str, dict[str, list[int]]]:
    """Returns module -> tensor -> shape."""
    shapes: dict[str, dict[str, list[int]]] = {}
    for key, tensor in tensors_of(module):
        owner, _, name = key.rpartition(".")
        shapes.setdefault(owner, {})[name] = list(tensor.shape)
    return shapes


def _folding(compressed: CompressedModel, model: FloatModel) -> dict[str, bool]:
    """Returns that batch norm is folded: by the spec, or in the float network already, when it was read."""
    return {"fold_bn": True} if compressed.spec.fold_bn or model.about.get("folded") else {}


def deflate(content: bytes) -> bytes:
    """Returns raw DEFLATE data (RFC 1951)."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return compressor.compress(content) + compressor.flush()


def fingerprint(module: nn.Module) -> str:
    """Returns the SHA-256 of all numbers that inference reads: the tensors and the quantizers of inputs.

    For each tensor, sorted by name: the Python text of (name, torch dtype, shape), then its bytes, with -0 as 0. Then,
    for each layer with quantized inputs, in the order of the modules: the Python text of (name, quantizer).
    """
    digest = hashlib.sha256()
    for key, tensor in sorted(tensors_of(module)):
        digest.update(repr((key, tensor.dtype, tuple(tensor.shape))).encode())
        digest.update((tensor + 0.0).contiguous().numpy().data)
    for name, part in module.named_modules():
        for hook in part._forward_pre_hooks.values():
            digest.update(repr((name, hook)).encode())
    return digest.hexdigest()


def format_of(spec: CompressionSpec) -> str:
    """Returns the number of the format of a file with the network that `spec` makes."""
    return FORMAT_OF_INT8 if spec.vector_format is VectorFormat.INT8 else FORMAT


def has_codes(form: str, tensor: Tensor) -> bool:
    """Whether a tensor is stored as 8-bit codes with a scale if the `vector_format` of the spec is `form`."""
    return form == VectorFormat.INT8 and is_vector(tensor)


def kind_of_tensor(key: str, tensor: Tensor) -> str:
    """Returns which numbers those of a tensor that is not packed are coded with."""
    return "weights" if tensor.dim() > 1 else key.rsplit(".", 1)[-1]


def tensors_of(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yields the tensors that inference reads, by their names in the state dict; counters are left out."""
    return ((key, each) for key, each in module.state_dict().items() if key.rsplit(".", 1)[-1] not in COUNTERS)


def weight_key(record: LayerRecord) -> str:
    """Returns the name of the weight of a layer in the state dict."""
    return f"{record.name}.weight".removeprefix(".")  # a network that is a single layer has no name
