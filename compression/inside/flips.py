"""Which images a compressed network classifies otherwise than the float network: values made of two evaluations."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import torch
from torch import Tensor

from compression.evaluation import evaluation
from compression.evaluation.evaluation import Evaluation
from compression.evaluation.statistics import Flips

MOST_DROP = 0.1  # of networks that are counted: others lose nearly every image, which says nothing of the image


class Change(StrEnum):
    """What compression does to the prediction of an image."""

    LOST = "Lost"
    WON = "Won"
    BOTH_WRONG = "Both wrong"
    SAME = "Same"


class Matrix(StrEnum):
    """What the rows and the columns of a confusion matrix are."""

    CHANGE = "Float to compressed"
    BEFORE = "Float"
    AFTER = "Compressed"


@dataclass(frozen=True, eq=False)
class Comparison:
    """The evaluations of the float network and of a compressed one on the same N images, and their flips."""

    as_float: Evaluation
    compressed: Evaluation
    flips: Flips

    @property
    def before(self) -> Tensor:
        """(N,) uint8: the predictions of the float network, numbers of `classes`."""
        return self.as_float.predictions

    @property
    def after(self) -> Tensor:
        """(N,) uint8: the predictions of the compressed network, numbers of `classes`."""
        return self.compressed.predictions

    @property
    def labels(self) -> Tensor:
        """(N,) int64: the true classes."""
        return self.as_float.labels

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, by number."""
        return self.as_float.classes

    @property
    def margins(self) -> Tensor | None:
        """(N,) float32: the largest logit of the float network minus the second largest; None if it was not kept."""
        return self.as_float.margins

    @property
    def changes(self) -> dict[Change, Tensor]:
        """(N,) bool for each change: the images that it happened to. Each image has exactly one."""
        right, still, same = self.before == self.labels, self.after == self.labels, self.before == self.after
        return {
            Change.LOST: right & ~still,
            Change.WON: ~right & still,
            Change.BOTH_WRONG: ~right & ~still & ~same,
            Change.SAME: same,
        }

    @property
    def counts(self) -> dict[Change, int]:
        """The number of images of each change."""
        return {change: int(mask.sum()) for change, mask in self.changes.items()}


def compare(before: Evaluation, after: Evaluation) -> Comparison:
    """Returns the comparison of two evaluations of the same images. Raises ValueError if their labels differ.

    >>> import compression as sq
    >>> from compression import inside
    >>> net, images = sq.load("simple_cnn"), sq.load_images()[:500]
    >>> small = sq.compress(net, sq.CompressionSpec(weights=sq.QuantSpec(3)))
    >>> change = inside.compare(sq.evaluate(net, images), sq.evaluate(small, images))
    >>> sum(change.counts.values()), inside.sort_surest_first(change, change.changes["Lost"])[:3]
    (500, (443, 175, 22))
    """
    return Comparison(before, after, evaluation.flips(before, after))


def sort_surest_first(comparison: Comparison, mask: Tensor) -> tuple[int, ...]:
    """Returns the numbers of the images in `mask` (N,) bool, those first of which the float network is the surest.

    Images with equal margins keep their order, and so do all if there are no margins.
    """
    rows = mask.nonzero()[:, 0]
    if comparison.margins is not None:
        rows = rows[comparison.margins[rows].argsort(descending=True, stable=True)]
    return tuple(rows.tolist())


def _sides(comparison: Comparison, matrix: Matrix) -> tuple[Tensor, Tensor]:
    """Returns the class of each image (N,) int64 that gives its row and its column."""
    rows = comparison.before.long() if matrix is Matrix.CHANGE else comparison.labels
    columns = comparison.before if matrix is Matrix.BEFORE else comparison.after
    return rows, columns.long()


def confusion(comparison: Comparison, matrix: Matrix) -> list[list[int]]:
    """Returns the matrix [row][column] -> images.

    Rows are true classes, or with CHANGE the predictions of the float network; columns are predictions.
    """
    rows, columns = _sides(comparison, matrix)
    return evaluation.confusion(replace(comparison.compressed, labels=rows, predictions=columns))


def in_cell(comparison: Comparison, matrix: Matrix, row: int, column: int) -> Tensor:
    """Returns (N,) bool: the images of one cell of the matrix."""
    rows, columns = _sides(comparison, matrix)
    return (rows == row) & (columns == column)


@dataclass(frozen=True)
class ClassChange:
    """What compression does to the images of one true class."""

    name: str
    images: int
    before: int
    after: int
    lost: int
    won: int

    @property
    def change(self) -> float:
        """The change of accuracy as a fraction: -0.02 is a loss of two percentage points."""
        return (self.after - self.before) / self.images


def class_changes(comparison: Comparison) -> tuple[ClassChange, ...]:
    """Returns the changes of all classes that have images, the greatest loss first."""
    before, after, masks = comparison.as_float.per_class, comparison.compressed.per_class, comparison.changes
    lost, won = (
        comparison.labels[masks[change]].bincount(minlength=len(before)).tolist()
        for change in (Change.LOST, Change.WON)
    )
    changes = [
        ClassChange(name, images, correct, after[name][0], lost[number], won[number])
        for number, (name, (correct, images)) in enumerate(before.items())
        if images
    ]
    return tuple(sorted(changes, key=lambda each: each.change))


@dataclass(frozen=True, eq=False)
class OftenLost:
    """How many of `networks` compressed networks lose each image: `losses` (N,) int64, zero where float is wrong too.

    `left_out` others were not counted, because their accuracy drops by more than MOST_DROP.
    """

    losses: Tensor
    networks: int
    left_out: int

    @property
    def by_all(self) -> Tensor:
        """(N,) bool: the images that every one of the networks loses."""
        return (self.losses == self.networks) & (self.networks > 0)

    @property
    def ranking(self) -> tuple[int, ...]:
        """The numbers of the images that at least one network loses, the most often lost first."""
        order = self.losses.argsort(descending=True, stable=True)
        return tuple(order[: int((self.losses > 0).sum())].tolist())


def often_lost(before: Evaluation, compressed: Sequence[Evaluation]) -> OftenLost:
    """Returns how often each image is lost, counted over evaluations of compressed networks on the same images.

    Such images are called compression-identified exemplars (Hooker et al. 2019, arXiv:1911.05248).
    """
    counted = [each for each in compressed if each.accuracy >= before.accuracy - MOST_DROP]
    losses = torch.zeros(before.total, dtype=torch.long)
    for each in counted:
        losses += before.right & ~each.right
    return OftenLost(losses, len(counted), len(compressed) - len(counted))
