"""The compressed network as a file that gives back what was evaluated, bit for bit; 0 and -0 are the same weight.

A valid safetensors file: for each weight that is shorter so, the bytes of `packing`; all else that inference reads as
float32. Its header has two entries. `squeezelab` is JSON: architecture, normalisation, spec, how each weight was
packed, what quantizes the inputs of layers, and the SHA-256 of the network that must come out. `sha256` is that of the
first entry and of all tensors as they are stored, and is looked at before anything is decoded. Nothing in it is code.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from compression.core.record import CompressedModel, LayerRecord
from compression.errors import CodecError
from compression.files.packed_weight import Packed, packed, unpacked
from compression.networks.architectures.table import ARCHITECTURES
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
    """What a file of a compressed network holds beside the float rest. `layers`: each record with its weight packed, or
    None where that is shorter as it is.
    """

    compressed: CompressedModel
    layers: tuple[tuple[LayerRecord, Packed | None], ...]

    @property
    def inputs(self) -> dict[str, tuple[int, float, int]]:
        """What quantizes the inputs of layers, by name: bits, scale, zero point."""
        found = {record.name: record.inputs for record, _ in self.layers if record.inputs}
        return {name: (each.bits, each.scale, each.zero_point) for name, each in found.items()}


def parts(compressed: CompressedModel) -> FileParts:
    """Packs each layer of any network."""
    found = ((record, packed(record)) for record in compressed.layers)
    shorter = ((record, each if each.nbytes < FLOAT_BYTES * record.weights else None) for record, each in found)
    return FileParts(compressed, tuple(shorter))


def to_bytes(compressed: CompressedModel, model: FloatModel) -> bytes:
    """The file. `model`: the float network that was compressed, of which architecture and normalisation go along.

    Raises ValueError for a network of no known architecture.
    """
    return joined(parts(compressed), model)


def joined(found: FileParts, model: FloatModel) -> bytes:
    """The same of what is packed already."""
    compressed = found.compressed
    if model.about.get("arch") not in ARCHITECTURES:
        raise ValueError(f"{model.name} is of no architecture that a file can name")
    tensors = {key: value.contiguous() for key, value in _state(compressed.module)}
    for record, each in found.layers:
        if each:
            tensors[_key(record)] = torch.frombuffer(bytearray(each.content), dtype=torch.uint8)
    about = {
        "format": FORMAT,
        "arch": model.about["arch"],
        "normalization": model.normalization.name,
        "spec": json.loads(compressed.spec.to_json()),
        "layers": {_key(record): each.header for record, each in found.layers if each},
        "inputs": found.inputs,
        "network": fingerprint(compressed.module),
    }
    text = as_text(about)
    return safetensors.torch.save(tensors, {ABOUT: text, CHECKSUM: _checksum(text, sorted(tensors.items()))})


def load_compressed(path: Path) -> FloatModel:
    """The network in the file at `path`, bit for bit as it was evaluated; its `about` is what the header says.

    One tensor is decoded after another. Raises CodecError where the file is missing, damaged or something else.
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
            return _loaded(file, path.name)
    except DAMAGE_ERRORS as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise CodecError(f"{path.name} is damaged or no file of a compressed network ({first[:200]})") from error


def prove(path: Path, compressed: CompressedModel) -> None:
    """Reads the file at `path`. Raises CodecError where it does not decode to `compressed`, number by number."""
    if fingerprint(load_compressed(path).module) != fingerprint(compressed.module):
        raise CodecError(f"{path.name} does not decode to the network that was compressed")


def _loaded(file: Any, name: str) -> FloatModel:
    """The network in an open file; errors of safetensors, NumPy and torch pass through."""
    metadata = file.metadata() or {}
    if metadata.keys() != {ABOUT, CHECKSUM}:
        raise CodecError(f"{name} is no file of a compressed network: its header does not say how to decode it")
    text = metadata[ABOUT]
    keys = sorted(file.keys())
    if _checksum(text, ((key, file.get_tensor(key)) for key in keys)) != metadata[CHECKSUM]:
        raise CodecError(f"{name} is damaged: its content is not what was written")
    about = json.loads(text)
    if about["format"] != FORMAT:
        raise CodecError(f"{name} has format {about['format']}, and format {FORMAT} alone is known here")
    module = ARCHITECTURES[about["arch"]].make().eval()
    module = fold_batch_norm(module) if about["spec"]["fold_bn"] else module
    expected = dict(_state(module))
    if keys != sorted(expected):
        raise CodecError(f"{name} has other tensors than a network of the architecture {about['arch']}")
    with torch.no_grad():
        for key, value in expected.items():
            value.copy_(_tensor(file, key, value, about["layers"].get(key)))
    for layer, quantizer in about["inputs"].items():
        module.get_submodule(layer).register_forward_pre_hook(InputQuantizer(*quantizer))
    if fingerprint(module) != about["network"]:
        raise CodecError(f"{name} does not decode to the network that was written")
    return FloatModel(Path(name).stem, freeze_(module), NORMALIZATIONS[about["normalization"]], None, about)


def as_text(about: Any) -> str:
    """JSON as it stands in the header."""
    return json.dumps(about, separators=(",", ":"))


def fingerprint(module: nn.Module) -> str:
    """SHA-256 of all numbers that inference reads: tensors, 0 and -0 alike, and what quantizes inputs."""
    digest = hashlib.sha256()
    for key, tensor in sorted(_state(module)):
        digest.update(repr((key, tensor.dtype, tuple(tensor.shape))).encode())
        digest.update((tensor + 0.0).contiguous().numpy().data)
    for name, part in module.named_modules():
        for hook in part._forward_pre_hooks.values():
            digest.update(repr((name, hook)).encode())
    return digest.hexdigest()


def _checksum(text: str, tensors: Any) -> str:
    """SHA-256 of the header's text and of (name, tensor) pairs as they are stored."""
    digest = hashlib.sha256(text.encode())
    for key, tensor in tensors:
        digest.update(repr((key, tensor.dtype, tuple(tensor.shape))).encode())
        digest.update(tensor.numpy().data)
    return digest.hexdigest()


def _tensor(file: Any, key: str, expected: Tensor, header: dict[str, Any] | None) -> Tensor:
    """One tensor, decoded. Raises ValueError before it takes more memory than the `expected` one."""
    stored = file.get_tensor(key)
    if header is not None and (min(header["shape"]) < 1 or prod(header["shape"]) != expected.numel()):
        raise ValueError(f"{key} has another shape")
    tensor = stored if header is None else unpacked(stored.numpy().tobytes(), header)
    if tensor.dtype != expected.dtype or tensor.shape != expected.shape:
        raise ValueError(f"{key} has another shape")
    return tensor


def _state(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """The tensors that inference reads, by name."""
    return ((key, each) for key, each in module.state_dict().items() if key.rsplit(".", 1)[-1] not in COUNTERS)


def _key(record: LayerRecord) -> str:
    """The name that the state dict has for the weight of a layer."""
    return f"{record.name}.weight"
