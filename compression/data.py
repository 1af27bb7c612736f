"""Real CIFAR-10, whatever box it comes in, in one canonical order and verified.

An image is the 3,073-byte record of CIFAR-10's binary version: the label, then the R, G and B planes.
Records are sorted by their SHA-256, and the SHA-256 of the sorted records is CIFAR-10's fingerprint, so
that equal fingerprints mean equal images with equal labels in equal order. The sorted records are cached
as one file under `data/`, whose SHA-256 therefore *is* the fingerprint: each start verifies it again.
"""

import hashlib
import io
import json
import os
import pickle
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow
import pyarrow.parquet
import torch
from PIL import Image

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
PIXELS = 3 * 32 * 32
RECORD = 1 + PIXELS

PROJECT = Path(__file__).resolve().parents[1]
DATA = PROJECT / "data"

Records = npt.NDArray[np.uint8]


class DataError(Exception):
    """CIFAR-10 cannot be used; the message says why, in the reader's words."""


class DataMissing(DataError):
    """There is no CIFAR-10 in any of the places that were looked at."""


@dataclass(frozen=True)
class Split:
    """One half of CIFAR-10, with the fingerprint of its sorted records."""

    name: str
    images: int
    fingerprint: str
    download: str

    @property
    def nbytes(self) -> int:
        return self.images * RECORD


TEST = Split(
    "test",
    10_000,
    "c601bf85e16d3df5ce4a9a274bdaa4475e7a92eb0939ca63c602ccc780548819",
    "test-00000-of-00001.parquet",
)
TRAIN = Split(
    "train",
    50_000,
    "e47348e92e1b30ac0f7c8442987cf05d07f7556eaf7a09b8fae52543df7266c6",
    "train-00000-of-00001.parquet",
)
SPLITS = {"test": TEST, "train": TRAIN}


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images in canonical order. pixels (N, 3, 32, 32) uint8, labels (N,) int64."""

    pixels: torch.Tensor
    labels: torch.Tensor
    source: str

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: slice) -> "ImageSet":
        return ImageSet(self.pixels[rows], self.labels[rows], self.source)


def image_set(records: Records, source: str) -> ImageSet:
    """records (N, 3073) uint8 -> an ImageSet that shares their memory."""
    table = torch.from_numpy(records)
    return ImageSet(table[:, 1:].view(-1, 3, 32, 32), table[:, 0].long(), source)


def canonical(records: Records) -> Records:
    """records (N, 3073) -> the same rows, sorted by the SHA-256 of each."""
    order = sorted(range(len(records)), key=lambda row: hashlib.sha256(records[row].data).digest())
    return records[order]


# ---- the three boxes


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


# ---- finding, verifying, caching


def places(data: Path = DATA) -> list[Path]:
    """The folders in which CIFAR-10 is looked for, in order."""
    named = os.environ.get("CIFAR10_ROOT")
    return [*([Path(named)] if named else []), data / "cifar10", PROJECT.parent / "shared" / "cifar10"]


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


def verify(records: Records, split: Split, source: str) -> None:
    """Raises DataError unless the canonical `records` are exactly CIFAR-10's."""
    if len(records) != split.images:
        difference = abs(split.images - len(records))
        verb = "missing" if len(records) < split.images else "too many"
        raise DataError(
            f"{source} holds {len(records):,} {split.name} images where CIFAR-10 has {split.images:,}: "
            f"{difference:,} {verb}"
        )
    if hashlib.sha256(records.data).hexdigest() != split.fingerprint:
        raise DataError(
            f"{source} is not CIFAR-10: it holds {split.images:,} {split.name} images, but pixels or labels "
            "of some differ from the original"
        )


def load(split: Split = TEST, data: Path = DATA) -> ImageSet:
    """All images of `split`, canonical and verified, memory-mapped from the cache under `data`.

    The first call decodes the box that is found first and writes the cache; where it cannot be written
    (no space, read-only folder) the images are kept in memory instead and `source` says so.
    Raises DataMissing where there is no copy, DataError where the copy is damaged or is not CIFAR-10.
    """
    box = next((box for root in places(data) if (box := box_in(root, split))), None)
    cached = _read_cache(split, box, data)
    if cached:
        return cached
    if box is None:
        looked = ", ".join(str(place) for place in places(data))
        raise DataMissing(
            f"there are no CIFAR-10 {split.name} images here; fetch them with "
            f"`python -m compression data --download {split.name}` (looked in {looked})"
        )
    records = canonical(box.read())
    verify(records, split, box.source)
    try:
        _write_cache(records, box, data)
    except OSError as error:
        return image_set(records, f"{box.source} (not cached: {error.strerror})")
    return image_set(records, box.source)


def _cache_files(split: Split, data: Path) -> tuple[Path, Path]:
    return data / f"cifar10-{split.name}.bin", data / f"cifar10-{split.name}.json"


def _read_cache(split: Split, box: Box | None, data: Path) -> ImageSet | None:
    """The cached images if they came from `box`, or if there is no box; None if there are none as good."""
    array, note = _cache_files(split, data)
    try:
        origin = json.loads(note.read_text())
        source, signature = origin["source"], origin["signature"]
        if box and box.signature != signature:
            return None
        records = np.memmap(array, np.uint8, "c", shape=(split.images, RECORD))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if array.stat().st_size != split.nbytes or hashlib.sha256(records.data).hexdigest() != split.fingerprint:
        return None
    return image_set(records, source)


def _write_cache(records: Records, box: Box, data: Path) -> None:
    data.mkdir(parents=True, exist_ok=True)
    note = json.dumps({"source": box.source, "signature": box.signature}).encode()
    for path, content in zip(_cache_files(box.split, data), (records.tobytes(), note), strict=True):
        write_whole(path, content)


def write_whole(path: Path, content: bytes) -> None:
    """Writes the file whole or not at all: a reader never meets half of it. Raises OSError."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
