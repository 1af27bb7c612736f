"""The two halves of the test images: a search uses one half and reports on the other, held-out half.

The best of many networks, picked by their accuracy on some images, is partly picked by luck. Images that were not used
for the choice show how much. The canonical order sorts images by SHA-256, so every second image is a random half.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from compression.data.cifar10 import TEST
from compression.data.split import Split
from compression.evaluation.evaluation import Evaluation
from compression.evaluation.statistics import Flips, Proportion

ALL, SEARCH, HELD_BACK = slice(None), slice(0, None, 2), slice(1, None, 2)

HALF = TEST.images // 2


@dataclass(frozen=True, eq=False)
class Score(Proportion):
    """right (N,) bool: which of the first images of a part are classified correctly."""

    right: Tensor

    @property
    def total(self) -> int:
        return len(self.right)

    @property
    def correct(self) -> int:
        return int(self.right.sum())

    def flips(self, after: "Score") -> Flips:
        """Returns the flips from this score to `after`, on as many of the first images as `after` has."""
        before = self.right[: after.total]
        return Flips(int((before & ~after.right).sum()), int((~before & after.right).sum()))


def score(evaluation: Evaluation, part: slice) -> Score:
    """Returns the score of `part` from an evaluation of all test images."""
    return Score(evaluation.right[part])


def rows(part: slice, split: Split = TEST) -> npt.NDArray[np.uint16]:
    """Returns the numbers of the images of `part`, in canonical order."""
    return np.arange(split.images, dtype=np.uint16)[part]


def first_of(part: slice, images: int, split: Split = TEST) -> str:
    """Returns what a key of the store says for the first `images` of `part`."""
    return first(images, split) if part == ALL else f"{split.fingerprint}[{part.start}::{part.step}][:{images}]"


def first(images: int, split: Split = TEST) -> str:
    """Returns what a key of the store says for the first `images` of `split`, in canonical order."""
    return split.fingerprint + (f"[:{images}]" if images < split.images else "")
