"""Reading somebody else's checkpoint: plain weights or nothing. No code of the file runs; no small file grows large."""

import io
import pickle
import pickletools
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

MOST_BYTES = 64_000_000
WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "params")
DAMAGED = (  # what torch and safetensors raise on files that are cut or have other bytes in them
    OSError,
    EOFError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    OverflowError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
    safetensors.SafetensorError,
    pickle.UnpicklingError,
)
_PLAIN = {  # what torch.save writes for tensors in dictionaries; torch.load allows more, bytearray(10**12) among it
    "collections OrderedDict",
    "torch Size",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_tensor",
    "torch._utils _rebuild_parameter",
    *(
        f"torch {kind}Storage"
        for kind in ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")
    ),
}
_CODE = (
    "is not plain weights: reading it would run code that it brings along ({}). "
    "Save it again with torch.save(model.state_dict(), path) or as .safetensors"
)


class CheckpointError(Exception):
    """A checkpoint cannot be used; the message says why, in the reader's words."""


def read_tensors(source: Path | bytes, name: str | None = None, most_bytes: int = MOST_BYTES) -> dict[str, Tensor]:
    """The tensors of a checkpoint by name, as the file has them. Never runs code from the file.

    `source` is a path, or the content of a file called `name`; what it is is seen from the content.
    Neither the file nor its tensors may have more than `most_bytes`.
    Raises CheckpointError where it is missing, damaged, too large, needs a pickle that runs code, or holds no weights.
    """
    name = name or str(source)
    content = source if isinstance(source, bytes) else _content(source, most_bytes)
    if len(content) > most_bytes:
        raise CheckpointError(f"{name} has {len(content):,} bytes; {most_bytes:,} are the most that is read")
    try:
        found = _loaded(content, name)
    except DAMAGED as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"{name} is damaged or not a checkpoint ({first[:200]})") from error
    for _ in WRAPPERS:
        found = _unwrapped(found)
    if not isinstance(found, Mapping):
        raise CheckpointError(f"{name} holds a {type(found).__name__}, not weights by name")
    tensors = {key: value for key, value in found.items() if isinstance(key, str) and isinstance(value, Tensor)}
    if not tensors:
        raise CheckpointError(f"{name} holds no weights")
    size = sum(value.numel() * value.element_size() for value in tensors.values())
    if size > most_bytes:
        raise CheckpointError(
            f"{name} says that its tensors have {size:,} bytes; {most_bytes:,} are the most that is read"
        )
    for key, value in tensors.items():
        if not value.isfinite().all():
            raise CheckpointError(f"{name} has NaN or infinite values in {key}")
    return tensors


def _content(path: Path, most_bytes: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(most_bytes + 1)
    except FileNotFoundError:
        raise CheckpointError(f"there is no file {path}") from None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error


def _loaded(content: bytes, name: str) -> Any:
    """What the file holds; the errors of torch and safetensors pass through."""
    if content[8:9] == b"{":  # eight bytes of length, then JSON
        return safetensors.torch.load(content)
    if content.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > len(content):
                raise CheckpointError(f"{name} would grow when unpacked, as no checkpoint that torch saves does")
            pickles = [archive.read(entry) for entry in archive.namelist() if entry.endswith("data.pkl")]
    else:
        pickles = [content]
    for pickled in pickles:
        _refuse_code(pickled, name)
    try:
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(f"{name} {_CODE.format('or it is damaged')}") from error


def _refuse_code(pickled: bytes, name: str) -> None:
    """Raises CheckpointError if any of the pickles that follow each other in `pickled` names more than weights need.

    Nothing is executed. The older format has five pickles, and then storages, which are no pickles.
    """
    stream = io.BytesIO(pickled)
    for _ in range(5):
        try:
            for code, argument, _ in pickletools.genops(stream):
                if code.name in ("GLOBAL", "INST", "STACK_GLOBAL") and argument not in _PLAIN:
                    raise CheckpointError(
                        f"{name} " + _CODE.format(str(argument or "names are hidden").replace(" ", "."))
                    )
        except (ValueError, IndexError, UnicodeDecodeError):
            return


def _unwrapped(content: Any) -> Any:
    """What lies under one of the names that trainers wrap weights in, or `content` itself."""
    if not isinstance(content, Mapping):
        return content
    return next((content[name] for name in WRAPPERS if isinstance(content.get(name), Mapping)), content)
