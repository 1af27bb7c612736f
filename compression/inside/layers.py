"""What compression does to the signal layer by layer: its noise, how far the logits move, its spread, dead channels.

A layer is a convolution or a linear layer with all that belongs to it: the modules that follow it in the order of the
network, up to the next layer. Its output is read after its batch norm, if one takes exactly this output. The float
network is the one that was compressed: with batch norm folded, filters merged and channels equalized as the spec says.
"""

import copy
import math
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from compression.core.batch_norm import BATCH_NORMS
from compression.core.record import CompressedModel, sqnr_db
from compression.networks.weights import weighted_layers

LAYER_IMAGES = 100  # on which the signal of layers is measured: each image has thousands of values per layer

MOST_CHANNELS = 64  # that a mosaic shows

GAP = 1  # pixels between the channels of a mosaic


@dataclass(frozen=True)
class LayerSignal:
    """What compression does to the output of one layer and, through it, to the logits, over `images` images.

    `alone_…`: only this layer is compressed; `accumulated_…`: this layer and all before it. `…_db`: the
    signal-to-quantization-noise ratio of the output. `…_change`: the root mean square change of the logits, without
    their mean over the classes, which no prediction depends on. `…_flips`: images with another prediction.

    `spread`: how much the output differs from image to image and place to place: the root mean square over channels of
    their standard deviations. A channel is `dead` if its output is always the same, and `silent` if it is never above
    zero, so that a ReLU behind it passes nothing.
    """

    name: str
    channels: int
    images: int
    alone_db: float
    accumulated_db: float
    alone_change: float
    accumulated_change: float
    alone_flips: int
    accumulated_flips: int
    float_spread: float
    spread: float
    float_dead: int
    dead: int
    float_silent: int
    silent: int


@dataclass(frozen=True, eq=False)
class NetworkPair:
    """The float network that was compressed (`original`) and the compressed one, of equal shapes and in eval mode."""

    original: nn.Module
    compressed: nn.Module

    @classmethod
    def of(cls, compressed: CompressedModel) -> "NetworkPair":
        """Returns the pair of a compressed network."""
        return cls(compressed.original, compressed.module)


def layer_names(module: nn.Module) -> tuple[str, ...]:
    """Returns the names of the layers of a network, in the order of its modules."""
    return tuple(name for name in weighted_layers(module) if name)


def owners(module: nn.Module) -> dict[str, str]:
    """Module name -> the layer that it belongs to: the last layer at or before it, the first one for what comes before.

    >>> owners(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1)))
    {'': '0', '0': '0', '1': '0', '2': '2'}
    """
    names = layer_names(module)
    owner, owner_of = names[0], {}
    for name, _ in module.named_modules():
        owner = name if name in names else owner
        owner_of[name] = owner
    return owner_of


def mix(pair: NetworkPair, layers: Collection[str]) -> nn.Module:
    """Returns a network with `layers` and all that belongs to them from the compressed network, the rest from float.

    It shares its tensors with both. All layers give the compressed network, none the float one.
    """
    memo: dict[int, Any] = {id(each): each for each in (*pair.original.parameters(), *pair.original.buffers())}
    module = copy.deepcopy(pair.original, memo)
    for name, owner in owners(module).items():
        if owner in layers:
            part, other = module.get_submodule(name), pair.compressed.get_submodule(name)
            part._parameters, part._buffers = dict(other._parameters), dict(other._buffers)
            part._forward_pre_hooks = other._forward_pre_hooks.copy()
    return module


