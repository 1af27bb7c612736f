"""Which class a network takes for which."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from compression.data.cifar10 import CLASSES
from compression.data.images import ImageSet
from compression.evaluation.statistics import Flips, wilson_interval
from compression.networks.folding import fold_batch_norm
from compression.networks.normalization import Normalization


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a network said of images (N of them), and how well.

    `predictions` (N,) uint8 and `labels` (N,) int64 are classes; `in_top5` counts the images whose label is among the
    five best; `loss_sum` is their cross-entropy in nats, summed. `margins` (N,) float32 is the largest logit minus the
    second, image by image, or None where nobody kept it.
    """

    predictions: Tensor
    labels: Tensor
    in_top5: int
    loss_sum: float
    margins: Tensor | None = None

    @property
    def total(self) -> int:
        return len(self.labels)

    @property
    def right(self) -> Tensor:
        """(N,) bool: the images that are classified correctly."""
        return self.predictions == self.labels

    @property
    def correct(self) -> int:
        return int(self.right.sum())

    @property
    def accuracy(self) -> float:
        return self.correct / self.total

    @property
    def interval(self) -> tuple[float, float]:
        return wilson_interval(self.correct, self.total)

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
        total = self.labels.bincount(minlength=len(CLASSES)).tolist()
        right = self.labels[self.right].bincount(minlength=len(CLASSES)).tolist()
        return {name: (right[i], total[i]) for i, name in enumerate(CLASSES)}


def confusion(evaluation: Evaluation) -> list[list[int]]:
    """[true class][class it was called] -> images; the diagonal are those that are right."""
    count = len(CLASSES)
    pairs = evaluation.labels * count + evaluation.predictions.long()
    return pairs.bincount(minlength=count * count).view(count, count).tolist()


def flips(before: Evaluation, after: Evaluation) -> Flips:
    """Between two evaluations of the same images. Raises ValueError where they are not the same."""
    if not torch.equal(before.labels, after.labels):
        raise ValueError("two networks can only be compared on the same images, and these are of different ones")
    return Flips(int((before.right & ~after.right).sum()), int((~before.right & after.right).sum()))


BATCH = 125  # larger batches fall out of a small CPU's cache and are slower; and it divides 1,000


def join(parts: Sequence[Evaluation]) -> Evaluation:
    """The evaluation of all images of `parts`, in that order."""
    margins = [part.margins for part in parts if part.margins is not None]
    return Evaluation(
        predictions=torch.cat([part.predictions for part in parts]),
        labels=torch.cat([part.labels for part in parts]),
        in_top5=sum(part.in_top5 for part in parts),
        loss_sum=math.fsum(part.loss_sum for part in parts),
        margins=torch.cat(margins) if len(margins) == len(parts) else None,
    )


def evaluate_batch(module: nn.Module, images: ImageSet, normalize: Normalization) -> Evaluation:
    """All of `images` (N, 3, 32, 32) through `module` at once, on the device of its weights."""
    device = next(module.parameters(), images.pixels).device
    with torch.inference_mode():
        return judged(module(normalize(images.pixels.to(device))), images.labels)


def judged(logits: Tensor, labels: Tensor) -> Evaluation:
    """What `logits` (N, classes) say of images of the classes `labels` (N,), on the device where they are."""
    logits, there = logits.float(), labels.to(logits.device)
    best = logits.topk(5)
    return Evaluation(
        predictions=logits.argmax(1).to(torch.uint8).cpu(),
        labels=labels,
        in_top5=int((best.indices == there[:, None]).sum()),
        loss_sum=float(F.cross_entropy(logits, there, reduction="none").double().sum()),
        margins=(best.values[:, 0] - best.values[:, 1]).cpu(),
    )


def evaluate(module: nn.Module, images: ImageSet, normalize: Normalization) -> Evaluation:
    """All of `images` (N, 3, 32, 32) through `module`, which is in eval mode; it is folded. In this process."""
    module = fold_batch_norm(module)
    batches = (images[start : start + BATCH] for start in range(0, len(images), BATCH))
    return join([evaluate_batch(module, batch, normalize) for batch in batches])
