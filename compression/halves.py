"""Two halves of the test images: one to choose by, and one that tells what the choice is worth.

Whatever is chosen because it does best on some images does better there than elsewhere. Images in canonical order are
sorted by their digests, and so every second one is as good as drawn by lot.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from compression.estimate import Flips
from compression.evaluate import Evaluation, wilson_interval


def search_half(total: int) -> Tensor:
    """The rows (ceil(total / 2),) of the images to choose by."""
    return torch.arange(0, total, 2)


def held_back_half(total: int) -> Tensor:
    """The other rows: nothing is chosen by them."""
    return torch.arange(1, total, 2)


@dataclass(frozen=True)
class OnHalf:
    """How a network does on a half of `images` images, of which it loses `lost` and wins `won` against float."""

    images: int
    correct: int
    lost: int
    won: int

    @property
    def accuracy(self) -> float:
        return self.correct / self.images

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's, of 95 %."""
        return wilson_interval(self.correct, self.images)

    @property
    def drop(self) -> float:
        """Against float, as a share of the images; below 0 where it gains."""
        return (self.lost - self.won) / self.images

    @property
    def error(self) -> float:
        """The standard error of `drop`, for paired answers (McNemar 1947), with one image more, so that it is not 0."""
        return math.sqrt(self.lost + self.won + 1) / self.images


def on_half(rows: Tensor, before: Evaluation, after: Evaluation) -> OnHalf:
    """`after` on the images `rows`, beside the float network `before`; both are of all images."""
    return compared(before.right[rows], after.right[rows])


def compared(before: Tensor, after: Tensor) -> OnHalf:
    """(N,) bool each: which images are right."""
    lost, won = int((before & ~after).sum()), int((~before & after).sum())
    return OnHalf(len(after), int(after.sum()), lost, won)


def differ(rows: Tensor, one: Evaluation, other: Evaluation) -> Flips:
    """On the images `rows`: what `one` has right and `other` has not, and the other way round."""
    first, second = one.right[rows], other.right[rows]
    return Flips(int((first & ~second).sum()), int((~first & second).sum()))
