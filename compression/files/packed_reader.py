"""Reads packed files (`packed_file`) as the networks that were evaluated, bit for bit, with their codes and scales.

The checksum is compared before anything is decoded, and nothing in a file is executed.
"""

import hashlib
import json
import zlib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import torch
from torch import Tensor, nn

from compression.core.record import CompressedModel
from compression.errors import CodecError
from compression.files.coding.bits import Array, DamagedStream, Reader
from compression.files.coding.floats import decode_floats
from compression.files.coding.vectors import decode_vectors
from compression.files.packed_file import (
    CONTENT,
    DIGEST_BYTES,
    FORMAT,
    FORMAT_KEY,
    FORMAT_OF_INT8,
    fingerprint,
    has_codes,
    kind_of_tensor,
    shapes_of,
    tensors_of,
)
from compression.files.packed_weight import Entry, kind_of_floats, read_entry, unpack_weight
from compression.networks.architectures.table import find_architecture
from compression.networks.checkpoints.reading import DAMAGE_ERRORS
from compression.networks.folding import fold_batch_norm
from compression.networks.model import FloatModel, freeze_
from compression.networks.normalization import Normalization
from compression.quantization.activations import InputQuantizer
from compression.spec import VectorFormat

MOST_TEXT = 1 << 20  # bytes of the JSON text or of the directory


@dataclass(frozen=True, eq=False)
class Packed:
    """A packed weight of a file: its entry, its float32 numbers, and its content."""

    entry: Entry
    floats: Array
    content: bytes


@dataclass(frozen=True, eq=False)
class Decoded:
    """What a file holds: the network, and the weights that are packed, by their names in the state dict."""

    model: FloatModel
    weights: dict[str, Packed]


