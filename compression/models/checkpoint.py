"""Public checkpoints of somebody else's training: recognised by their tensors, their normalisation found by trying."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from compression.cifar10 import CLASSES
from compression.data import ImageSet
from compression.evaluate import evaluate
from compression.models.architectures import ARCHITECTURES, Architecture
from compression.models.normalization import NORMALIZATIONS, Normalization
from compression.models.reading import CheckpointError, read_tensors
from compression.models.zoo import FloatModel, frozen

TRIAL_IMAGES = 500
Tensors = Mapping[str, Tensor]


# ---- names as in our own modules

PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.", "backbone.")
INSIDE = ("module", "_orig_mod")
RENAMES = {"linear": "fc", "shortcut": "downsample"}
COUNTERS = ("num_batches_tracked", "n_averaged")


def canonical(tensors: Tensors) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The same tensors named as in our own modules, and in words what that took."""
    found = {key: value for key, value in tensors.items() if key.rsplit(".", 1)[-1] not in COUNTERS}
    words = []
    for step in (_without_prefixes, _without_wrappers_inside, _with_masks_applied, _with_our_names, _with_our_head):
        renamed, word = step(found)
        if word:
            words.append(word)
        found = renamed
    return found, tuple(words)


def _without_prefixes(tensors: Tensors) -> tuple[dict[str, Tensor], str]:
    """What is in front of every name comes from wrappers: DataParallel, torch.compile, somebody's own class."""
    taken = ""
    while prefix := next((p for p in PREFIXES if tensors and all(key.startswith(p) for key in tensors)), None):
        tensors = {key.removeprefix(prefix): value for key, value in tensors.items()}
        taken += prefix
    return dict(tensors), f"“{taken}” taken off every name" if taken else ""


def _without_wrappers_inside(tensors: Tensors) -> tuple[dict[str, Tensor], str]:
    """DataParallel or torch.compile around a part of the network: `features.module.0.weight`."""
    renamed = {".".join(part for part in key.split(".") if part not in INSIDE): tensors[key] for key in tensors}
    if len(renamed) < len(tensors):
        return dict(tensors), ""
    taken = [part for part in INSIDE if any(part in key.split(".") for key in tensors)]
    return renamed, ", ".join(f"“{part}.” taken out of names" for part in taken)


def _with_masks_applied(tensors: Tensors) -> tuple[dict[str, Tensor], str]:
    """torch.nn.utils.prune keeps `weight_orig` and a `weight_mask` of zeros and ones; the weight is their product."""
    masks = {key.removesuffix("_mask"): tensors[key].float() for key in tensors if key.endswith("_mask")}
    pruned = [
        key
        for key, mask in masks.items()
        if key not in tensors
        and f"{key}_orig" in tensors
        and tensors[f"{key}_orig"].shape == mask.shape
        and ((mask == 0) | (mask == 1)).all()
    ]
    both = {f"{key}{end}" for key in pruned for end in ("_orig", "_mask")}
    left = {key: value for key, value in tensors.items() if key not in both}
    products = {key: tensors[f"{key}_orig"].float() * masks[key] for key in pruned}
    return left | products, f"{len(pruned)} masks of torch.nn.utils.prune applied" if pruned else ""


def _with_our_names(tensors: Tensors) -> tuple[dict[str, Tensor], str]:
    """`fc` for `linear` and `downsample` for `shortcut`, unless the network has both."""
    if any("rbr_" in key for key in tensors):
        return dict(tensors), ""
    renamed = {".".join(RENAMES.get(part, part) for part in key.split(".")): value for key, value in tensors.items()}
    if len(renamed) < len(tensors):
        return dict(tensors), ""
    used = [old for old in RENAMES if any(old in key.split(".") for key in tensors)]
    return renamed, ", ".join(f"“{old}” read as “{RENAMES[old]}”" for old in used)


def _with_our_head(tensors: Tensors) -> tuple[dict[str, Tensor], str]:
    """The linear layers of a VGG's head at 0, 3, 6, whether it was one layer or a dropout came first."""
    moves = {}
    if "classifier.weight" in tensors:
        moves = {"classifier": "classifier.0"}
    elif "classifier.4.weight" in tensors:
        moves = {"classifier.1": "classifier.0", "classifier.4": "classifier.3"}
    renamed = {}
    for key, value in tensors.items():
        layer, _, kind = key.rpartition(".")
        renamed[f"{moves.get(layer, layer)}.{kind}" if layer else key] = value
    if not moves or len(renamed) < len(tensors):
        return dict(tensors), ""
    return renamed, "the layers of the head renumbered"


# ---- which network


