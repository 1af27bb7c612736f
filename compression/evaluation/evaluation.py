"""Runs a network on images and counts how many it classifies correctly, in all and class by class."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from compression.data.images import ImageSet
from compression.evaluation.statistics import Flips, Proportion
from compression.networks.folding import fold_batch_norm
from compression.networks.normalization import Normalization


@dataclass(frozen=True, eq=False)
class Evaluation(Proportion):
    """The predictions of a network for N images, with their labels, and what is counted from its logits.

    `predictions` (N,) uint8 and `labels` (N,) int64 are numbers of `classes`, which are names. `in_top5` counts the
    images whose label is among the five largest logits. `loss_sum` is the sum of their cross-entropies in nats.
    `margins` (N,) float32 is the largest logit of each image minus the second largest, or None if it was not kept.
    """

    predictions: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    in_top5: int
    loss_sum: float
    margins: Tensor | None = None

    @property
    def total(self) -> int:
        return len(self.labels)

    @property
    def right(self) -> Tensor:
        """(N,) bool: which images are classified correctly."""
        return self.predictions == self.labels

    @property
    def correct(self) -> int:
        return int(self.right.sum())

    @property
    def top5(self) -> float:
        return self.in_top5 / self.total

    @property
    def loss(self) -> float:
        """Mean cross-entropy in nats."""
        return self.loss_sum / self.total

    @property
    def per_class(self) -> dict[str, tuple[int, int]]:
        """Class name -> (correct, total)."""
        total = self.labels.bincount(minlength=len(self.classes)).tolist()
        correct = self.labels[self.right].bincount(minlength=len(self.classes)).tolist()
        return {name: (correct[i], total[i]) for i, name in enumerate(self.classes)}


def confusion(evaluation: Evaluation) -> list[list[int]]:
    """Returns the confusion matrix [true class][predicted class] -> images; the diagonal is classified correctly."""
    count = len(evaluation.classes)
    pairs = evaluation.labels * count + evaluation.predictions.long()
    return pairs.bincount(minlength=count * count).view(count, count).tolist()


def flips(before: Evaluation, after: Evaluation) -> Flips:
    """Returns the flips between two evaluations of the same images. Raises ValueError if their labels differ."""
    if not torch.equal(before.labels, after.labels):
        raise ValueError("two networks can only be compared on the same images, and these are of different ones")
    return Flips(int((before.right & ~after.right).sum()), int((~before.right & after.right).sum()))


BATCH = 125  # larger batches fall out of a small CPU's cache and are slower; and it divides 1,000


def join(parts: Sequence[Evaluation]) -> Evaluation:
    """Returns the evaluation of all images of `parts`, in that order; margins only if all parts have them."""
    margins = [part.margins for part in parts if part.margins is not None]
    return Evaluation(
        predictions=torch.cat([part.predictions for part in parts]),
        labels=torch.cat([part.labels for part in parts]),
        classes=parts[0].classes,
        in_top5=sum(part.in_top5 for part in parts),
        loss_sum=math.fsum(part.loss_sum for part in parts),
        margins=torch.cat(margins) if len(margins) == len(parts) else None,
    )


def evaluate_batch(module: nn.Module, images: ImageSet, normalize: Normalization) -> Evaluation:
    """Evaluates `module` on all of `images` in one batch, on the device of its weights."""
    device = next(module.parameters(), images.pixels).device
    with torch.inference_mode():
        return evaluation_of(module(normalize(images.pixels.to(device))), images)


def evaluation_of(logits: Tensor, images: ImageSet) -> Evaluation:
    """logits (N, classes) of `images` -> their evaluation, computed on the device of the logits."""
    logits, labels = logits.float(), images.labels.to(logits.device)
    best = logits.topk(min(5, len(images.classes)))
    return Evaluation(
        predictions=logits.argmax(1).to(torch.uint8).cpu(),
        labels=images.labels,
        classes=images.classes,
        in_top5=int((best.indices == labels[:, None]).sum()),
        loss_sum=float(F.cross_entropy(logits, labels, reduction="none").double().sum()),
        margins=(best.values[:, 0] - best.values[:, 1]).cpu(),
    )


def as_evaluated(module: nn.Module) -> nn.Module:
    """Returns `module` with batch norm folded for speed; as it is if inputs of its layers are quantized.

    Folding changes sums by float32's rounding, and quantizing turns that into whole steps: the predictions of some
    images would not be those of the module that is saved.
    """
    has_quantized_inputs = any(part._forward_pre_hooks for part in module.modules())
    return module if has_quantized_inputs else fold_batch_norm(module)


def evaluate(module: nn.Module, images: ImageSet, normalize: Normalization) -> Evaluation:
    """Evaluates `module`, which is in eval mode, on all of `images` in this process; see `as_evaluated`."""
    module = as_evaluated(module)
    batches = (images[start : start + BATCH] for start in range(0, len(images), BATCH))
    return join([evaluate_batch(module, batch, normalize) for batch in batches])
