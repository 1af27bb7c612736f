"""The three boxes that CIFAR-10 comes in: torchvision's batches, Parquet shards, class folders of PNGs."""

import hashlib
import io
import pickle
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
from PIL import Image

from compression.data.cifar10 import CLASSES, PIXELS, RECORD, TEST, Records, Split
from compression.errors import DataError


@dataclass(frozen=True)
class Box:
    """A folder in which a copy of one split was found. `files` are all that is read for it."""

    split: Split
    kind: str
    folder: Path
    files: tuple[Path, ...]

    @property
    def source(self) -> str:
        return f"{self.kind} in {self.folder}"

    @property
    def signature(self) -> str:
        """Changes when a file is added, removed or written again (for class folders, their listing)."""
        stats = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in self.files]
        return hashlib.sha256(repr(stats).encode()).hexdigest()

    def read(self) -> Records:
        """The records (N, 3073) in the order of the box. Raises DataError where a file is damaged."""
        return READERS[self.kind](self.files)


def _batch_files(root: Path, split: Split) -> list[Path]:
    names = ["test_batch"] if split.name == TEST.name else [f"data_batch_{i}" for i in range(1, 6)]
    for folder in (root, root / "cifar-10-batches-py"):
        files = [folder / name for name in names if (folder / name).is_file()]
        if files:
            return files
    return []


def _parquet_files(root: Path, split: Split) -> list[Path]:
    for folder in (root, root / "plain_text"):
        files = sorted(folder.glob(f"{split.name}-*.parquet"))
        if files:
            return files
    return []


def _class_folders(root: Path, split: Split) -> list[Path]:
    return [folder for name in CLASSES if (folder := root / split.name / name).is_dir()]


class _ArraysOnly(pickle.Unpickler):
    """Reads the pickles of CIFAR-10's Python version and refuses any other code they may name."""

    ALLOWED = frozenset(
        {
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("_codecs", "encode"),
        }
    )

    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"it wants to run {module}.{name}")
        return super().find_class(module, name)


def _read_batches(files: tuple[Path, ...]) -> Records:
    parts = []
    for path in files:
        try:
            with path.open("rb") as file:
                batch = _ArraysOnly(file, encoding="bytes").load()
            labels = np.asarray(batch[b"labels"], np.uint8)
            pixels = np.asarray(batch[b"data"], np.uint8).reshape(len(labels), PIXELS)
        except (
            OSError,
            EOFError,
            pickle.UnpicklingError,
            AttributeError,
            KeyError,
            OverflowError,
            TypeError,
            ValueError,
            struct.error,
        ) as error:
            raise DataError(f"{path} is not a whole CIFAR-10 batch: {error}") from error
        parts.append(np.concatenate([labels[:, None], pixels], 1))
    return np.concatenate(parts)


def _record(image: bytes | Path | None, label: int | None, name: str) -> Records:
    if label not in range(len(CLASSES)):
        raise DataError(f"{name} has the label {label}, where CIFAR-10 has 0..{len(CLASSES) - 1}")
    try:
        with Image.open(image if isinstance(image, Path) else io.BytesIO(image or b"")) as picture:
            if picture.size != (32, 32):
                raise DataError(f"{name} is {picture.width}x{picture.height} pixels, not 32x32")
            pixels = np.asarray(picture.convert("RGB"))
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{name} is not a whole image: {error}") from error
    return np.concatenate([np.array([label], np.uint8), pixels.transpose(2, 0, 1).reshape(-1)])


def read_parquet(files: tuple[Path, ...]) -> Records:
    rows = []
    for path in files:
        try:
            table = pyarrow.parquet.read_table(path, columns=["img.bytes", "label"])
        except (pyarrow.ArrowException, OSError) as error:
            raise DataError(f"{path} is not a whole Parquet file: {str(error).splitlines()[0]}") from error
        for number, row in enumerate(table.to_pylist()):
            rows.append(_record(row["bytes"], row["label"], f"image {number:,} of {path}"))
    return np.stack(rows) if rows else np.empty((0, RECORD), np.uint8)


def _read_folders(files: tuple[Path, ...]) -> Records:
    rows = [
        _record(path, CLASSES.index(folder.name), str(path))
        for folder in files
        for path in sorted(folder.glob("*.png"))
    ]
    return np.stack(rows) if rows else np.empty((0, RECORD), np.uint8)


FINDERS = {"batches": _batch_files, "Parquet": _parquet_files, "class folders": _class_folders}

READERS = {"batches": _read_batches, "Parquet": read_parquet, "class folders": _read_folders}


def box_in(root: Path, split: Split) -> Box | None:
    """The copy of `split` that `root` holds, if any. Raises DataError where the folder cannot be read."""
    try:
        for kind, find in FINDERS.items():
            files = find(root, split)
            if files:
                return Box(split, kind, files[0].parent, tuple(files))
    except OSError as error:
        raise DataError(f"{root} cannot be read: {error.strerror}") from error
    return None
