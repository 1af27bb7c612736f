"""CIFAR-10 as this project knows it: classes, splits, one canonical order, and how to tell that a copy is whole.

An image is the 3,073-byte record of CIFAR-10's binary version: the label, then the R, G and B planes.
Records are sorted by their SHA-256, and the SHA-256 of the sorted records is CIFAR-10's fingerprint, so
that equal fingerprints mean equal images with equal labels in equal order.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compression.errors import DataError

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

PIXELS = 3 * 32 * 32

RECORD = 1 + PIXELS

Records = npt.NDArray[np.uint8]


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


def canonical(records: Records) -> Records:
    """records (N, 3073) -> the same rows, sorted by the SHA-256 of each."""
    order = sorted(range(len(records)), key=lambda row: hashlib.sha256(records[row].data).digest())
    return records[order]


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
