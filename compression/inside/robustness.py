"""What corrupted images cost the float network and a compressed one, on the same images."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from compression.evaluation.statistics import Z_95
from compression.inside.corruptions import CLEAN, CONDITIONS, Condition, Corruption

IMAGES = 1000  # a network of the size of ResNet-20 takes a second for them on a slow core, 36 times


@dataclass(frozen=True)
class Difference:
    """A mean difference of accuracies as a fraction, with its 95 % interval; negative is a loss."""

    mean: float
    low: float
    high: float

    @property
    def is_significant(self) -> bool:
        """Whether zero lies outside the interval."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class ConditionCost:
    """What both networks classify correctly under `condition`: of `images`, `before` (float) and `after` (compressed).

    `change` is the accuracy of the compressed network minus that of the float network. `extra` is how much this change
    differs from the change on the clean images: negative means that compression costs more here.
    """

    condition: Condition
    images: int
    before: int
    after: int
    change: Difference
    extra: Difference


def condition_costs(before: Sequence[Tensor], after: Sequence[Tensor]) -> tuple[ConditionCost, ...]:
    """Returns the costs of CONDITIONS. before, after: for each condition, which images (N,) are classified correctly.

    >>> float_right = [torch.tensor([True, True, True, False])] * len(CONDITIONS)
    >>> small_right = [torch.tensor([True, False, True, False])] * len(CONDITIONS)
    >>> condition_costs(float_right, small_right)[3].extra
    Difference(mean=0.0, low=0.0, high=0.0)
    """
    changes = [small.int() - large.int() for large, small in zip(before, after, strict=True)]
    clean = changes[CONDITIONS.index(CLEAN)]
    return tuple(
        ConditionCost(
            condition,
            len(large),
            int(large.sum()),
            int(small.sum()),
            paired_difference(change),
            mean_difference(change - clean),
        )
        for condition, large, small, change in zip(CONDITIONS, before, after, changes, strict=True)
    )


def paired_difference(change: Tensor) -> Difference:
    """change (N,) of -1 (lost), 0 and 1 (won) -> the difference of two accuracies on the same images.

    The interval is Wald's after half an image was added to each cell of the table of correct and wrong, so that it is
    not a point where nothing was seen to change. Source: Agresti and Min 2005 (Statistics in Medicine 24:729-740).
    """
    lost, won, images = int((change < 0).sum()), int((change > 0).sum()), len(change)
    centre = (won - lost) / (images + 2)
    spread = (won + lost + 1 - (won - lost) ** 2 / (images + 2)) / (images + 2) ** 2
    half = Z_95 * math.sqrt(spread)
    return Difference((won - lost) / images, max(-1.0, centre - half), min(1.0, centre + half))


def mean_difference(change: Tensor) -> Difference:
    """change (N,) of whole numbers, one per image -> their mean, with the interval of a normal distribution."""
    values = change.double()
    half = Z_95 * float(values.std()) / math.sqrt(len(values)) if len(values) > 1 else math.inf
    mean = float(values.mean())
    return Difference(mean, mean - half, mean + half)


def pooled_cost(
    before: Sequence[Tensor], after: Sequence[Tensor], corruption: Corruption | None = None
) -> tuple[Difference, Difference]:
    """Returns the mean change over all conditions of `corruption`, and how much it differs from that on clean images.

    None means all corruptions. before, after: as for `condition_costs`. Each image counts once, with its mean.
    """
    clean, corrupted = _changes(before, after, corruption)
    return mean_difference(corrupted), mean_difference(corrupted - clean)


def _changes(
    before: Sequence[Tensor], after: Sequence[Tensor], corruption: Corruption | None = None
) -> tuple[Tensor, Tensor]:
    """Returns the change (N,) of each image, -1 to 1: on clean images, and the mean over conditions of `corruption`."""
    changes = torch.stack([small.int() - large.int() for large, small in zip(before, after, strict=True)]).double()
    mask = [each != CLEAN and corruption in (None, each.corruption) for each in CONDITIONS]
    return changes[CONDITIONS.index(CLEAN)], changes[mask].mean(0)


@dataclass(frozen=True)
class ClassCost:
    """The change of the accuracy of one class, on clean images and as the mean over all corruptions, as fractions."""

    name: str
    images: int
    clean: float
    corrupted: float


def class_costs(
    before: Sequence[Tensor], after: Sequence[Tensor], labels: Tensor, names: Sequence[str]
) -> tuple[ClassCost, ...]:
    """Returns the costs of all classes that have images, the greatest loss under corruptions first.

    before, after: as for `condition_costs`; labels (N,) are numbers of `names`.
    """
    clean, corrupted = _changes(before, after)
    masks = [(name, labels == number) for number, name in enumerate(names)]
    costs = [
        ClassCost(name, int(mask.sum()), float(clean[mask].mean()), float(corrupted[mask].mean()))
        for name, mask in masks
        if mask.any()
    ]
    return tuple(sorted(costs, key=lambda each: each.corrupted))


@dataclass(frozen=True)
class CorruptionReport:
    """What corrupted images cost both networks.

    `by_corruption` has the mean change over the five severities of each corruption, and `extra` how much the mean
    change over all corruptions differs from the change on the clean images, which come first in `conditions`.
    """

    conditions: tuple[ConditionCost, ...]
    by_corruption: dict[Corruption, Difference]
    change: Difference
    extra: Difference
    classes: tuple[ClassCost, ...]

    @property
    def clean(self) -> ConditionCost:
        """What both networks do with the clean images."""
        return self.conditions[CONDITIONS.index(CLEAN)]

    def of(self, corruption: Corruption) -> tuple[ConditionCost, ...]:
        """Returns the costs of one corruption, from the lowest severity to the highest."""
        return tuple(each for each in self.conditions if each.condition.corruption is corruption)


def report_corruptions(
    before: Sequence[Tensor], after: Sequence[Tensor], labels: Tensor, names: Sequence[str]
) -> CorruptionReport:
    """Returns all of the above. The arguments are those of `class_costs`."""
    change, extra = pooled_cost(before, after)
    return CorruptionReport(
        condition_costs(before, after),
        {each: pooled_cost(before, after, each)[0] for each in Corruption},
        change,
        extra,
        class_costs(before, after, labels, names),
    )