def load_compressed(path: Path) -> FloatModel:
    """Returns the network in the packed file at `path`, bit for bit as it was evaluated.

    Its `about` is the JSON object of the file. Raises CodecError if the file is missing, cannot be read, is damaged or
    is not a packed file.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise CodecError(f"there is no file {path}") from None
    except OSError as error:
        raise CodecError(f"{path} cannot be read: {error.strerror}") from error
    return read_packed(content, path.name)


def read_packed(content: bytes, name: str) -> FloatModel:
    """Returns the network in a packed file that is called `name`; otherwise like `load_compressed`."""
    return decode(content, name).model


def decode(content: bytes, name: str) -> Decoded:
    """Returns what a packed file holds that is called `name`; raises as above."""
    try:
        return _read(content, name)
    except DAMAGE_ERRORS as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise CodecError(f"{name} is damaged or is not a packed file ({first[:200]})") from error


def decode_body(body: bytes) -> nn.Module:
    """Returns the network in the bytes that follow the two digests of a packed file, which are not compared.

    Raises CodecError if they cannot be decoded.
    """
    try:
        return _decode(Reader(body))[0]
    except DAMAGE_ERRORS as error:
        raise CodecError("the content is damaged") from error


def verify_file(path: Path, compressed: CompressedModel) -> None:
    """Decodes the packed file at `path`. Raises CodecError if a number of it differs from that in `compressed`."""
    _verify(load_compressed(path), compressed, path.name)


def verify_content(content: bytes, compressed: CompressedModel) -> None:
    """Decodes a packed file; otherwise like `verify_file`."""
    _verify(read_packed(content, "the file"), compressed, "the file")


def _verify(model: FloatModel, compressed: CompressedModel, name: str) -> None:
    if fingerprint(model.module) != fingerprint(compressed.module):
        raise CodecError(f"{name} does not decode to the network that was compressed")


def _read(content: bytes, name: str) -> Decoded:
    """Returns what a packed file holds; lets errors of safetensors, NumPy and torch pass through."""
    tensors = safetensors.numpy.load(content)
    metadata = json.loads(Reader(content[8:]).take(int.from_bytes(content[:8], "little"))).get("__metadata__", {})
    if FORMAT_KEY in metadata and (number := _format_number(metadata[FORMAT_KEY])) not in (FORMAT, FORMAT_OF_INT8):
        raise CodecError(
            f"{name} has format {number}; this version reads formats {FORMAT} and {FORMAT_OF_INT8} only, so compress "
            "it again"
        )
    if FORMAT_KEY not in metadata or tensors.keys() != {CONTENT}:
        raise CodecError(f"{name} is not a packed file: it must have the entry {FORMAT_KEY} and the tensor {CONTENT}")
    reader = Reader(tensors[CONTENT].tobytes())
    checksum, network = reader.take(DIGEST_BYTES), reader.take(DIGEST_BYTES)
    body = reader.rest()
    if hashlib.sha256(network + body).digest()[:DIGEST_BYTES] != checksum:
        raise CodecError(f"{name} is damaged: its content does not match its checksum")
    module, about, weights = _decode(Reader(body))
    if bytes.fromhex(fingerprint(module))[:DIGEST_BYTES] != network:
        raise CodecError(f"{name} does not decode to the network that was written")
    normalization, mean, std = about["normalization"]
    images = Normalization(normalization, tuple(mean), tuple(std))
    model = FloatModel(Path(name).stem, freeze_(module), images, None, about, classes=tuple(about["classes"]))
    return Decoded(model, weights)


def _format_number(entry: str) -> str:
    """Returns the number of the format: the entry itself, or, in format 1, a member of the JSON object that it is."""
    value = json.loads(entry)
    return str(value["format"] if isinstance(value, dict) else value)


def _decode(reader: Reader) -> tuple[nn.Module, dict[str, Any], dict[str, Packed]]:
    """Returns the network, its JSON object, and the weights that are packed."""
    about = json.loads(_inflate(reader.block()))
    module = find_architecture(about["arch"]).make().eval()
    module = fold_batch_norm(module) if about["spec"]["fold_bn"] else module
    if shapes_of(module) != about["tensors"]:
        raise ValueError(f"it does not have the tensors of the architecture {about['arch']}")
    tensors, directory = dict(tensors_of(module)), Reader(_inflate(reader.block()))
    entries = {key: _read_entry(directory, tensor) for key, tensor in tensors.items() if tensor.dim() > 1}
    directory.end()
    contents = {key: reader.take(sum(entry.lengths)) for key, entry in entries.items() if entry}
    kinds: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for key, tensor in tensors.items():
        entry = entries.get(key)
        kinds[kind_of_floats(entry.kind) if entry else kind_of_tensor(key, tensor)].append(
            (key, entry.floats if entry else tensor.numel())
        )
    with torch.no_grad():
        floats: dict[str, Array] = {}
        form = about["spec"].get("vector_format", VectorFormat.FLOAT32)
        for _, members in sorted(kinds.items()):
            counts = [count for _, count in members]
            content, in_codes = reader.block(), has_codes(form, tensors[members[0][0]])
            decoded = decode_vectors(content, counts) if in_codes else decode_floats(content, sum(counts))
            values = np.split(decoded, np.cumsum(counts)[:-1])
            floats |= dict(zip((key for key, _ in members), values, strict=True))
        for key, tensor in tensors.items():
            if entry := entries.get(key):
                tensor.copy_(unpack_weight(entry, floats[key], Reader(contents[key]), tensor.shape))
            else:
                tensor.copy_(torch.from_numpy(floats[key]).view(tensor.shape))
    reader.end()
    for layer, quantizer in about["inputs"].items():
        module.get_submodule(layer).register_forward_pre_hook(InputQuantizer(*quantizer))
    return module, about, {key: Packed(entry, floats[key], contents[key]) for key, entry in entries.items() if entry}


def _read_entry(directory: Reader, tensor: Tensor) -> Entry | None:
    return read_entry(directory, tensor.numel()) if directory.varint() else None


def _inflate(content: bytes) -> bytes:
    """Returns what `deflate` got. Raises DamagedStream for more than MOST_TEXT bytes, or other content."""
    decompressor = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        text = decompressor.decompress(content, MOST_TEXT)
    except zlib.error:
        raise DamagedStream from None
    if not decompressor.eof or decompressor.unused_data:
        raise DamagedStream
    return text
