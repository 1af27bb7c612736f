"""Finds the input normalisation of a public checkpoint by trying the known ones on a few hundred images."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import nn

from compression.data.images import ImageSet
from compression.evaluation.evaluation import evaluate
from compression.networks.checkpoints.reading import read_tensors
from compression.networks.checkpoints.recognition import Recognition, recognise
from compression.networks.model import FloatModel
from compression.networks.normalization import NORMALIZATIONS, Normalization

TRIAL_IMAGES = 500


@dataclass(frozen=True)
class Trial:
    """The accuracy (0..1) and loss (nats per image) of a network on the trial images with one known normalisation."""

    normalization: str
    accuracy: float
    loss: float


def try_normalizations(
    module: nn.Module, images: ImageSet, report: Callable[[float], None] = lambda share: None
) -> tuple[Trial, ...]:
    """Tries each known normalisation on the first 500 of `images` and returns the trials, lowest loss first.

    The loss decides, because similar normalisations change it on every image but the accuracy on only one in hundreds:
    a public ResNet-20 gets one image of 500 more with a wrong normalisation that costs it accuracy on all test images.
    `report` is called after each trial with the share that is done (0..1).
    """
    trials = []
    for name, normalization in NORMALIZATIONS.items():
        evaluation = evaluate(module, images[:TRIAL_IMAGES], normalization)
        trials.append(Trial(name, evaluation.accuracy, evaluation.loss))
        report(len(trials) / len(NORMALIZATIONS))
    return tuple(sorted(trials, key=lambda trial: trial.loss))


def float_model(
    name: str,
    recognised: Recognition,
    normalization: Normalization | ImageSet,
    origin: str,
    report: Callable[[float], None] = lambda share: None,
) -> FloatModel:
    """Returns a recognised network as a FloatModel. Given images in its place, the normalisation is found by trials."""
    about: dict[str, Any] = {
        "origin": origin,
        "arch": recognised.architecture.name,
        "recognised": recognised.description,
    }
    if isinstance(normalization, ImageSet):
        trials = try_normalizations(recognised.module, normalization, report)
        about["tried"] = [asdict(trial) for trial in trials]
        normalization = NORMALIZATIONS[trials[0].normalization]
    return FloatModel(name, recognised.module, normalization, None, about)


def load_checkpoint(path: Path, normalization: Normalization | ImageSet, arch: str | None = None) -> FloatModel:
    """Reads a public checkpoint as a FloatModel. `normalization` is as for `float_model`. Raises CheckpointError."""
    return float_model(path.stem, recognise(read_tensors(path), arch), normalization, str(path))
