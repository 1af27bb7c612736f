"""Translates the names of tensors in public checkpoints to those of the architectures of this package."""

import re
from collections import Counter
from collections.abc import Mapping

import torch
from torch import Tensor

Tensors = Mapping[str, Tensor]

PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.", "backbone.")

INSIDE = ("module", "_orig_mod")

RENAMES = {"linear": "fc", "shortcut": "downsample"}

COUNTERS = ("num_batches_tracked", "n_averaged")

# Parts of names in a network that is prepared for quantization-aware training; `torch.ao.quantization` numbers some.
_OBSERVERS = re.compile(r"(^|\.)(weight_fake_quant|bias_fake_quant|activation_post_process(_\d+)?)(\.|$)")

_PARAMETRIZED = re.compile(r"(?P<owner>(.*\.)?parametrizations\.(?P<parameter>[^.]+)\.)(?P<own>.+)")

# The two tensors of a weight norm, lengths first, as torch names them today. Before, they were weight_g and weight_v.
_NORMALIZED = re.compile(r"(?P<owner>(.*\.)?)parametrizations\.(?P<own>[^.]+)\.original(?P<which>[01])")

# Layers of the VGG of MIT 6.5940, which have numbers of their own: backbone.conv0, backbone.bn0, backbone.conv1, …
_LAB_LAYER = re.compile(r"backbone\.(?P<kind>conv|bn)(?P<number>\d)\.(?P<own>.+)")

_INNER_NORM = re.compile(r"(?P<start>(.*\.)?)(?P<layer>conv|)(?P<number>\d{0,4})\.bn(?P<end>\.[^.]+)")


def translate_names(tensors: Tensors) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Returns the tensors under the names of this package's modules, and a description of each change of names."""
    current = {key: value for key, value in tensors.items() if key.rsplit(".", 1)[-1] not in COUNTERS}
    changes = []
    for step in _STEPS:
        current, change = step(current)
        if change:
            changes.append(change)
    return current, tuple(changes)


def is_observer(name: str) -> bool:
    """Whether a tensor belongs to an observer or a fake quantizer, which a network in float does without."""
    return bool(_OBSERVERS.search(name))


def _without_observers(tensors: Tensors) -> tuple[dict[str, Tensor], str]:
    """Removes observers and fake quantizers, and takes the batch norms that QAT put into convolutions out of them."""
    left = {_outside(key): value for key, value in tensors.items() if not is_observer(key)}
    removed = sum(map(is_observer, tensors))
    if not removed or len(left) < len(tensors) - removed:
        return dict(tensors), ""
    return left, f"read in float: {removed} tensors of observers and fake quantizers ignored"


def _outside(name: str) -> str:
    """Returns the name of a batch norm beside its convolution: `conv1.bn.weight` -> `bn1.weight`, `0.bn` -> `1`."""
    inner = _INNER_NORM.fullmatch(name)
    if not inner or not (inner["layer"] or inner["number"]):
        return name
    if inner["layer"]:
        return f"{inner['start']}bn{inner['number']}{inner['end']}"
    return f"{inner['start']}{int(inner['number']) + 1}{inner['end']}"


def _without_parametrizations(tensors: Tensors) -> tuple[dict[str, Tensor], str]:
    """Renames `parametrizations.weight.original` to `weight`, where the parametrization has no tensors of its own."""
    parametrized = {key: match for key in tensors if (match := _PARAMETRIZED.fullmatch(key))}
    counts = Counter(match["owner"] for match in parametrized.values())
    plain = {
        key: f"{match[2] or ''}{match['parameter']}"
        for key, match in parametrized.items()
        if match["own"] == "original" and counts[match["owner"]] == 1
    }
    renamed = {plain.get(key, key): value for key, value in tensors.items()}
    if not plain or len(renamed) < len(tensors):
        return dict(tensors), ""
    return renamed, f"{len(plain)} parametrizations without tensors ignored"