@dataclass(frozen=True)
class Recognised:
    """A checkpoint as a network of ours; `remapped` says in words what its names took."""

    architecture: Architecture
    module: nn.Module
    remapped: tuple[str, ...]

    @property
    def sentence(self) -> str:
        parameters = sum(parameter.numel() for parameter in self.module.parameters())
        return "; ".join((f"{self.architecture.words}, {parameters:,} parameters", *self.remapped))


@cache
def _shapes(arch: str) -> dict[str, torch.Size]:
    """Name -> shape of each tensor of an architecture, but for its counters."""
    state = ARCHITECTURES[arch].make().state_dict()
    return {key: value.shape for key, value in state.items() if key.rsplit(".", 1)[-1] not in COUNTERS}


def recognise(tensors: Tensors, arch: str | None = None) -> Recognised:
    """The network of ours that these tensors belong to; with `arch`, that one or its variants and no other.

    Raises CheckpointError, naming the tensors, where they fit none.
    """
    found, remapped = canonical(tensors)
    shapes = {key: value.shape for key, value in found.items()}
    nearest, most = None, -1
    for candidate in _candidates(shapes, arch):
        expected = _shapes(candidate.name)
        if expected == shapes:
            return Recognised(candidate, _filled(candidate, found), remapped)
        same = sum(shapes.get(key) == shape for key, shape in expected.items())
        if same > most:
            nearest, most = candidate, same
    if nearest is None:
        few = ", ".join(list(shapes)[:3])
        raise CheckpointError(
            f"no architecture that is known here has tensors like these ({few}, …). Known are ResNet-8 to -110 for "
            "CIFAR, VGG-11 to -19, MobileNetV2, ShuffleNetV2, RepVGG, and the networks that come along"
        )
    raise CheckpointError(_difference(nearest.name, _shapes(nearest.name), shapes))


def _candidates(shapes: Mapping[str, torch.Size], arch: str | None) -> Iterator[Architecture]:
    if arch is not None and arch not in ARCHITECTURES:
        raise CheckpointError(f"there is no architecture {arch!r}; there are {', '.join(ARCHITECTURES)}")
    for candidate in ARCHITECTURES.values():
        asked = arch is None or arch in (candidate.name, candidate.name.partition("-")[0])
        if asked and (arch is not None or all(name in shapes for name in candidate.landmarks)):
            yield candidate


def _filled(architecture: Architecture, tensors: Tensors) -> nn.Module:
    module = architecture.make()
    module.load_state_dict({**module.state_dict(), **{key: value.float() for key, value in tensors.items()}})
    return frozen(module)


def _difference(name: str, expected: Mapping[str, torch.Size], shapes: Mapping[str, torch.Size]) -> str:
    missing = sorted(expected.keys() - shapes.keys())
    extra = sorted(shapes.keys() - expected.keys())
    if missing or extra:
        parts = [_few("it lacks", missing), _few("it has unknown", extra)]
        return f"the checkpoint is not a {name}: " + "; ".join(part for part in parts if part)
    wrong = [key for key in expected if expected[key] != shapes[key]]
    head = [key for key in wrong if len(expected[key]) and expected[key][0] == len(CLASSES)]
    counts = {tuple(shapes[key][:1]) for key in wrong}
    if head == wrong and len(counts) == 1 and counts.isdisjoint({(), (len(CLASSES),)}):
        (classes,) = counts.pop()
        return f"the checkpoint is a {name} for {classes} classes, and CIFAR-10 has {len(CLASSES)} ({wrong[0]})"
    key = wrong[0]
    more = f"; {len(wrong) - 1} more do not fit" if len(wrong) > 1 else ""
    return (
        f"the checkpoint is not a {name}: {key} should have shape {tuple(expected[key])} "
        f"and has {tuple(shapes[key])}{more}"
    )


def _few(words: str, names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{words} {', '.join(names[:3])}{more}" if names else ""


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


def load_checkpoint(path: Path, normalization: Normalization | ImageSet, arch: str | None = None) -> FloatModel:
    """A public checkpoint as a FloatModel. Given images instead of a normalisation, finds it by trying."""
    recognised = recognise(read_tensors(path), arch)
    about: dict[str, Any] = {
        "origin": str(path),
        "arch": recognised.architecture.name,
        "recognised": recognised.sentence,
    }
    if isinstance(normalization, ImageSet):
        trials = try_normalizations(recognised.module, normalization)
        about["tried"] = [asdict(trial) for trial in trials]
        normalization = NORMALIZATIONS[trials[0].normalization]
    return FloatModel(path.stem, recognised.module, normalization, None, about)
