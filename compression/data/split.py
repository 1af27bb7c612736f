"""What identifies one part of a data set, the canonical order of its records, and the check that a copy is complete.

A record is one image as in the binary version of CIFAR-10: one byte for the label, then the planes of the channels.
Records are sorted by their SHA-256. The fingerprint of a split is the SHA-256 of its sorted records, so equal
fingerprints mean equal images with equal labels in equal order.
"""

import hashlib
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compression.errors import DataError

Shape = tuple[int, int, int]

Records = npt.NDArray[np.uint8]

MOST_CLASSES = 256  # a record has one byte for the label


@dataclass(frozen=True)
class Split:
    """One part of a data set, for example the test images of CIFAR-10: what is known of it without its images.

    `dataset` and `name` are for people ("CIFAR-10", "test"). `classes` are the names of the labels 0, 1, 2, ....
    Each image has `shape` (channels, height, width), one byte per value. `images` is the number of images, and
    `fingerprint` is in hex. `download` is the name of the file that can be fetched.
    Raises ValueError unless there are 2..MOST_CLASSES classes.
    """

    dataset: str
    name: str
    classes: tuple[str, ...]
    shape: Shape
    images: int
    fingerprint: str
    download: str

    def __post_init__(self) -> None:
        if not 2 <= len(self.classes) <= MOST_CLASSES:
            raise ValueError(f"a data set must have 2..{MOST_CLASSES} classes, got {len(self.classes)}")

    @property
    def pixels(self) -> int:
        """The number of values of one image."""
        return math.prod(self.shape)

    @property
    def record_bytes(self) -> int:
        """The bytes of one record."""
        return 1 + self.pixels

    @property
    def nbytes(self) -> int:
        """The bytes of all records."""
        return self.images * self.record_bytes


def in_canonical_order(records: Records) -> Records:
    """records (N, record_bytes) -> the same rows, sorted by the SHA-256 of each."""
    order = sorted(range(len(records)), key=lambda row: hashlib.sha256(records[row].data).digest())
    return records[order]


def verify(records: Records, split: Split, source: str) -> None:
    """Raises DataError unless `records`, in canonical order, are exactly those of `split`.

    `source` names the copy in the message.
    """
    if len(records) != split.images:
        difference = abs(split.images - len(records))
        verb = "missing" if len(records) < split.images else "too many"
        raise DataError(
            f"{source} holds {len(records):,} {split.name} images where {split.dataset} has {split.images:,}: "
            f"{difference:,} {verb}"
        )
    if hashlib.sha256(records.data).hexdigest() != split.fingerprint:
        raise DataError(
            f"{source} is not {split.dataset}: it holds {split.images:,} {split.name} images, but pixels or labels "
            "of some differ from the original"
        )
