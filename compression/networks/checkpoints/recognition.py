"""Recognises the architecture of a checkpoint by the names and shapes of its tensors."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

import torch
from torch import nn

from compression.data.cifar10 import TEST
from compression.errors import CheckpointError
from compression.networks.architectures.table import ARCHITECTURES, Architecture
from compression.networks.checkpoints.names import COUNTERS, Tensors, translate_names
from compression.networks.model import freeze_


@dataclass(frozen=True)
class Recognition:
    """A checkpoint as a network of this package; `name_changes` describes how names of tensors were changed."""

    architecture: Architecture
    module: nn.Module
    name_changes: tuple[str, ...]

    @property
    def description(self) -> str:
        parameters = sum(parameter.numel() for parameter in self.module.parameters())
        return "; ".join((f"{self.architecture.description}, {parameters:,} parameters", *self.name_changes))


@cache
def _shapes(arch: str) -> dict[str, torch.Size]:
    """Tensor name -> shape for an architecture, without its counters."""
    state = ARCHITECTURES[arch].make().state_dict()
    return {key: value.shape for key, value in state.items() if key.rsplit(".", 1)[-1] not in COUNTERS}


def recognise(tensors: Tensors, arch: str | None = None) -> Recognition:
    """Returns the network whose tensors these are. If `arch` is given, only it and its variants are considered.

    Raises CheckpointError, naming the tensors, if no architecture fits.
    """
    translated, name_changes = translate_names(tensors)
    shapes = {key: value.shape for key, value in translated.items()}
    nearest, most = None, -1
    for candidate in _candidates(shapes, arch):
        expected = _shapes(candidate.name)
        if expected == shapes:
            return Recognition(candidate, _filled(candidate, translated), name_changes)
        matches = sum(shapes.get(key) == shape for key, shape in expected.items())
        if matches > most:
            nearest, most = candidate, matches
    if nearest is None:
        few = ", ".join(list(shapes)[:3])
        raise CheckpointError(
            f"no supported architecture has tensors with these names: {few}, …. Supported architectures: "
            "ResNet-8 to -110 for CIFAR, VGG-11 to -19, MobileNetV2, ShuffleNetV2, RepVGG, and the bundled networks"
        )
    raise CheckpointError(_difference(nearest.name, _shapes(nearest.name), shapes))


def _candidates(shapes: Mapping[str, torch.Size], arch: str | None) -> Iterator[Architecture]:
    if arch is not None and arch not in ARCHITECTURES:
        raise CheckpointError(f"there is no architecture {arch!r}. Supported architectures: {', '.join(ARCHITECTURES)}")
    for candidate in ARCHITECTURES.values():
        eligible = arch is None or arch in (candidate.name, candidate.name.partition("-")[0])
        if eligible and (arch is not None or all(name in shapes for name in candidate.landmarks)):
            yield candidate


def _filled(architecture: Architecture, tensors: Tensors) -> nn.Module:
    module = architecture.make()
    module.load_state_dict({**module.state_dict(), **{key: value.float() for key, value in tensors.items()}})
    return freeze_(module)


def _difference(name: str, expected: Mapping[str, torch.Size], shapes: Mapping[str, torch.Size]) -> str:
    missing = sorted(expected.keys() - shapes.keys())
    extra = sorted(shapes.keys() - expected.keys())
    if missing or extra:
        parts = [_few("it lacks", missing), _few("it has unknown", extra)]
        return f"the checkpoint is not a {name}: " + "; ".join(part for part in parts if part)
    wrong = [key for key in expected if expected[key] != shapes[key]]
    known = len(TEST.classes)
    head = [key for key in wrong if len(expected[key]) and expected[key][0] == known]
    counts = {tuple(shapes[key][:1]) for key in wrong}
    if head == wrong and len(counts) == 1 and counts.isdisjoint({(), (known,)}):
        (classes,) = counts.pop()
        return f"the checkpoint is a {name} for {classes} classes, and {TEST.dataset} has {known} ({wrong[0]})"
    key = wrong[0]
    more = f"; {len(wrong) - 1} more do not fit" if len(wrong) > 1 else ""
    return (
        f"the checkpoint is not a {name}: {key} should have shape {tuple(expected[key])} "
        f"and has {tuple(shapes[key])}{more}"
    )


def _few(words: str, names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{words} {', '.join(names[:3])}{more}" if names else ""
