"""Which output channels of different layers are coupled, and which of them are zero for any input.

torch-pruning (Fang et al. 2023, arXiv:2301.12900) uses autograd to find coupled layers: those that become narrower
together when one filter is removed. While it traces, it adds hooks to the given network only. Its pruners, however, are
shared by the whole process, so only one thread at a time may use them: the one that holds LOCK.
"""

from dataclasses import dataclass
from threading import Lock
from typing import Any

import torch
from torch import Tensor, nn
from torch_pruning import DependencyGraph
from torch_pruning.ops import OPTYPE

from compression.networks.weights import CONVOLUTIONS, TRANSPOSED, swap_channels

LOCK = Lock()

FILTER_LAYERS = (*CONVOLUTIONS, *TRANSPOSED, nn.Linear)

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)

MIXERS = (OPTYPE.LN, OPTYPE.GN, OPTYPE.IN, OPTYPE.MHA, OPTYPE.LSTM, OPTYPE.EMBED, OPTYPE.PARAMETER, OPTYPE.UNBIND)


@dataclass(frozen=True, eq=False)
class ChannelGroup:
    """Layers whose output channels can only be removed together.

    Channels are numbered as the n output channels of the layer `first`. `zero` (n,) bool: whether all layers that read
    the channel get only zeros. `empty`, per layer, (n,) bool: whether all weights of the filter are zero. `alive`, per
    layer, (n,) bool: whether the output can be nonzero even if the coupled inputs are zero, for example because of a
    bias. `is_output`: whether the channels are outputs of the network.
    """

    first: str
    zero: Tensor
    empty: dict[str, Tensor]
    alive: dict[str, Tensor]
    is_output: bool

    @property
    def removable(self) -> list[int]:
        """The channels that can be removed. At least one channel remains: a layer of torch cannot have none."""
        if self.is_output:
            return []
        channels = self.zero.nonzero().flatten().tolist()
        return channels[1:] if len(channels) == len(self.zero) else channels


def trace(module: nn.Module, example: Tensor) -> DependencyGraph:
    """Returns the dependency graph of `module`, and makes its parameters require gradients. The caller holds LOCK."""
    with torch.enable_grad():
        return DependencyGraph().build_dependency(module.requires_grad_(True), example, verbose=False)


def first_layers(graph: DependencyGraph) -> list[str]:
    """Returns the first convolution or linear layer of each group, in the order of the network's modules."""
    order = list(graph._module2name)
    groups = (
        [dep.target.module for dep, _ in group if graph.is_out_channel_pruning_fn(dep.handler)]
        for group in graph.get_all_groups(root_module_types=FILTER_LAYERS)
    )
    firsts = [min(order.index(module) for module in group if isinstance(module, FILTER_LAYERS)) for group in groups]
    return [graph._module2name[order[place]] for place in sorted(firsts)]


def pruning_group(graph: DependencyGraph, first: str, channels: list[int]) -> Any:
    """Returns torch-pruning's group: what must be removed from which layers if `first` loses `channels`."""
    layer = graph.model.get_submodule(first)
    return graph.get_pruning_group(layer, graph.get_pruner_of_module(layer).prune_out_channels, channels)


def group_of(graph: DependencyGraph, first: str) -> ChannelGroup:
    """Returns the group of the layer `first`, with all of its channels."""
    n = len(_filters(graph.model.get_submodule(first)))
    items = pruning_group(graph, first, list(range(n))).items
    writes = graph.is_out_channel_pruning_fn
    writers = {item.dep.target: item for item in items if writes(item.dep.handler)}
    readers = [item.dep.target for item in items if not writes(item.dep.handler)]
    nowhere = torch.zeros(n, dtype=torch.bool)
    zero: dict[Any, Tensor] = {}

    def map_to_first(node: Any, mask: Tensor) -> Tensor:
        """(channels of `node`,) bool -> (n,) bool: whether all channels that belong to channel i are True."""
        result = ~nowhere
        item = writers[node]
        result[torch.tensor(item.root_idxs)[~mask[torch.tensor(item.idxs)]]] = False
        return result

    def inputs_zero(node: Any) -> Tensor:
        masks = [output_zero(other) for other in node.inputs if other in writers and not _of_weights(other)]
        return torch.stack(masks).all(0) if masks else nowhere

    def output_zero(node: Any) -> Tensor:
        if node not in zero:
            zero[node] = nowhere  # ends the recursion for a module that reads its own output
            if node.type in MIXERS:
                pass
            elif isinstance(node.module, (*FILTER_LAYERS, *NORMS)):
                always_zero, keeps_zero = (map_to_first(node, mask) for mask in _zero_masks(node.module))
                zero[node] = always_zero | (keeps_zero & inputs_zero(node))
            else:
                zero[node] = inputs_zero(node)
        return zero[node]

    layers = {
        graph._module2name[node.module]: node for node in writers if isinstance(node.module, (*FILTER_LAYERS, *NORMS))
    }
    return ChannelGroup(
        first=first,
        zero=torch.stack([~nowhere, *(inputs_zero(node) for node in readers)]).all(0),
        empty={
            name: map_to_first(node, _filters(node.module).eq(0).all(1))
            for name, node in layers.items()
            if isinstance(node.module, FILTER_LAYERS)
        },
        alive={
            name: ~map_to_first(node, torch.stack(_zero_masks(node.module)).any(0)) for name, node in layers.items()
        },
        is_output=any(not node.outputs for node in writers),
    )


def _of_weights(node: Any) -> bool:
    """Returns whether `node` is an operation on a layer's own weights, such as the transposition in a linear layer."""
    return not node.inputs and node.type not in MIXERS and not isinstance(node.module, (*FILTER_LAYERS, *NORMS))


def _filters(layer: Any) -> Tensor:
    """Returns the weights of each filter of `layer`: (C_out, k)."""
    return swap_channels(layer.weight.detach(), layer.groups if isinstance(layer, TRANSPOSED) else 0).flatten(1)


def _zero_masks(layer: Any) -> tuple[Tensor, Tensor]:
    """Returns two masks (channels,) bool: outputs that are always zero, and outputs that are zero for zero inputs.

    For a layer whose filters read several channels, the second mask equals the first.
    """
    if isinstance(layer, NORMS):
        if layer.weight is None or layer.running_mean is None or layer.running_var is None:
            return (torch.zeros(layer.num_features, dtype=torch.bool),) * 2
        shift = layer.bias - layer.running_mean * layer.weight / (layer.running_var + layer.eps).sqrt()
        return (layer.weight == 0) & (layer.bias == 0), shift == 0
    filters = _filters(layer)
    unbiased = torch.ones(len(filters), dtype=torch.bool) if layer.bias is None else layer.bias == 0
    empty = unbiased & filters.eq(0).all(1)
    depthwise = getattr(layer, "groups", 1) == len(filters) > 1
    return empty, unbiased if depthwise else empty
