"""Finds the input normalisation of a checkpoint by trying the known ones until the losses of the two best differ.

The loss decides, because a similar normalisation changes the loss on every image and the prediction on few. It is taken
after temperature scaling. Otherwise a network that is too confident would prefer a larger standard deviation than its
own, which makes its logits smaller, and a network that is not confident enough a smaller one.

Training images are better than test images: the weights were fitted to them, so that a wrong normalisation costs more,
and they are not counted afterwards. If the two best losses differ by no more than chance, the choice is uncertain.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from compression.cached_property import cached_property
from compression.data.cifar10 import TRAIN
from compression.data.images import ImageSet, load
from compression.errors import CheckpointError, DataError
from compression.evaluation.architecture_trial import choose_twin
from compression.evaluation.evaluation import BATCH
from compression.evaluation.temperature import scaled_losses
from compression.networks.checkpoints.reading import Checkpoint, read_checkpoint
from compression.networks.checkpoints.recognition import Recognition, other_entries, recognise_checkpoint
from compression.networks.folding import fold_batch_norm
from compression.networks.model import FloatModel
from compression.networks.normalization import NORMALIZATIONS, Normalization

STAGES = (500, 2000, 4000, 8000, 10_000)  # images; after each stage, normalisations that are clearly worse drop out

LEAST_IMAGES = 2000  # the two best are compared on at least as many, if there are as many

# By how many standard errors of the mean difference two losses have to differ. By chance alone a wrong normalisation is
# that much better with a probability of 0.00135. There are four wrong ones and five stages, so an answer that is called
# certain is a lucky one in at most 2.7 % of cases (Bonferroni).
STANDARD_ERRORS = 3.0

# Of the images. Below, training was so short that a wrong normalisation may have a lower loss on any images.
LEAST_ACCURACY = 0.5

LEAST_CONSTANT = 100  # images: fewer may have the same answer by chance

MOST_ZEROS = 0.05  # share of the weights: above, the network was pruned


@dataclass(frozen=True)
class Trial:
    """The accuracy (0..1) and the loss with one known normalisation, on the first `images`.

    `loss` is the mean cross-entropy in nats after temperature scaling; None if it is infinite or not a number.
    """

    normalization: str
    accuracy: float
    loss: float | None
    images: int


@dataclass(frozen=True)
class NormalizationChoice:
    """The trials of all known normalisations: the best one first, then the runner-up.

    `difference` is the mean loss of the runner-up minus that of the best, in nats, on the same images of `split`, and
    `standard_error` is its standard error. `doubt` is why the lowest loss may be that of a wrong normalisation
    although the two differ, as a clause, or None. `is_constant` says that all images get the same answer.
    """

    trials: tuple[Trial, ...]
    difference: float
    standard_error: float
    split: str
    doubt: str | None = None
    is_constant: bool = False

    @property
    def best(self) -> Trial:
        """The trial with the lowest loss, whose normalisation is used."""
        return self.trials[0]

    @property
    def runner_up(self) -> Trial:
        """The trial with the next lowest loss on as many images."""
        return self.trials[1]

    @property
    def is_certain(self) -> bool:
        """Whether the best one differs from the runner-up by more than chance, and nothing else speaks against it."""
        return self.doubt is None and self.differs and not self.is_constant

    @property
    def differs(self) -> bool:
        """Whether the two best losses differ by more than chance."""
        return self.difference > STANDARD_ERRORS * self.standard_error

    @property
    def leaks(self) -> bool:
        """Whether the choice was made by test images, which are counted afterwards."""
        return self.split != TRAIN.name


@dataclass(frozen=True, eq=False)
class _Count:
    """logits (N, classes) float64 and labels (N,) int64 of the first N images with one normalisation."""

    logits: Tensor
    labels: Tensor

    @property
    def images(self) -> int:
        return len(self.labels)

    @property
    def accuracy(self) -> float:
        """The share of images that are classified correctly."""
        return float((self.logits.argmax(1) == self.labels).double().mean())

    @property
    def is_constant(self) -> bool:
        """Whether all images get the same answer, and there are enough of them."""
        answers = self.logits.argmax(1)
        return self.images >= LEAST_CONSTANT and bool((answers == answers[0]).all())

    @cached_property
    def losses(self) -> Tensor:
        """(N,) the cross-entropy of each image in nats, after temperature scaling."""
        return scaled_losses(self.logits, self.labels)

    @property
    def loss(self) -> float:
        """The mean loss, infinity if it is not a number."""
        mean = float(self.losses.mean())
        return mean if math.isfinite(mean) else math.inf

    def extend(self, module: nn.Module, images: ImageSet, normalize: Normalization) -> "_Count":
        """Returns the count with the rest of `images`; `module` is folded and in eval mode."""
        device = next(module.parameters(), images.pixels).device
        logits = [self.logits]
        for start in range(self.images, len(images), BATCH):
            pixels = images.pixels[start : start + BATCH]
            with torch.inference_mode():
                logits.append(module(normalize(pixels.to(device))).double().cpu())
        return _Count(torch.cat(logits), images.labels)


def trial_images() -> ImageSet:
    """Returns the images to try normalisations on: training images, or the test images if there are none.

    Raises DataError if there are neither.
    """
    try:
        return load(TRAIN)[: STAGES[-1]]
    except DataError:
        return load()


def try_normalizations(
    module: nn.Module, images: ImageSet, report: Callable[[float], None] = lambda share: None
) -> NormalizationChoice:
    """Tries each known normalisation on the first of `images`, and on more until the two lowest losses differ.

    The losses are compared image by image: a normalisation drops out when its mean loss is more than STANDARD_ERRORS
    standard errors of the paired difference above the lowest one. `report` is called with the share that is done
    (0..1) of the most that may be necessary. Raises CheckpointError if no normalisation gives a finite loss.
    """
    folded = fold_batch_norm(module)
    nothing = _Count(torch.zeros(0, len(images.classes), dtype=torch.float64), images.labels[:0])
    counts = dict.fromkeys(NORMALIZATIONS, nothing)
    contenders = list(NORMALIZATIONS)
    stages = sorted({min(stage, len(images)) for stage in STAGES})
    for number, stage in enumerate(stages):
        for place, name in enumerate(contenders, 1):
            counts[name] = counts[name].extend(folded, images[:stage], NORMALIZATIONS[name])
            report((number + place / len(contenders)) / len(stages))
        contenders.sort(key=lambda name: counts[name].loss)
        if not math.isfinite(counts[contenders[0]].loss):
            raise CheckpointError(
                "the network gives infinite outputs or outputs that are not numbers, with every known normalisation: "
                "its weights are damaged or its training diverged"
            )
        close = [name for name in contenders if not _is_worse(counts[name], counts[contenders[0]])]
        contenders = close if stage >= LEAST_IMAGES or len(close) > 1 else contenders[:2]
        if len(contenders) == 1:
            break
    ranking = sorted(counts, key=lambda name: (-counts[name].images, counts[name].loss))
    best, runner_up = (counts[name] for name in ranking[:2])
    return NormalizationChoice(
        tuple(_trial(name, counts[name]) for name in ranking),
        *_difference(runner_up, best),
        images.split.name,
        _doubt(module, best),
        best.is_constant,
    )


def _trial(name: str, count: _Count) -> Trial:
    return Trial(name, count.accuracy, count.loss if math.isfinite(count.loss) else None, count.images)


def _difference(worse: _Count, better: _Count) -> tuple[float, float]:
    """Returns the mean of the paired difference of the losses, and its standard error; infinity where unknown."""
    if not math.isfinite(worse.loss):
        return math.inf, 0.0
    differences = worse.losses - better.losses
    error = float(differences.std() / math.sqrt(len(differences))) if len(differences) > 1 else math.inf
    return float(differences.mean()), error


def _is_worse(count: _Count, best: _Count) -> bool:
    difference, error = _difference(count, best)
    return difference > STANDARD_ERRORS * error


def _doubt(module: nn.Module, best: _Count) -> str | None:
    """Returns why a difference of the losses that is no chance may mislead all the same, as a clause, or None."""
    weights = [parameter for parameter in module.parameters() if parameter.dim() > 1]
    zeros = sum(int((weight == 0).sum()) for weight in weights) / max(1, sum(weight.numel() for weight in weights))
    if zeros > MOST_ZEROS:
        return f"{zeros:.0%} of the weights are zero, and a pruned network may have a lower loss with a wrong one"
    if best.accuracy < LEAST_ACCURACY:
        return "a network that classifies so few images correctly may have a lower loss with a wrong one"
    return None


def choice_in_words(choice: NormalizationChoice) -> str:
    """Returns which normalisation is used, on what that is based, and which one comes next, in sentences."""
    best, second = choice.best, choice.runner_up
    images = f"{best.images:,} {'training' if choice.split == TRAIN.name else 'test'} images"
    if second.loss is None:
        return f"Only {best.normalization} gives a finite loss, {best.loss:.4f} on {images}. It is used."
    losses = f"the mean loss on {images} is {best.loss:.4f} with {best.normalization}, and {second.loss:.4f} with"
    gap = f"(difference {choice.difference:.4f}, standard error {choice.standard_error:.4f})"
    if choice.is_certain:
        words = f"The normalisation is {best.normalization}: {losses} {second.normalization}, the runner-up {gap}."
    else:
        why = choice.doubt if choice.doubt and choice.differs else "this difference may be chance"
        words = (
            f"The normalisation is uncertain: {losses} {second.normalization} {gap}, and {why}. {best.normalization} "
            f"is used. Choose {second.normalization} if you know that the network was trained with it."
        )
    if choice.is_constant:
        words = f"The network gives each of {images} the same answer: it is damaged or not trained. {words}"
    if choice.leaks:
        words += (
            " There are no training images here, so the normalisation was found with test images, which are also "
            "counted: the accuracy may be slightly too high."
        )
    return words


def float_model(
    name: str,
    file: Checkpoint,
    recognised: Recognition,
    normalization: Normalization | ImageSet,
    origin: str,
    report: Callable[[float], None] = lambda share: None,
) -> FloatModel:
    """Returns the network recognised in `file`. Given images in its place, the normalisation is found by trials.

    Where two architectures have the same tensors, a trial decides between them as well. `about` then has the
    NormalizationChoice under `choice`. If there are any, it has under `accuracies` those that the file states, and
    under `entries` the other places of weights in it; and `folded` if batch norm is folded. Raises CheckpointError if
    no trial gives a finite loss.
    """
    if isinstance(normalization, ImageSet):
        recognised = choose_twin(recognised, normalization)
    about: dict[str, Any] = {
        "origin": origin,
        "arch": recognised.architecture.name,
        "recognised": recognised.description,
        **({"accuracies": file.accuracies} if file.accuracies else {}),
        **({"entries": entries} if (entries := other_entries(file, recognised)) else {}),
        **({"folded": True} if recognised.folded else {}),
    }
    if isinstance(normalization, ImageSet):
        choice = try_normalizations(recognised.module, normalization, report)
        about["choice"] = choice
        normalization = NORMALIZATIONS[choice.best.normalization]
    return FloatModel(name, recognised.module, normalization, None, about)


def load_checkpoint(
    path: Path, normalization: Normalization | ImageSet, arch: str | None = None, entry: str | None = None
) -> FloatModel:
    """Reads a public checkpoint as a FloatModel. `normalization` is as for `float_model`. Raises CheckpointError.

    `entry` is the place of the weights in the file, None for the likeliest.
    """
    file = read_checkpoint(path, entry=entry)
    recognised = recognise_checkpoint(file, arch)
    return float_model(path.stem, file, recognised, normalization, str(path))
