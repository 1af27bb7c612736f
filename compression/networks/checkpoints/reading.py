"""Reads the tensors of a checkpoint without running code from it, and without letting a small file fill the memory."""

import io
import json
import os
import pickle
import re
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from compression.errors import CheckpointError
from compression.networks.checkpoints import pickles
from compression.networks.checkpoints.accuracies import stated_accuracies
from compression.networks.checkpoints.boxes import MAX_OTHERS, find_boxes, likely_boxes, name_entries, with_prefix
from compression.networks.checkpoints.formats import SAVE, foreign_content, other_format
from compression.networks.checkpoints.metadata import numpy_replaced
from compression.networks.checkpoints.names import is_observer

MAX_BYTES = 64_000_000

MAX_HEADER_BYTES = 4_000_000  # of safetensors; a tensor takes about 100 bytes, and several times that in memory

MAX_DIMENSIONS = 8

DAMAGE_ERRORS = (  # what torch and safetensors raise on truncated or altered files
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

_CODE = (
    "is not plain weights: reading it would run code that it brings along ({}). "
    f"Save it again with {SAVE} or as .safetensors"
)

_RECORD = re.compile(  # what torch.load looks for in a zip archive
    r"[^/]+/(data\.pkl|data/[0-9]+|version|byteorder|\.format_version|\.storage_alignment|\.data/serialization_id)"
)


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds: `tensors` by name, as stored in it, and the accuracies (0..1) that it states, by their names.

    The tensors are those of its dictionary `entry`, the empty text if that is the whole file; `others` are the places
    of the dictionaries that may hold weights as well. `metadata` is that of a safetensors file.
    """

    tensors: dict[str, Tensor]
    accuracies: dict[str, float]
    entry: str = ""
    others: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def note(self) -> str:
        """Which weights were taken if there are several, as a clause, or the empty text."""
        if not self.others:
            return ""
        places = (f"“{place or 'the top level'}”" for place in (self.entry, *self.others))
        return f"weights of {next(places)}, not of {' or '.join(places)}"


def read_tensors(source: Path | bytes, name: str | None = None, max_bytes: int = MAX_BYTES) -> dict[str, Tensor]:
    """Returns the tensors of a checkpoint by name; arguments and errors are those of `read_checkpoint`."""
    return read_checkpoint(source, name, max_bytes).tensors


def read_checkpoint(
    source: Path | bytes, name: str | None = None, max_bytes: int = MAX_BYTES, entry: str | None = None
) -> Checkpoint:
    """Returns what a checkpoint holds. Never runs code from the file.

    `source` is a path, or the content of a file called `name`. The format is detected from the content. `entry` is the
    place of the dictionary with the weights, or a prefix of their names; None takes the likeliest.
    Raises CheckpointError if the file is missing, damaged, holds no weights, contains code, or if the file or its
    tensors have more than `max_bytes`.
    """
    name = name or ("the file" if isinstance(source, bytes) else str(source))
    content = source if isinstance(source, bytes) else _content(source, max_bytes)
    if len(content) > max_bytes:
        raise CheckpointError(f"{name} has {len(content):,} bytes; the limit is {max_bytes:,}")
    if other := other_format(content):
        raise CheckpointError(f"{name} {other}")
    try:
        loaded = _loaded(content, name)
    except DAMAGE_ERRORS as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"{name} is damaged or not a checkpoint ({first[:200]})") from error
    if not isinstance(loaded, dict):
        raise CheckpointError(f"{name} holds a {type(loaded).__name__}, not a dictionary of weights by name")
    boxes = find_boxes(loaded)
    if not boxes:
        entries = name_entries(loaded)
        raise CheckpointError(f"{name} holds no weights" + (f"; its entries are {entries}" if entries else ""))
    place, tensors = _chosen(boxes, entry, name)
    _check_tensors(tensors, name, len(content), max_bytes)
    others = tuple(each for each in likely_boxes(boxes) if each != place)[:MAX_OTHERS]
    metadata = _metadata(content)
    accuracies = stated_accuracies(metadata) | _accuracies(loaded, place)
    return Checkpoint(tensors, accuracies, place, others if place in boxes else (), metadata)


def read_metadata(path: Path) -> dict[str, str]:
    """Returns the metadata of a safetensors file, without its tensors; nothing for another file or a damaged one.

    Raises CheckpointError if the file cannot be read.
    """
    try:
        return _metadata(_content(path, MAX_BYTES))
    except (ValueError, AttributeError, RecursionError):
        return {}


def _chosen(boxes: Mapping[str, dict[str, Tensor]], entry: str | None, name: str) -> tuple[str, dict[str, Tensor]]:
    """Returns the place and the tensors of `entry`, or of the likeliest dictionary."""
    if entry is None:
        return next(iter(boxes.items()))
    if entry in boxes:
        return entry, boxes[entry]
    for place, tensors in boxes.items():
        if part := with_prefix(tensors, entry.removeprefix(f"{place}.")):
            return entry, part
    places = ", ".join(place for place in boxes if place) or "none"
    raise CheckpointError(f"{name} has no weights under {entry!r}; its dictionaries of tensors are: {places}")


def _accuracies(loaded: dict[Any, Any], place: str) -> dict[str, float]:
    """Returns the accuracies that the dictionary at `place` and those around it state."""
    accuracies = stated_accuracies(loaded)
    box: Any = loaded
    for part in place.split("."):
        box = dict.get(box, part) if isinstance(box, dict) else None
        accuracies |= stated_accuracies(box)
    return accuracies


def _check_tensors(tensors: dict[str, Tensor], name: str, content_bytes: int, max_bytes: int) -> None:
    """Raises CheckpointError if the tensors are too large, or hold numbers that no weights can have."""
    size = sum(value.numel() * value.element_size() for value in tensors.values())
    if size > max_bytes:
        raise CheckpointError(f"the tensors of {name} have {size:,} bytes; the limit is {max_bytes:,}")
    storages = {value.untyped_storage().data_ptr(): value.untyped_storage().nbytes() for value in tensors.values()}
    if sum(storages.values()) > content_bytes:
        raise CheckpointError(f"{name} is damaged: it holds fewer bytes than its tensors need")
    for key, value in tensors.items():
        if value.dim() > MAX_DIMENSIONS:
            raise CheckpointError(
                f"the tensor {key} of {name} has {value.dim()} dimensions; the limit is {MAX_DIMENSIONS}"
            )
        if value.is_complex():
            raise CheckpointError(f"the tensor {key} of {name} has complex numbers; only real numbers can be used")
        if not is_observer(key) and not value.float().isfinite().all():
            raise CheckpointError(f"the tensor {key} of {name} has NaN or infinite values (as float32)")


def _content(path: Path, most_bytes: int) -> bytes:
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > most_bytes:
                raise CheckpointError(f"{path} has {size:,} bytes; the limit is {most_bytes:,}")
            return file.read(most_bytes + 1)
    except FileNotFoundError:
        raise CheckpointError(f"there is no file {path}") from None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error


def _loaded(content: bytes, name: str) -> Any:
    """Returns what the file holds; errors of torch and safetensors pass through."""
    if _is_safetensors(content):
        _refuse_large_header(content, name)
        return safetensors.torch.load(content)
    zipped = content.startswith(b"PK\x03\x04")
    if zipped:
        stream = _repacked(content, name)
    else:
        stream = io.BytesIO(content)
        _refuse_code(content, name, number=5)  # one pickle holds the tensors, four others a value or a list
    try:
        with numpy_replaced():
            loaded = torch.load(stream, map_location="cpu", weights_only=True)
    except pickles.ForeignName as code:
        raise CheckpointError(f"{name} {_CODE.format(code)}") from None
    except pickle.UnpicklingError as error:
        raise CheckpointError(f"{name} {_CODE.format('or it is damaged')}") from error
    if not zipped and stream.tell() < len(content):
        raise ValueError("there are bytes after its end")
    return loaded


def _is_safetensors(content: bytes) -> bool:
    """Whether the content begins with eight bytes of length, and then with JSON."""
    return content[8:9] == b"{"


def _metadata(content: bytes) -> dict[str, str]:
    """Returns the metadata of a safetensors file that was read; nothing for another format."""
    if not _is_safetensors(content):
        return {}
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return header.get("__metadata__") or {}


def _refuse_large_header(content: bytes, name: str) -> None:
    """Raises CheckpointError if the header of a safetensors file is larger than weights need."""
    size = int.from_bytes(content[:8], "little")
    if size > MAX_HEADER_BYTES:
        raise CheckpointError(f"the header of {name} has {size:,} bytes; the limit is {MAX_HEADER_BYTES:,}")
    for key, entry in json.loads(content[8 : 8 + size]).items():
        dimensions = 0 if key == "__metadata__" else len(entry["shape"])
        if dimensions > MAX_DIMENSIONS:
            raise CheckpointError(
                f"the tensor {key} of {name} has {dimensions} dimensions; the limit is {MAX_DIMENSIONS}"
            )


def _repacked(content: bytes, name: str) -> io.BytesIO:
    """Returns a new zip archive of the records that torch reads, checked against their checksums.

    torch takes the first of two records with the same name and Python the last, and torch ignores the case of names.
    The new archive ensures that torch reads exactly what was checked here.
    """
    repacked = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(repacked, "w") as copy:
        records = [record for record in archive.infolist() if _RECORD.fullmatch(record.filename)]
        compressed = any(record.compress_type != zipfile.ZIP_STORED for record in records)
        if compressed or sum(record.file_size for record in records) > len(content):
            raise CheckpointError(f"{name} is a compressed zip archive; torch saves checkpoints uncompressed")
        if not any(record.filename.endswith("/data.pkl") for record in records):
            raise ValueError("a zip archive without data.pkl")
        if len({record.filename for record in records}) < len(records):
            raise ValueError("a zip archive with two records of one name")
        for record in records:
            if record.CRC == 0:
                del record.CRC  # torch.serialization.set_crc32_options(False) leaves zeros
            value = archive.read(record)
            if record.filename.endswith("/data.pkl"):
                _refuse_code(value, name)
            copy.writestr(record.filename, value)
    repacked.seek(0)
    return repacked


def _refuse_code(pickled: bytes, name: str, number: int = 1) -> None:
    """Raises CheckpointError if one of the pickles does more than weights need; errors of damaged pickles pass."""
    try:
        pickles.check_pickles(pickled, number)
    except pickles.ForeignName as code:
        raise CheckpointError(f"{name} {foreign_content(str(code)) or _CODE.format(code)}") from None
    except pickles.TooIntricate:
        raise CheckpointError(f"{name} holds more structures than any weights need") from None
