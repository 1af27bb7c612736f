"""Writes a compressed network as a packed file and reads it back as the network that was evaluated, bit for bit.

A packed file is a valid safetensors file. It has one tensor for each tensor that inference reads, under the name of the
state dict: a weight of a compressed layer as uint8 with the content of `packed_weight`, if that is shorter than
float32, and every other tensor as float32. 0 and -0 count as equal. The metadata of its header has two entries:

    squeezelab   JSON text without spaces, an object with these members:
        format          1
        arch            the architecture, a name for `find_architecture`
        normalization   the normalization of images, a name in `NORMALIZATIONS`
        spec            the compression spec; `fold_bn` says whether batch norm was folded into the weights
        layers          tensor name -> the header of its packed weight (`PackedWeight.header`)
        inputs          layer name -> [bits, scale, zero point] of the quantizer of its inputs
        network         the `fingerprint` of the decoded network
    sha256       SHA-256 of the JSON text and of all tensors as they are stored, see `_checksum`

The checksum is compared before anything is decoded. Nothing in the file is executed.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
import safetensors.torch
import torch
from torch import Tensor, nn

from compression.core.record import CompressedModel, LayerRecord
from compression.errors import CodecError
from compression.files.bits import Array
from compression.files.packed_weight import PackedWeight, pack_weight, unpack_weight
from compression.networks.architectures.table import ARCHITECTURES, find_architecture
from compression.networks.checkpoints.names import COUNTERS
from compression.networks.checkpoints.reading import DAMAGE_ERRORS
from compression.networks.folding import fold_batch_norm
from compression.networks.model import FloatModel, freeze_
from compression.networks.normalization import NORMALIZATIONS
from compression.networks.weights import FLOAT_BYTES
from compression.quantization.activations import InputQuantizer

ABOUT, CHECKSUM = "squeezelab", "sha256"

FORMAT = 1


@dataclass(frozen=True, eq=False)
class FileParts:
    """The packed weights of a compressed network, before they are written to a file.

    `layers` pairs each record with its packed weight, or with None if the weight is shorter as float32.
    """

    compressed: CompressedModel
    layers: tuple[tuple[LayerRecord, PackedWeight | None], ...]

    @property
    def inputs(self) -> dict[str, tuple[int, float, int]]:
        """The quantizers of the inputs of layers, by layer name: bits, scale, zero point."""
        quantizers = {record.name: record.inputs for record, _ in self.layers if record.inputs}
        return {name: (each.bits, each.scale, each.zero_point) for name, each in quantizers.items()}


def pack_layers(compressed: CompressedModel) -> FileParts:
    """Packs the weight of each compressed layer; the network may have any architecture."""
    return FileParts(compressed, tuple((record, _pack_if_shorter(record)) for record in compressed.layers))


def _pack_if_shorter(record: LayerRecord) -> PackedWeight | None:
    """Returns the packed weight, or None if float32 is as short, as it is for float weights without a zero."""
    if record.qparams is None and record.nonzero == record.weights:
        return None
    weight = pack_weight(record)
    return weight if weight.nbytes < FLOAT_BYTES * record.weights else None


def to_bytes(compressed: CompressedModel, model: FloatModel) -> bytes:
    """Returns the content of the packed file of `compressed`.

    `model` is the float network that was compressed; the file names its architecture and normalization. Raises
    ValueError if its architecture is unknown.
    """
    return assemble(pack_layers(compressed), model)


def assemble(parts: FileParts, model: FloatModel) -> bytes:
    """Returns the content of the packed file of layers that are packed already; otherwise like `to_bytes`."""
    compressed = parts.compressed
    text = _header(parts, model, fingerprint(compressed.module))
    tensors = {key: value.contiguous() for key, value in _tensors(compressed.module)}
    for record, weight in parts.layers:
        if weight:
            tensors[_key(record)] = torch.frombuffer(bytearray(weight.content), dtype=torch.uint8)
    return safetensors.torch.save(tensors, {ABOUT: text, CHECKSUM: _checksum(text, sorted(tensors.items()))})


def count_file_bytes(parts: FileParts, model: FloatModel) -> int:
    """Returns the length of what `assemble` returns, in a small part of its time.

    It depends on the shapes of the tensors and on the header, in which all digests are equally long.
    """
    digest = hashlib.sha256().hexdigest()
    tensors: dict[str, Array] = {
        key: np.empty(value.shape, np.float32) for key, value in _tensors(parts.compressed.original)
    }
    for record, weight in parts.layers:
        if weight:
            tensors[_key(record)] = np.empty(weight.nbytes, np.uint8)
    return len(safetensors.numpy.save(tensors, {ABOUT: _header(parts, model, digest), CHECKSUM: digest}))


def _header(parts: FileParts, model: FloatModel, network: str) -> str:
    """Returns the JSON text of the header; `network` is the fingerprint of the compressed network.

    Raises ValueError if the architecture of `model` is unknown.
    """
    arch = model.about.get("arch", "")
    if arch.partition(":")[0] not in ARCHITECTURES:
        raise ValueError(
            f"{model.name} has no known architecture, so a packed file cannot name it; "
            f"known architectures: {', '.join(ARCHITECTURES)}"
        )
    header = {
        "format": FORMAT,
        "arch": arch,
        "normalization": model.normalization.name,
        "spec": json.loads(parts.compressed.spec.to_json()) | _folding(parts.compressed, model),
        "layers": {_key(record): weight.header for record, weight in parts.layers if weight},
        "inputs": parts.inputs,
        "network": network,
    }
    return as_text(header)


def _folding(compressed: CompressedModel, model: FloatModel) -> dict[str, bool]:
    """Returns that batch norm is folded: by the spec, or in the float network already, when it was read."""
    return {"fold_bn": True} if compressed.spec.fold_bn or model.about.get("folded") else {}


def load_compressed(path: Path) -> FloatModel:
    """Returns the network in the packed file at `path`, bit for bit as it was evaluated.

    Its `about` is the JSON object of the file's header. Tensors are decoded one after another. Raises CodecError if the
    file is missing, cannot be read, is damaged or is not a packed file.
    """
    try:
        with path.open("rb"):
            pass
    except FileNotFoundError:
        raise CodecError(f"there is no file {path}") from None
    except OSError as error:
        raise CodecError(f"{path} cannot be read: {error.strerror}") from error
    try:
        with safetensors.safe_open(path, "pt") as file:
            return _load(file, path.name)
    except DAMAGE_ERRORS as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise CodecError(f"{path.name} is damaged or is not a packed file ({first[:200]})") from error


def verify_file(path: Path, compressed: CompressedModel) -> None:
    """Decodes the packed file at `path`. Raises CodecError if a number of it differs from that in `compressed`."""
    if fingerprint(load_compressed(path).module) != fingerprint(compressed.module):
        raise CodecError(f"{path.name} does not decode to the network that was compressed")


def _load(file: Any, name: str) -> FloatModel:
    """Returns the network in an open safetensors file; lets errors of safetensors, NumPy and torch pass through."""
    metadata = file.metadata() or {}
    if metadata.keys() != {ABOUT, CHECKSUM}:
        raise CodecError(f"{name} is not a packed file: its header must have the entries {ABOUT} and {CHECKSUM} only")
    text = metadata[ABOUT]
    keys = sorted(file.keys())
    if _checksum(text, ((key, file.get_tensor(key)) for key in keys)) != metadata[CHECKSUM]:
        raise CodecError(f"{name} is damaged: its content does not match its checksum")
    header = json.loads(text)
    if header["format"] != FORMAT:
        raise CodecError(f"{name} has format {header['format']}; this version reads format {FORMAT} only")
    module = find_architecture(header["arch"]).make().eval()
    module = fold_batch_norm(module) if header["spec"]["fold_bn"] else module
    expected = dict(_tensors(module))
    if keys != sorted(expected):
        raise CodecError(f"{name} does not have the tensors of the architecture {header['arch']}")
    with torch.no_grad():
        for key, value in expected.items():
            value.copy_(_decode_tensor(file, key, value, header["layers"].get(key)))
    for layer, quantizer in header["inputs"].items():
        module.get_submodule(layer).register_forward_pre_hook(InputQuantizer(*quantizer))
    if fingerprint(module) != header["network"]:
        raise CodecError(f"{name} does not decode to the network that was written")
    return FloatModel(Path(name).stem, freeze_(module), NORMALIZATIONS[header["normalization"]], None, header)


def as_text(value: Any) -> str:
    """Returns `value` as JSON text without spaces, as in the header of a packed file."""
    return json.dumps(value, separators=(",", ":"))


def fingerprint(module: nn.Module) -> str:
    """Returns the SHA-256 of all numbers that inference reads: the tensors and the quantizers of inputs.

    For each tensor, sorted by name: the Python text of (name, torch dtype, shape), then its bytes, with -0 as 0. Then,
    for each layer with quantized inputs, in the order of the modules: the Python text of (name, quantizer).
    """
    digest = hashlib.sha256()
    for key, tensor in sorted(_tensors(module)):
        digest.update(repr((key, tensor.dtype, tuple(tensor.shape))).encode())
        digest.update((tensor + 0.0).contiguous().numpy().data)
    for name, part in module.named_modules():
        for hook in part._forward_pre_hooks.values():
            digest.update(repr((name, hook)).encode())
    return digest.hexdigest()


def _checksum(text: str, tensors: Any) -> str:
    """Returns the SHA-256 of the header's text and of (name, tensor) pairs, sorted by name, as they are stored.

    Of each pair: the Python text of (name, torch dtype, shape), then the bytes of the tensor.
    """
    digest = hashlib.sha256(text.encode())
    for key, tensor in tensors:
        digest.update(repr((key, tensor.dtype, tuple(tensor.shape))).encode())
        digest.update(tensor.numpy().data)
    return digest.hexdigest()


def _decode_tensor(file: Any, key: str, expected: Tensor, header: dict[str, Any] | None) -> Tensor:
    """Returns one tensor of the network. Raises ValueError before it takes more memory than the `expected` one."""
    stored = file.get_tensor(key)
    if header is not None and (min(header["shape"]) < 1 or prod(header["shape"]) != expected.numel()):
        raise ValueError(f"{key} must have the shape {tuple(expected.shape)}, got {header['shape']}")
    tensor = stored if header is None else unpack_weight(stored.numpy().tobytes(), header)
    if tensor.dtype != expected.dtype or tensor.shape != expected.shape:
        raise ValueError(
            f"{key} must be {expected.dtype} of the shape {tuple(expected.shape)}, "
            f"got {tensor.dtype} of {tuple(tensor.shape)}"
        )
    return tensor


def _tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yields the tensors that inference reads, by their names in the state dict; counters are left out."""
    return ((key, each) for key, each in module.state_dict().items() if key.rsplit(".", 1)[-1] not in COUNTERS)


def _key(record: LayerRecord) -> str:
    """Returns the name of the weight of a layer in the state dict."""
    return f"{record.name}.weight"
