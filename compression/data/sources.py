"""The three forms in which CIFAR-10 is distributed: torchvision's batches, Parquet shards, class folders of PNGs."""

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

from compression.data.cifar10 import TEST
from compression.data.split import Records, Split
from compression.errors import DataError


@dataclass(frozen=True)
class Source:
    """A copy of one split in a folder. `kind` is one of FINDERS; `files` are all files that are read."""

    split: Split
    kind: str
    folder: Path
    files: tuple[Path, ...]

    @property
    def words(self) -> str:
        """Kind and place, for people."""
        return f"{self.kind} in {self.folder}"

    @property
    def signature(self) -> str:
        """A digest that changes if a file is added, removed or rewritten (for class folders, if a listing changes)."""
        stats = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in self.files]
        return hashlib.sha256(repr(stats).encode()).hexdigest()

    def read(self) -> Records:
        """Returns the records (N, record_bytes) in the order of the files. Raises DataError if a file is damaged."""
        return READERS[self.kind](self.files, self.split)


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
    return [folder for name in split.classes if (folder := root / split.name / name).is_dir()]


class _ArraysOnly(pickle.Unpickler):
    """Reads the pickles of CIFAR-10's Python version, and refuses all functions that they do not need."""

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


def _read_batches(files: tuple[Path, ...], split: Split) -> Records:
    parts = []
    for path in files:
        try:
            with path.open("rb") as file:
                batch = _ArraysOnly(file, encoding="bytes").load()
            labels = np.asarray(batch[b"labels"], np.uint8)
            pixels = np.asarray(batch[b"data"], np.uint8).reshape(len(labels), split.pixels)
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
            raise DataError(f"{path} is not a whole {split.dataset} batch: {error}") from error
        parts.append(np.concatenate([labels[:, None], pixels], 1))
    return np.concatenate(parts)


def _record(image: bytes | Path | None, label: int | None, name: str, split: Split) -> Records:
    """Returns one record (record_bytes,). Raises DataError, with `name`, for a wrong label, size or image."""
    if label not in range(len(split.classes)):
        raise DataError(f"{name} has the label {label}, where {split.dataset} has 0..{len(split.classes) - 1}")
    _, height, width = split.shape
    try:
        with Image.open(image if isinstance(image, Path) else io.BytesIO(image or b"")) as picture:
            if picture.size != (width, height):
                raise DataError(f"{name} is {picture.width}x{picture.height} pixels, not {width}x{height}")
            pixels = np.asarray(picture.convert("RGB"))
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{name} is not a whole image: {error}") from error
    return np.concatenate([np.array([label], np.uint8), pixels.transpose(2, 0, 1).reshape(-1)])


def _stacked(rows: list[Records], split: Split) -> Records:
    return np.stack(rows) if rows else np.empty((0, split.record_bytes), np.uint8)


def read_parquet(files: tuple[Path, ...], split: Split) -> Records:
    """Returns the records (N, record_bytes) of Parquet shards. Raises DataError if one is damaged."""
    rows = []
    for path in files:
        try:
            table = pyarrow.parquet.read_table(path, columns=["img.bytes", "label"])
        except (pyarrow.ArrowException, OSError) as error:
            raise DataError(f"{path} is not a whole Parquet file: {str(error).splitlines()[0]}") from error
        for number, row in enumerate(table.to_pylist()):
            rows.append(_record(row["bytes"], row["label"], f"image {number:,} of {path}", split))
    return _stacked(rows, split)


def _read_folders(folders: tuple[Path, ...], split: Split) -> Records:
    rows = [
        _record(path, split.classes.index(folder.name), str(path), split)
        for folder in folders
        for path in sorted(folder.glob("*.png"))
    ]
    return _stacked(rows, split)


FINDERS = {"batches": _batch_files, "Parquet": _parquet_files, "class folders": _class_folders}

READERS = {"batches": _read_batches, "Parquet": read_parquet, "class folders": _read_folders}


def source_in(root: Path, split: Split) -> Source | None:
    """Returns the copy of `split` in `root`, or None. Raises DataError if the folder cannot be read."""
    try:
        for kind, find in FINDERS.items():
            files = find(root, split)
            if files:
                return Source(split, kind, files[0].parent, tuple(files))
    except OSError as error:
        raise DataError(f"{root} cannot be read: {error.strerror}") from error
    return None
