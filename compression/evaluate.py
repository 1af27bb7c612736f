"""Predictions, and what follows from them: accuracy with its uncertainty, top-5, loss, classes."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from compression.cifar10 import CLASSES
from compression.data import ImageSet
from compression.folding import folded
from compression.models.normalization import Normalization

BATCH = 125  # larger batches fall out of a small CPU's cache and are slower; and it divides 1,000
Z_95 = 1.959963984540054


def wilson_interval(correct: int, total: int) -> tuple[float, float]:
    """The 95 % score interval of a proportion (Wilson 1927, JASA 22:209-212); (0, 1) where total is 0."""
    if total == 0:
        return 0.0, 1.0
    p, z2 = correct / total, Z_95**2
    centre = (p + z2 / (2 * total)) / (1 + z2 / total)
    half = Z_95 * math.sqrt(p * (1 - p) / total + z2 / (4 * total**2)) / (1 + z2 / total)
    return max(0.0, centre - half), min(1.0, centre + half)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """One row an image: the predicted class, the label, whether the label is among the five best, the loss."""

    predictions: Tensor
    labels: Tensor
    in_top5: Tensor
    losses: Tensor

    @property
    def total(self) -> int:
        return len(self.labels)

    @property
    def correct(self) -> int:
        return int((self.predictions == self.labels).sum())

    @property
    def accuracy(self) -> float:
        return self.correct / self.total

    @property
    def interval(self) -> tuple[float, float]:
        return wilson_interval(self.correct, self.total)

    def first(self, images: int) -> "Evaluation":
        """The evaluation of the first `images` alone."""
        return Evaluation(*(getattr(self, field.name)[:images] for field in fields(self)))

    @property
    def top5(self) -> float:
        return float(self.in_top5.double().mean())

    @property
    def loss(self) -> float:
        """Mean cross-entropy in nats."""
        return float(self.losses.double().mean())

    @property
    def per_class(self) -> dict[str, tuple[int, int]]:
        """Class name -> (correct, total)."""
        total = self.labels.bincount(minlength=len(CLASSES)).tolist()
        right = self.labels[self.predictions == self.labels].bincount(minlength=len(CLASSES)).tolist()
        return {name: (right[i], total[i]) for i, name in enumerate(CLASSES)}


def join(parts: list[Evaluation]) -> Evaluation:
    """The evaluation of all images of `parts`, in that order."""
    return Evaluation(
        *(torch.cat([getattr(part, name) for part in parts]) for name in ("predictions", "labels", "in_top5", "losses"))
    )


def evaluate_batches(module: nn.Module, images: ImageSet, normalize: Normalization) -> Iterator[Evaluation]:
    """Yields the evaluation of each batch of `BATCH` images, in order. `module` is in eval mode; it is folded."""
    module = folded(module)
    for start in range(0, len(images), BATCH):
        batch = images[start : start + BATCH]
        with torch.inference_mode():
            logits = module(normalize(batch.pixels)).float()
            top5 = logits.topk(5).indices
            evaluation = Evaluation(
                predictions=logits.argmax(1).to(torch.uint8),
                labels=batch.labels,
                in_top5=(top5 == batch.labels[:, None]).any(1),
                losses=F.cross_entropy(logits, batch.labels, reduction="none"),
            )
        yield evaluation


def evaluate(module: nn.Module, images: ImageSet, normalize: Normalization) -> Evaluation:
    """All of `images` (N, 3, 32, 32) through `module`."""
    return join(list(evaluate_batches(module, images, normalize)))
