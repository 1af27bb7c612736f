"""Finds the dictionaries of tensors in what a checkpoint holds, and puts the likeliest weights of a network first.

Only built-in types are touched, so that no code of the file runs: `dict.items` and not the method of the object, since
a file can set an attribute `items` of an OrderedDict.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

MAX_DEPTH = 4  # of dictionaries inside dictionaries

MAX_DICTIONARIES = 1000

MAX_OTHERS = 8  # networks in one file, besides the one that is taken

# Names under which training scripts store weights. Where a file has several, the first one of these is taken.
WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "params", "model_state", "network", "weights")

_AVERAGES = re.compile(r"(^|[^a-z])(ema|swa|averaged?|avg|shadow|teacher|momentum|target)([^a-z]|$)", re.IGNORECASE)

_TRAINING = re.compile(r"optim|sched|scaler|criterion|loss|metric|^opt$|^args$|^rng", re.IGNORECASE)


def find_boxes(content: dict[Any, Any]) -> dict[str, dict[str, Tensor]]:
    """Returns the dictionaries of tensors in `content` by their places in it, such as “model.ema”, the likeliest first.

    The place of `content` itself is the empty text. Likelier than others is a dictionary that has the weight of a layer
    and whose name is not that of an optimizer; then one that is not an average of weights; then the order of WRAPPERS;
    then the number of tensors.
    """
    boxes = dict(_boxes(content))

    def rank(place: str) -> tuple[bool, bool, bool, int, int]:
        first = place.partition(".")[0]
        order = WRAPPERS.index(first) if first in WRAPPERS else len(WRAPPERS)
        training = bool(_TRAINING.search(place))
        return training, not holds_layers(boxes[place]), is_average(place), order, -len(boxes[place])

    return {place: boxes[place] for place in sorted(boxes, key=rank)}


def likely_boxes(boxes: Mapping[str, Mapping[str, Tensor]]) -> list[str]:
    """Returns the places of those dictionaries that may hold the weights of a network."""
    return [place for place, tensors in boxes.items() if holds_layers(tensors) and not _TRAINING.search(place)]


def holds_layers(tensors: Mapping[str, Tensor]) -> bool:
    """Whether one of the tensors can be the weight of a layer."""
    return any(value.dim() > 1 and value.is_floating_point() for value in tensors.values())


def is_average(place: str) -> bool:
    """Whether the name of a dictionary or a prefix is that of averaged weights, or of another network to learn from."""
    return bool(_AVERAGES.search(place))


def with_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Returns the tensors whose names begin with `prefix` and a dot, without these."""
    start = f"{prefix}."
    return {key.removeprefix(start): value for key, value in tensors.items() if key.startswith(start)}


def name_entries(content: dict[Any, Any]) -> str:
    """Returns the first names of the entries of `content`, to be quoted in a message."""
    names = [key[:40] for key in dict.keys(content) if isinstance(key, str)]
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return ", ".join(names[:6]) + more


def _boxes(content: dict[Any, Any]) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Yields each dictionary with tensors under names, and its place. One in several places is yielded once."""
    waiting: list[tuple[str, int, dict[Any, Any]]] = [("", 0, content)]
    known = {id(content)}
    for place, depth, box in waiting:
        tensors = {}
        for key, value in dict.items(box):
            if not isinstance(key, str):
                continue
            if isinstance(value, Tensor):
                tensors[key] = value.detach()
            elif isinstance(value, dict) and id(value) not in known and depth < MAX_DEPTH:
                known.add(id(value))
                if len(known) <= MAX_DICTIONARIES:
                    waiting.append((f"{place}.{key}" if place else key, depth + 1, value))
        if tensors:
            yield place, tensors
