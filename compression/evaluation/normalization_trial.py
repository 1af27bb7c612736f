"""evaluation/normalization_trial.py"""

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

# ---- which normalisation


@dataclass(frozen=True)
class Trial:
    """How a network does on the first few hundred images with one of the known normalisations."""

    normalization: str
    accuracy: float
    loss: float


def try_normalizations(
    module: nn.Module, images: ImageSet, report: Callable[[float], None] = lambda share: None
) -> tuple[Trial, ...]:
    """A trial of each known normalisation on the first 500 of `images`, lowest loss first.

    The loss decides: between neighbours it moves on every image, where the accuracy moves on one of hundreds
    (a public ResNet-20 gets one image of 500 more with a wrong one that costs it on all 10,000).
    `report(share done)` is called after each.
    """
    few = images[:TRIAL_IMAGES]
    trials = []
    for name, normalization in NORMALIZATIONS.items():
        evaluation = evaluate(module, few, normalization)
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
    """A recognised network as a FloatModel. Given images instead of a normalisation, finds it by trying."""
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
    """A public checkpoint as a FloatModel; `normalization` as in `float_model`."""
    return float_model(path.stem, recognise(read_tensors(path), arch), normalization, str(path))