@contextmanager
def _listening(module: nn.Module, places: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Gives a dict that has, after a forward pass, the outputs of the modules `places`."""
    outputs: dict[str, Tensor] = {}

    def hook_for(place: str) -> Any:
        def keep(_part: nn.Module, _inputs: Any, output: Tensor) -> None:
            outputs[place] = output.detach().clone()  # what follows may change it in place

        return keep

    hooks = [module.get_submodule(place).register_forward_hook(hook_for(place)) for place in places]
    try:
        yield outputs
    finally:
        for hook in hooks:
            hook.remove()


def reading_places(module: nn.Module, example: Tensor) -> dict[str, str]:
    """Layer name -> the module whose output is read: the batch norm that takes the layer's output, or the layer.

    `example` is an input (N, ...) of the network. Layers that it does not run are left out.
    """
    module = copy.deepcopy(module)
    names, makers, places = layer_names(module), {}, {}

    def hook_for(name: str, part: nn.Module) -> Any:
        def note(_part: nn.Module, inputs: Any, output: Tensor) -> None:
            if name in names:
                makers[id(output)] = (name, output)  # kept, so that no other tensor gets its number
                places[name] = name
            elif isinstance(part, BATCH_NORMS) and id(inputs[0]) in makers:
                places[makers[id(inputs[0])][0]] = name

        return note

    for name, part in module.named_modules():
        part.register_forward_hook(hook_for(name, part))
    with torch.no_grad():
        module(example)
    return {name: places[name] for name in names if name in places}


def outputs_of(module: nn.Module, place: str, inputs: Tensor, batch: int = 125) -> tuple[Tensor, Tensor]:
    """Returns the output (N, C, ...) of the module called `place`, and the logits (N, classes)."""
    outputs, logits = [], []
    with torch.no_grad(), _listening(module, [place]) as by_place:
        for part in inputs.split(batch):
            logits.append(module(part).float())
            outputs.append(by_place[place].float())
    return torch.cat(outputs), torch.cat(logits)


def measure_layer(pair: NetworkPair, layer: str, inputs: Tensor) -> LayerSignal:
    """Measures one layer of a pair of networks; inputs (N, C, H, W) are normalised images.

    Raises ValueError if the network has no such layer, or does not run it.
    """
    names = layer_names(pair.original)
    place = reading_places(pair.original, inputs[:1]).get(layer)
    if place is None:
        raise ValueError(f"the network runs no layer {layer!r}; it has {', '.join(names)}")
    before = names[: names.index(layer) + 1]
    signal, logits = outputs_of(pair.original, place, inputs)
    alone, alone_logits = outputs_of(mix(pair, {layer}), place, inputs)
    accumulated, accumulated_logits = outputs_of(mix(pair, before), place, inputs)
    return LayerSignal(
        name=layer,
        channels=signal.shape[1],
        images=len(inputs),
        alone_db=sqnr_db(signal, alone),
        accumulated_db=sqnr_db(signal, accumulated),
        alone_change=logit_change(logits, alone_logits),
        accumulated_change=logit_change(logits, accumulated_logits),
        alone_flips=_flips(logits, alone_logits),
        accumulated_flips=_flips(logits, accumulated_logits),
        float_spread=spread(signal),
        spread=spread(accumulated),
        float_dead=_dead(signal),
        dead=_dead(accumulated),
        float_silent=_silent(signal),
        silent=_silent(accumulated),
    )


def logit_change(before: Tensor, after: Tensor) -> float:
    """before, after (N, classes): the root mean square difference, after the mean over the classes is taken off.

    >>> logit_change(torch.zeros(1, 2), torch.tensor([[3.0, 5.0]]))
    1.0
    """
    change = (after - before).double()
    return float((change - change.mean(1, keepdim=True)).square().mean().sqrt())


def spread(output: Tensor) -> float:
    """output (N, C, ...) -> the root mean square over channels of their standard deviations over images and places."""
    return float(_by_channel(output).double().var(1, correction=0).mean().sqrt())


def spreads(module: nn.Module, inputs: Tensor) -> dict[str, float]:
    """Returns the spread of the output of each layer, read where `measure_layer` reads it."""
    places = reading_places(module, inputs[:1])
    with torch.no_grad(), _listening(module, [*places.values()]) as by_place:
        module(inputs)
    return {name: spread(by_place[place]) for name, place in places.items()}


def _by_channel(output: Tensor) -> Tensor:
    return output.transpose(0, 1).flatten(1)


def _dead(output: Tensor) -> int:
    values = _by_channel(output)
    return int((values.amax(1) == values.amin(1)).sum())


def _silent(output: Tensor) -> int:
    return int((_by_channel(output).amax(1) <= 0).sum())


def _flips(before: Tensor, after: Tensor) -> int:
    return int((before.argmax(1) != after.argmax(1)).sum())


@dataclass(frozen=True)
class LayerReport:
    """The signals of all layers, in the order of the network.

    `reestimated`: the spreads of the compressed network with re-estimated batch norm, by layer; None if it has no batch
    norm, if its statistics are re-estimated already, or if there are no training images.
    """

    layers: tuple[LayerSignal, ...]
    reestimated: dict[str, float] | None

    @property
    def noisiest(self) -> LayerSignal:
        """The layer that moves the logits most if it is compressed alone."""
        return max(self.layers, key=lambda each: each.alone_change)


@dataclass(frozen=True, eq=False)
class Activations:
    """The outputs (C, H, W) of one layer for one image, of the float network (`before`) and the compressed one."""

    before: Tensor
    after: Tensor

    @property
    def most(self) -> float:
        """The largest absolute value of both."""
        return float(torch.stack([self.before, self.after]).abs().max())

    @property
    def sqnr_db(self) -> float:
        """The signal-to-quantization-noise ratio of this output, in dB."""
        return sqnr_db(self.before, self.after)


def activations(pair: NetworkPair, layer: str, inputs: Tensor) -> Activations:
    """inputs (1, C, H, W) -> the outputs of `layer` in both networks. Raises ValueError if they have no such layer."""
    place = reading_places(pair.original, inputs).get(layer)
    if place is None:
        raise ValueError(f"the network runs no layer {layer!r}; it has {', '.join(layer_names(pair.original))}")
    return Activations(*(_as_maps(outputs_of(each, place, inputs)[0][0]) for each in (pair.original, pair.compressed)))


def _as_maps(output: Tensor) -> Tensor:
    """Returns (C, ...) as (C, H, W)."""
    return output.reshape(len(output), *output.shape[1:]) if output.dim() == 3 else output.reshape(len(output), 1, -1)


def mosaic(maps: Tensor) -> Tensor:
    """maps (C, H, W) -> the first MOST_CHANNELS of them as one picture, row by row, with gaps of nan between them."""
    maps = maps[:MOST_CHANNELS]
    across = math.ceil(math.sqrt(len(maps)))
    down = math.ceil(len(maps) / across)
    height, width = (size + GAP for size in maps.shape[1:])
    picture = torch.full((down * height - GAP, across * width - GAP), math.nan)
    for number, each in enumerate(maps):
        top, left = height * (number // across), width * (number % across)
        picture[top : top + each.shape[0], left : left + each.shape[1]] = each
    return picture