def _without_prefixes(tensors: Tensors) -> tuple[dict[str, Tensor], str]:
    """Removes prefixes that all names share: they come from DataParallel, torch.compile or a trainer's own class."""
    removed = ""
    while prefix := next((p for p in PREFIXES if tensors and all(key.startswith(p) for key in tensors)), None):
        tensors = {key.removeprefix(prefix): value for key, value in tensors.items()}
        removed += prefix
    return dict(tensors), f"“{removed}” removed from every name" if removed else ""


def _without_wrappers_inside(tensors: Tensors) -> tuple[dict[str, Tensor], str]:
    """Removes the names of DataParallel and torch.compile around a part of the network: `features.module.0.weight`."""
    renamed = {".".join(part for part in key.split(".") if part not in INSIDE): tensors[key] for key in tensors}
    if len(renamed) < len(tensors):
        return dict(tensors), ""
    removed = [part for part in INSIDE if any(part in key.split(".") for key in tensors)]
    return renamed, ", ".join(f"“{part}.” removed from names" for part in removed)


def _with_masks_applied(tensors: Tensors) -> tuple[dict[str, Tensor], str]:
    """Multiplies `weight_orig` by its `weight_mask` of zeros and ones, as torch.nn.utils.prune stores a weight."""
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


def _with_norms_applied(tensors: Tensors) -> tuple[dict[str, Tensor], str]:
    """Computes g·v/‖v‖ from the two tensors of a weight norm (Salimans and Kingma 2016).

    The norm is taken over the dimensions in which g has one element, or over all if g is a single number.
    """
    renamed = {_NORMALIZED.sub(_older_name, key): value for key, value in tensors.items()}
    count = 0
    for name in [key.removesuffix("_g") for key in renamed if key.endswith("_g")]:
        g, v = renamed[f"{name}_g"].float(), renamed.get(f"{name}_v", torch.tensor(0)).float()
        over = [place for place in range(v.dim()) if not g.dim() or g.shape[place : place + 1] == (1,)]
        if over and g.dim() in (0, v.dim()) and all(a in (1, b) for a, b in zip(g.shape, v.shape, strict=False)):
            renamed[name] = v * (g / torch.linalg.vector_norm(v, dim=over, keepdim=True))
            del renamed[f"{name}_g"], renamed[f"{name}_v"]
            count += 1
    return (renamed, f"{count} weight norms multiplied out") if count else (dict(tensors), "")


def _older_name(match: re.Match[str]) -> str:
    return f"{match['owner']}{match['own']}_{'gv'[int(match['which'])]}"


def _with_our_names(tensors: Tensors) -> tuple[dict[str, Tensor], str]:
    """Renames `linear` to `fc` and `shortcut` to `downsample`, unless the network has both names."""
    if any("rbr_" in key for key in tensors):
        return dict(tensors), ""
    renamed = {".".join(RENAMES.get(part, part) for part in key.split(".")): value for key, value in tensors.items()}
    if len(renamed) < len(tensors):
        return dict(tensors), ""
    used = [old for old in RENAMES if any(old in key.split(".") for key in tensors)]
    return renamed, ", ".join(f"“{old}” read as “{RENAMES[old]}”" for old in used)


def _with_our_features(tensors: Tensors) -> tuple[dict[str, Tensor], str]:
    """Numbers the layers of a `backbone` as `features`: convolution, batch norm, ReLU, and a pool after two of them."""
    layers = {key: match for key in tensors if (match := _LAB_LAYER.fullmatch(key))}
    if len(layers) + 2 < len(tensors):  # beside them there is a linear layer only
        return dict(tensors), ""
    renamed = dict(tensors)
    for key, match in layers.items():
        number = int(match["number"])
        place = 3 * number + number // 2 + (match["kind"] == "bn")
        renamed[f"features.{place}.{match['own']}"] = renamed.pop(key)
    return renamed, "“backbone” read as “features”" if layers else ""


def _with_our_head(tensors: Tensors) -> tuple[dict[str, Tensor], str]:
    """Numbers the linear layers of a VGG's head 0, 3, 6, whether it is a single layer or begins with a dropout."""
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


_STEPS = (
    _without_prefixes,
    _without_wrappers_inside,
    _without_observers,
    _without_parametrizations,
    _with_masks_applied,
    _with_norms_applied,
    _with_our_names,
    _with_our_features,
    _with_our_head,
)
