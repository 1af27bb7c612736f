"""The test images in two halves: one to search on, and one held back to report on.

Whoever picks the best of many by some images has partly picked luck; images that had no say in it tell how much. The
canonical order goes by the SHA-256 of the images, so that every other one is a fair half, whatever the classes.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from compression.data.cifar10 import TEST
from compression.evaluation.evaluation import Evaluation
from compression.evaluation.statistics import Flips, Proportion

ALL, SEARCH, HELD_BACK = slice(None), slice(0, None, 2), slice(1, None, 2)

HALF = TEST.images // 2


@dataclass(frozen=True, eq=False)
class Score(Proportion):
    """right (N,) bool: which images of a part, or of its first, are classified correctly."""

    right: Tensor

    @property
    def total(self) -> int:
        return len(self.right)

    @property
    def correct(self) -> int:
        return int(self.right.sum())

    def flips(self, after: "Score") -> Flips:
        """Between this and `after`, on the first images of this, as many as `after` has."""
        before = self.right[: after.total]
        return Flips(int((before & ~after.right).sum()), int((~before & after.right).sum()))


def score(evaluation: Evaluation, part: slice) -> Score:
    """That of `part` of an evaluation of all test images."""
    return Score(evaluation.right[part])


def rows(part: slice, images: int = TEST.images) -> npt.NDArray[np.uint16]:
    """The images of `part`, in canonical order."""
    return np.arange(images, dtype=np.uint16)[part]


def first_of(part: slice, images: int) -> str:
    """How a key of the store calls the first `images` of `part`."""
    return first(images) if part == ALL else f"{TEST.fingerprint}[{part.start}::{part.step}][:{images}]"


def first(images: int) -> str:
    """How a key calls the first `images` test images, in canonical order."""
    return TEST.fingerprint + (f"[:{images}]" if images < TEST.images else "")
