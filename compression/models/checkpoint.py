"""Public checkpoints of somebody else's training: their names mended, their normalisation found by trying."""

import pickle
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from compression.data import ImageSet
from compression.evaluate import evaluate
from compression.models.normalization import NORMALIZATIONS, Normalization
from compression.models.resnet import ResNet
from compression.models.zoo import ARCHITECTURES, FloatModel, frozen

WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "params")
RENAMES = {"linear": "fc", "shortcut": "downsample"}
TRIAL_IMAGES = 500
DAMAGED = (  # what torch and safetensors raise on files that are cut or have other bytes in them
    OSError,
    EOFError,
    AssertionError,
    LookupError,
    RuntimeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
    safetensors.SafetensorError,
    pickle.UnpicklingError,
)


class CheckpointError(Exception):
    """A checkpoint cannot be used; the message says why, in the reader's words."""


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The float tensors of a checkpoint by name, as the file has them. Never runs code from the file.

    Raises CheckpointError where the file is missing or damaged, needs a pickle that runs code, or holds no weights.
    """
    try:
        if path.suffix == ".safetensors":
            content: Any = safetensors.torch.load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"there is no file {path}") from None
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} is not plain weights: reading it would run code that it brings along, or it is damaged. "
            "Save it again with torch.save(model.state_dict(), path) or as .safetensors"
        ) from error
    except DAMAGED as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"{path} is damaged or not a checkpoint ({first})") from error
    while inner := _unwrapped(content):
        content = inner
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path} holds a {type(content).__name__}, not weights by name")
    tensors = {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
    if not tensors:
        raise CheckpointError(f"{path} holds no weights")
    for key, value in tensors.items():
        if not value.isfinite().all():
            raise CheckpointError(f"{path} has NaN or infinite values in {key}")
    return tensors


def _unwrapped(content: Any) -> Mapping | None:
    """What lies under one of the names that trainers wrap weights in, if anything does."""
    if not isinstance(content, Mapping):
        return None
    return next((content[name] for name in WRAPPERS if isinstance(content.get(name), Mapping)), None)


def canonical_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names as in our own modules: no `module.` in front, `fc` for `linear`, `downsample` for `shortcut`."""
    return {
        ".".join(RENAMES.get(part, part) for part in key.removeprefix("module.").split(".")): value
        for key, value in tensors.items()
    }


def build(arch: str, tensors: Mapping[str, Tensor]) -> nn.Module:
    """A network `arch` with these weights. Raises CheckpointError, naming the tensors, where they do not fit."""
    if arch not in ARCHITECTURES:
        raise CheckpointError(f"there is no architecture {arch!r}; there are {', '.join(ARCHITECTURES)}")
    module = ARCHITECTURES[arch]()
    if isinstance(module, ResNet) and not any(".downsample." in key for key in tensors):
        module = ResNet(len(module.layer1), option="A")
    expected = module.state_dict()
    counters = {key for key in expected if key.endswith("num_batches_tracked")}
    missing = sorted(expected.keys() - tensors.keys() - counters)
    extra = sorted(tensors.keys() - expected.keys())
    if missing or extra:
        parts = [_few("it lacks", missing), _few("it has unknown", extra)]
        raise CheckpointError(f"the checkpoint is not a {arch}: " + "; ".join(part for part in parts if part))
    for key in expected.keys() - counters:
        if expected[key].shape != tensors[key].shape:
            raise CheckpointError(
                f"the checkpoint is not a {arch} for ten classes: {key} should have shape "
                f"{tuple(expected[key].shape)} and has {tuple(tensors[key].shape)}"
            )
    module.load_state_dict({key: tensors[key].float() for key in expected.keys() - counters}, strict=False)
    return frozen(module)


def _few(words: str, names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{words} {', '.join(names[:3])}{more}" if names else ""


@dataclass(frozen=True)
class Trial:
    """How a network does on the first few hundred images with one of the known normalisations."""

    normalization: str
    accuracy: float
    loss: float


def try_normalizations(module: nn.Module, images: ImageSet) -> tuple[Trial, ...]:
    """A trial of each known normalisation on the first 500 of `images`, lowest loss first.

    The loss decides: between neighbours it moves on every image, where the accuracy moves on one of hundreds
    (a public ResNet-20 gets one image of 500 more with a wrong one that costs it on all 10,000).
    """
    few = images[:TRIAL_IMAGES]
    found = ((name, evaluate(module, few, n)) for name, n in NORMALIZATIONS.items())
    trials = (Trial(name, evaluation.accuracy, evaluation.loss) for name, evaluation in found)
    return tuple(sorted(trials, key=lambda trial: trial.loss))


def load_checkpoint(path: Path, arch: str, normalization: Normalization | ImageSet) -> FloatModel:
    """A public checkpoint as a FloatModel. Given images instead of a normalisation, finds it by trying."""
    module = build(arch, canonical_names(read_tensors(path)))
    about: dict[str, Any] = {"origin": str(path)}
    if isinstance(normalization, ImageSet):
        trials = try_normalizations(module, normalization)
        about["tried"] = [asdict(trial) for trial in trials]
        normalization = NORMALIZATIONS[trials[0].normalization]
    return FloatModel(path.stem, module, normalization, None, about)
