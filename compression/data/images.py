"""Real CIFAR-10, whatever box it comes in, found, verified, and cached.

The canonical records are cached as one file under `data/`, whose SHA-256 *is* the fingerprint of the split: each
start verifies it again.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from compression.data.cifar10 import RECORD, TEST, Records, Split, canonical, verify
from compression.data.sources import Box, box_in
from compression.errors import DataMissing
from compression.paths import DATA, PROJECT, write_whole


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images in canonical order. pixels (N, 3, 32, 32) uint8, labels (N,) int64."""

    pixels: torch.Tensor
    labels: torch.Tensor
    source: str

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: slice | torch.Tensor) -> "ImageSet":
        return ImageSet(self.pixels[rows], self.labels[rows], self.source)


def image_set(records: Records, source: str) -> ImageSet:
    """records (N, 3073) uint8 -> an ImageSet that shares their memory."""
    table = torch.from_numpy(records)
    return ImageSet(table[:, 1:].view(-1, 3, 32, 32), table[:, 0].long(), source)


def places(data: Path = DATA) -> list[Path]:
    """The folders in which CIFAR-10 is looked for, in order."""
    named = os.environ.get("CIFAR10_ROOT")
    return [*([Path(named)] if named else []), data / "cifar10", PROJECT.parent / "shared" / "cifar10"]


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
