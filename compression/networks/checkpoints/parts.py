"""Finds those tensors of a checkpoint that may be a network of their own: under one prefix, or all but a few strays."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor

from compression.networks.checkpoints.boxes import holds_layers, is_average, with_prefix
from compression.networks.checkpoints.names import COUNTERS, PREFIXES

MAX_PREFIX_PARTS = 3

MAX_PREFIXES = 100  # those with the most tensors

LEAST_TENSORS = 8  # of the smallest architecture: the weights and biases of four layers

# First parts of the names of tensors that belong to the loss, to a metric, or to the normalisation of images.
_STRAYS = re.compile(
    r"(criterion|loss(_?(fn|func(tion)?))?|metrics?|(train|val|valid|test)?_?(acc(uracy)?|loss|metrics?)(_?(top)?[15])?"
    r"|normali[sz](e|er|ation)|(image_|data_|pixel_)?(mean|std))",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Part:
    """Some of the tensors of a checkpoint, without the `prefix` of their names; `changes` say which were left out."""

    prefix: str
    tensors: Mapping[str, Tensor]
    changes: tuple[str, ...] = ()


def possible_networks(tensors: Mapping[str, Tensor]) -> Iterator[Part]:
    """Yields the parts of `tensors` that may be a network: all, then those under each prefix, averages last.

    Each part is yielded as it is, and then without its strays, if it has any.
    """
    for part in (Part("", tensors), *_with_each_prefix(tensors)):
        yield part
        strays = {key: value for key, value in part.tensors.items() if _STRAYS.fullmatch(key.partition(".")[0])}
        if strays:
            rest = {key: value for key, value in part.tensors.items() if key not in strays}
            yield Part(part.prefix, rest, (*part.changes, f"ignored: {_quoted(list(strays))}"))


def _with_each_prefix(tensors: Mapping[str, Tensor]) -> list[Part]:
    """Returns the tensors under each prefix that has as many as a network has, those of averages last."""
    names = [key for key in tensors if key.rsplit(".", 1)[-1] not in COUNTERS]
    prefixes: dict[str, int] = {}
    for name in names:
        pieces = name.split(".", MAX_PREFIX_PARTS)
        for count in range(1, len(pieces)):
            prefix = ".".join(pieces[:count])
            prefixes[prefix] = prefixes.get(prefix, 0) + 1
    possible = [prefix for prefix, count in prefixes.items() if count >= LEAST_TENSORS]
    largest = sorted(possible, key=lambda each: -prefixes[each])[:MAX_PREFIXES]
    networks = []
    for prefix in sorted(largest, key=lambda each: (is_average(each), f"{each}." not in PREFIXES)):
        inside = with_prefix(tensors, prefix)
        outside = [name for name in names if not name.startswith(f"{prefix}.")]
        words = f"“{prefix}.” removed from names"
        changes = (words, f"ignored: {_quoted(outside)}") if outside else (words,)
        if holds_layers(inside):
            networks.append(Part(prefix, inside, changes))
    return networks


def _quoted(names: list[str]) -> str:
    """Returns the first of the names of tensors that are ignored, and how many more there are."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
