"""Walks through a network: the moments of each layer, whose inputs come from the network compressed so far.

The network is run stage by stage (`networks.architectures.stages`), in batches, twice side by side: as float network,
which gives the outputs to reach, and as the copy that is being compressed. A stage runs once more for each layer in it,
up to that layer. So memory holds the inputs of one stage, and of the layer only a sample of its columns.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from compression.networks.architectures.stages import Stage, stages_of
from compression.reconstruction.moments import Moments, moments_of
from compression.reconstruction.rows import as_rows, output_positions, sampled_columns, weight_groups

BATCH = 125  # images; larger batches fall out of a small CPU's cache

MOST_COLUMNS = 16_384  # per layer, spread over all images, each with a few places chosen at random


class _Reached(Exception):
    """The layer was reached whose inputs are asked for."""

    def __init__(self, name: str, inputs: Tensor) -> None:
        super().__init__(name)
        self.name = name
        self.inputs = inputs


@dataclass(frozen=True, eq=False)
class _Stops:
    """Ends a run at the layer `wanted`, or at the first of `waiting` if none is wanted; the walk changes both."""

    waiting: set[str]
    wanted: list[str]

    def hook(self, name: str, inputs: Tensor) -> None:
        if name in (self.wanted or self.waiting):
            raise _Reached(name, inputs)


class _Places:
    """Random places in the outputs of layers, the same in all layers whose outputs have as many."""

    def __init__(self, images: int) -> None:
        self._images = images
        self._most = max(1, -(-MOST_COLUMNS // images))
        self._known: dict[int, Tensor] = {}

    def among(self, count: int) -> Tensor:
        """Returns for each image flat places among `count`, (images, min(count, most)), all different."""
        if count <= self._most:
            return torch.arange(count).expand(self._images, -1)
        if count not in self._known:
            generator = torch.Generator().manual_seed(0)
            self._known[count] = torch.cat(
                [
                    torch.rand(min(BATCH, self._images - start), count, generator=generator)
                    .argsort(1)[:, : self._most]
                    .clone()  # a view would keep all places in memory
                    for start in range(0, self._images, BATCH)
                ]
            )
        return self._known[count]


def walk(
    original: nn.Module, changing: nn.Module, names: Collection[str], images: Tensor
) -> Iterator[tuple[str, Moments]]:
    """Yields the name and the moments of each layer of `names` that `images` (N, ...) reach, in the order of reaching.

    The outputs are those of `original`, the inputs those of `changing`, both in eval mode and with the same layers.
    The caller changes a layer of `changing`, and what belongs to it, before it asks for the next. The forward pre-hooks
    that the walk adds to both networks are removed at its end.
    """
    stops = _Stops(set(names), [])
    hooks = [
        network.get_submodule(name).register_forward_pre_hook(lambda _, args, name=name: stops.hook(name, args[0]))
        for network in (original, changing)
        for name in names
    ]
    before, after = list(images.split(BATCH)), list(images.split(BATCH))
    places = _Places(len(images))
    try:
        for stage, changing_stage in zip(stages_of(original), stages_of(changing), strict=True):
            while name := _first_stop(changing_stage, after[0]):
                stops.wanted[:] = [name]
                yield name, _moments(original.get_submodule(name), (stage, changing_stage), (before, after), places)
                stops.wanted.clear()
                stops.waiting.discard(name)
            waiting = set(stops.waiting)
            stops.waiting.clear()  # a layer that only the float network reaches does not end its run
            before, after = [_run(stage, x) for x in before], [_run(changing_stage, x) for x in after]
            stops.waiting.update(waiting)
    finally:
        for hook in hooks:
            hook.remove()


def _run(stage: Stage, inputs: Tensor) -> Tensor:
    with torch.no_grad():
        return stage(inputs.clone())  # a ReLU may change its input


def _first_stop(stage: Stage, inputs: Tensor) -> str | None:
    """Returns the name of the first layer that ends a run of `stage`, or None if it runs to its end."""
    try:
        _run(stage, inputs)
    except _Reached as stop:
        return stop.name
    return None


def _inputs(stage: Stage, inputs: Tensor) -> Tensor:
    """Returns the inputs of the wanted layer in `stage`."""
    try:
        _run(stage, inputs)
    except _Reached as stop:
        return stop.inputs
    raise AssertionError("a layer was reached on one batch of images and not on another")


def _moments(
    layer: nn.Module, stages: tuple[Stage, Stage], batches: tuple[list[Tensor], list[Tensor]], places: _Places
) -> Moments:
    """Returns the moments of the wanted layer; `layer` is the float one."""
    rows = as_rows(layer.get_parameter("weight").detach(), weight_groups(layer))
    total, start = None, 0
    with torch.no_grad():
        for pair in zip(*batches, strict=True):
            target, inputs = (_inputs(stage, x) for stage, x in zip(stages, pair, strict=True))
            positions = places.among(output_positions(layer, inputs))[start : start + len(inputs)]
            start += len(inputs)
            outputs = sampled_columns(layer, target, positions) @ rows.transpose(1, 2)
            part = moments_of(sampled_columns(layer, inputs, positions), outputs)
            total = total + part if total else part
    assert total is not None
    return total
