"""Recognises the architecture of a checkpoint by the names and shapes of its tensors."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import nn

from compression.data.cifar10 import TEST
from compression.errors import CheckpointError
from compression.networks.architectures.table import ARCHITECTURES, Architecture, find_architecture
from compression.networks.checkpoints.boxes import MAX_OTHERS
from compression.networks.checkpoints.names import COUNTERS, Tensors, translate_names
from compression.networks.checkpoints.parts import possible_networks
from compression.networks.checkpoints.reading import Checkpoint
from compression.networks.folding import fold_batch_norm
from compression.networks.model import freeze_

MAX_CODE = 1 << 16

MAX_NAME = 500  # characters

MAX_TENSORS = 1000  # of a network of the table; a ResNet-110 has about 600

IN_ORDER = "names unknown, so taken in the order of the file"


@dataclass(frozen=True)
class Recognition:
    """A checkpoint as a network of this package; `name_changes` describes how names of tensors were changed.

    `folded`: its batch norms are folded into the layers before them. `others` are the prefixes of the tensors that are
    a known network as well, and were not taken.
    """

    architecture: Architecture
    module: nn.Module
    name_changes: tuple[str, ...]
    folded: bool = False
    others: tuple[str, ...] = ()

    @property
    def description(self) -> str:
        parameters = sum(parameter.numel() for parameter in self.module.parameters())
        folded = ("batch norm is folded",) if self.folded else ()
        return "; ".join((f"{self.architecture.description}, {parameters:,} parameters", *folded, *self.name_changes))

    def with_note(self, note: str) -> "Recognition":
        """Returns the same with one more remark in its description."""
        return replace(self, name_changes=(*self.name_changes, note))


def as_twin(recognition: Recognition) -> Recognition:
    """Returns the same weights as a network of the other architecture that has these tensors."""
    architecture = find_architecture(recognition.architecture.twin or "")
    match = _Match(architecture, recognition.folded, recognition.module.state_dict(), ())
    return replace(recognition, architecture=architecture, module=_filled(match))


@dataclass(frozen=True)
class _Match:
    """Tensors under the names of an architecture, whose batch norms may be folded; `changes` say what was renamed."""

    architecture: Architecture
    folded: bool
    tensors: Tensors
    changes: tuple[str, ...]

    def recognition(self, note: str = "", others: tuple[str, ...] = ()) -> Recognition:
        """Returns the network. Raises CheckpointError if the tensors are no weights."""
        _check_numbers(self.tensors)
        changes = (note, *self.changes) if note else self.changes
        return Recognition(self.architecture, _filled(self), changes, self.folded, others)


@lru_cache(maxsize=256)
def _shapes(arch: str, folded: bool) -> dict[str, torch.Size]:
    """Tensor name -> shape for an architecture, without its counters."""
    with torch.device("meta"):  # without memory for its numbers
        state = _untrained(find_architecture(arch), folded).state_dict()
    return {key: value.shape for key, value in state.items() if not _is_counter(key)}


def _untrained(architecture: Architecture, folded: bool) -> nn.Module:
    module = architecture.make()
    return fold_batch_norm(module) if folded else module


def _foldings(shapes: Mapping[str, torch.Size]) -> tuple[bool, ...]:
    """Returns whether batch norm may be folded: not if there are as many batch norms as convolutions."""
    norms = sum(key.endswith("running_mean") for key in shapes)
    return (False,) if norms >= sum(len(shape) == 4 for shape in shapes.values()) else (False, True)


def _is_counter(name: str) -> bool:
    return name.rsplit(".", 1)[-1] in COUNTERS


def recognise_checkpoint(checkpoint: Checkpoint, arch: str | None = None) -> Recognition:
    """Returns the network of a file. It says which weights were taken if there are several; otherwise `recognise`."""
    try:
        recognition = recognise(checkpoint.tensors, arch)
    except CheckpointError as error:
        if not checkpoint.note:
            raise
        raise CheckpointError(f"{error}. Read were the {checkpoint.note}") from None
    notes = (checkpoint.note,) if checkpoint.note else ()
    return replace(recognition, name_changes=(*notes, *recognition.name_changes))


def other_entries(checkpoint: Checkpoint, recognition: Recognition) -> tuple[str, ...]:
    """Returns the other places of weights in the file, as `read_checkpoint` takes them as `entry`."""
    prefixes = (f"{checkpoint.entry}.{other}" if checkpoint.entry else other for other in recognition.others)
    return (*checkpoint.others, *prefixes)


def recognise(tensors: Tensors, arch: str | None = None) -> Recognition:
    """Returns the network whose tensors these are. If `arch` is given, only it and its variants are considered.

    Where some of the tensors are a known network, as those under one prefix, the others are ignored. Raises
    CheckpointError, naming the tensors, if no architecture fits.
    """
    if any(len(key) > MAX_NAME for key in tensors):  # comparing such names would take long
        raise CheckpointError(_unknown(list(tensors)))
    matches: dict[str, _Match] = {}
    for part in possible_networks(tensors):
        if any(f"{part.prefix}.".startswith(f"{other}.") for other in matches):
            continue  # a part of a network that was recognised
        translated, changes = translate_names(part.tensors)
        if match := _match(translated, (*part.changes, *changes), arch):
            matches[part.prefix] = match
            if not part.prefix:
                break
    if matches:
        first, *others = list(matches)[: 1 + MAX_OTHERS]
        note = f"“{first}.” taken, not “{'.” or “'.join(others)}.”" if others else ""
        return matches[first].recognition(note, tuple(others))
    if arch and (in_order := _in_order(tensors, arch)):
        return in_order[0].recognition()
    raise CheckpointError(_refusal(tensors, arch))


def _match(tensors: Tensors, changes: tuple[str, ...], arch: str | None) -> _Match | None:
    """Returns the architecture that has exactly these tensors, or None."""
    shapes = {key: value.shape for key, value in tensors.items()}
    for candidate in _candidates(shapes, arch):
        for folded in _foldings(shapes):
            if _shapes(candidate.name, folded) == shapes:
                return _Match(candidate, folded, tensors, changes)
    return None


def _in_order(tensors: Tensors, arch: str | None) -> list[_Match]:
    """Returns the architectures whose tensors have these shapes and these kinds, in this order, with other names.

    The kind of a tensor is the last part of its name. Pre-activation networks have the tensors of others in the same
    order, so this is no proof.
    """
    left = {key: value for key, value in tensors.items() if not _is_counter(key)}
    if len(left) > MAX_TENSORS:
        return []
    sequence = [(key.rpartition(".")[2], value.shape) for key, value in left.items()]
    matches = []
    for candidate in ARCHITECTURES.values():
        if arch is not None and not _is_variant(candidate, arch):
            continue
        for folded in _foldings({key: value.shape for key, value in left.items()}):
            shapes = _shapes(candidate.name, folded)
            if sequence == [(key.rpartition(".")[2], shape) for key, shape in shapes.items()]:
                renamed = dict(zip(shapes, left.values(), strict=True))
                matches.append(_Match(candidate, folded, renamed, (IN_ORDER,)))
                break
    return matches


def _check_numbers(tensors: Tensors) -> None:
    """Raises CheckpointError for integer codes in place of weights, and for variances below zero."""
    for key, value in tensors.items():
        if not value.is_floating_point():
            raise CheckpointError(
                f"the tensor {key} holds integers ({str(value.dtype).removeprefix('torch.')}): they are codes of a "
                "quantized network, and their scale is not known. Save the weights before they are converted"
            )
        if value.dim() > 1 and value.numel() > 1 and _are_codes(value.float()):
            raise CheckpointError(
                f"the tensor {key} holds whole numbers only, up to {value.float().abs().max():.0f}: they are codes of "
                "a quantized network, and their scale is not known. Save the weights before they are converted"
            )
        if key.endswith("running_var") and (value.float() < 0).any():
            raise CheckpointError(
                f"the tensor {key} has negative values, down to {value.float().min():.3g}, which no variance has: the "
                "file is damaged, or its training diverged"
            )


def _are_codes(weights: torch.Tensor) -> bool:
    """Whether all are whole numbers of at most 16 bits, and not only -1, 0 and 1, which ternary weights are."""
    return bool(1 < weights.abs().max() <= MAX_CODE and (weights == weights.round()).all())


def _refusal(tensors: Tensors, arch: str | None) -> str:
    """Returns why no architecture fits: how the nearest one differs, or which there are."""
    translated, _ = translate_names(tensors)
    shapes = {key: value.shape for key, value in translated.items()}
    nearest, most = None, -1
    for candidate in _candidates(shapes, arch):
        for folded in _foldings(shapes):
            matches = sum(shapes.get(key) == shape for key, shape in _shapes(candidate.name, folded).items())
            if matches > most:
                nearest, most = (candidate.name, folded), matches
    if nearest:
        return _difference(nearest[0], _shapes(*nearest), shapes)
    if arch is None and (in_order := [match.architecture.name for match in _in_order(tensors, None)]):
        return (
            f"{_unknown(list(shapes))}. In the order of the file, their shapes are those of {' or '.join(in_order)}; "
            f"--arch {in_order[0]} reads them so, and the accuracy shows whether that is right"
        )
    return _unknown(list(shapes))


def _unknown(names: list[str]) -> str:
    few = ", ".join(names[:3])
    return (
        f"no supported architecture has tensors with these names: {few}, …. Supported architectures: "
        "ResNet-8 to -110 for CIFAR, ResNet-18, -34 and -50, VGG-11 to -19, MobileNet, MobileNetV2, ShuffleNetV2, "
        "RepVGG, LeNet-5, and the bundled networks"
    )


def _candidates(shapes: Mapping[str, torch.Size], arch: str | None) -> Iterator[Architecture]:
    """Yields each architecture that has the landmarks of these tensors, or is `arch` or a variant of it.

    All follow once more with the widths of these tensors, where they have others.
    """
    try:
        base = find_architecture(arch).name.partition(":")[0] if arch else None
    except ValueError as error:
        raise CheckpointError(str(error)) from None
    if base is None:
        candidates = [each for each in ARCHITECTURES.values() if all(name in shapes for name in each.landmarks)]
    else:
        candidates = [each for each in ARCHITECTURES.values() if _is_variant(each, base)]
    yield from candidates
    yield from filter(None, (_resized(candidate, shapes) for candidate in candidates))


def _is_variant(architecture: Architecture, name: str) -> bool:
    """Whether `name` is that of the architecture, or of the family that it is a variant of."""
    return name in (architecture.name, architecture.name.partition("-")[0])


def _resized(architecture: Architecture, shapes: Mapping[str, torch.Size]) -> Architecture | None:
    """Returns `architecture` with the widths of these tensors, or None if it has them or cannot have them."""
    own = _shapes(architecture.name, False)
    names = architecture.width_names
    if not names or any(len(shapes.get(name, ())) != len(own[name]) for name in names):
        return None
    widths = tuple(shapes[name][0] for name in names)
    if widths == tuple(own[name][0] for name in names):
        return None
    try:
        return find_architecture(f"{architecture.name}:{','.join(map(str, widths))}")
    except ValueError:
        return None


def _filled(match: _Match) -> nn.Module:
    module = _untrained(match.architecture, match.folded)
    module.load_state_dict({**module.state_dict(), **{key: value.float() for key, value in match.tensors.items()}})
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
