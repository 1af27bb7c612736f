"""Sets of images in memory; CIFAR-10 is found in any of its sources, verified and cached.

The canonical records of a split are cached as one file under `data/`. Its SHA-256 is the fingerprint of the split, so
every start verifies it again.
"""

import hashlib
import json
import mmap
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from compression.data.cifar10 import TEST
from compression.data.sources import Source, source_in
from compression.data.split import Records, Shape, Split, in_canonical_order, verify
from compression.errors import DataMissing
from compression.paths import DATA, PROJECT, write_whole


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images of a split: all of them in canonical order, or a selection.

    pixels (N, channels, height, width) uint8, labels (N,) int64. `source` says where they come from, for people.
    `split` identifies the whole set, also if this is a selection of it.
    """

    pixels: torch.Tensor
    labels: torch.Tensor
    source: str
    split: Split

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: slice | torch.Tensor) -> "ImageSet":
        return replace(self, pixels=self.pixels[rows], labels=self.labels[rows])

    @property
    def name(self) -> str:
        """The name of the data set, for people."""
        return self.split.dataset

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, by label."""
        return self.split.classes

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the whole set, in hex."""
        return self.split.fingerprint

    @property
    def shape(self) -> Shape:
        """(channels, height, width) of each image."""
        return self.split.shape

    @property
    def is_whole(self) -> bool:
        """Whether these are as many images as the whole set has."""
        return len(self) == self.split.images


def image_set(records: Records, source: str, split: Split) -> ImageSet:
    """records (N, record_bytes) uint8 -> an ImageSet that shares their memory."""
    table = torch.from_numpy(records)
    return ImageSet(table[:, 1:].view(-1, *split.shape), table[:, 0].long(), source, split)


def places(data: Path = DATA) -> list[Path]:
    """The folders that are searched for CIFAR-10, in order."""
    folder = os.environ.get("CIFAR10_ROOT")
    return [*([Path(folder)] if folder else []), data / "cifar10", PROJECT.parent / "shared" / "cifar10"]


def load(split: Split = TEST, data: Path = DATA) -> ImageSet:
    """Returns all images of `split`, in canonical order and verified, memory-mapped from the cache under `data`.

    The first call decodes the first source that is found and writes the cache. If the cache cannot be written (no
    space, read-only folder), the images are kept in memory and `source` says so.
    Raises DataMissing if there is no copy, and DataError if the copy is damaged or has other images.
    """
    source = next((source for root in places(data) if (source := source_in(root, split))), None)
    cached = _read_cache(split, source, data)
    if cached:
        return cached
    if source is None:
        folders = ", ".join(str(place) for place in places(data))
        raise DataMissing(
            f"there are no {split.dataset} {split.name} images here; fetch them with "
            f"`python -m compression data --download {split.name}` (looked in {folders})"
        )
    records = in_canonical_order(source.read())
    verify(records, split, source.words)
    try:
        _write_cache(records, source, data)
    except OSError as error:
        return image_set(records, f"{source.words} (not cached: {error.strerror})", split)
    return _read_cache(split, source, data) or image_set(records, source.words, split)


def _cache_files(split: Split, data: Path) -> tuple[Path, Path]:
    return data / f"cifar10-{split.name}.bin", data / f"cifar10-{split.name}.json"


def _read_cache(split: Split, source: Source | None, data: Path) -> ImageSet | None:
    """Returns the cached images if they come from `source`, or if there is no source; None if the cache is unusable."""
    array, note = _cache_files(split, data)
    try:
        origin = json.loads(note.read_text())
        words, signature = origin["source"], origin["signature"]
        if source and source.signature != signature:
            return None
        with array.open("rb") as file:
            memory = mmap.mmap(file.fileno(), split.nbytes, access=mmap.ACCESS_COPY)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if array.stat().st_size != split.nbytes or hashlib.sha256(memory).hexdigest() != split.fingerprint:
        return None
    images = image_set(np.frombuffer(memory, np.uint8).reshape(-1, split.record_bytes), words, split)
    if hasattr(mmap, "MADV_DONTNEED"):  # all of it is in memory now, because of its hash and labels; few need all soon
        memory.madvise(mmap.MADV_DONTNEED)
    return images


def _write_cache(records: Records, source: Source, data: Path) -> None:
    data.mkdir(parents=True, exist_ok=True)
    note = json.dumps({"source": source.words, "signature": source.signature}).encode()
    for path, content in zip(_cache_files(source.split, data), (records.tobytes(), note), strict=True):
        write_whole(path, content)
