"""Merging of similar filters: the filters of a cluster are replaced by their mean.

A filter consists of its weights and its bias, after batch norm is folded into them. If only one other layer reads its
output, two equal filters can be replaced by one, and that layer then uses the sum of its weights for both.

Pairs of layers in which the second alone reads the first come from the CHAINS of the network's classes, and from the
order of layers in an nn.Sequential.
"""

import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from scipy.cluster.hierarchy import cut_tree, linkage
from torch import Tensor, nn

FilterLayer = nn.Conv2d | nn.Linear

BY_CHANNEL = (nn.Identity, nn.ReLU, nn.ReLU6, nn.MaxPool2d, nn.AvgPool2d, nn.Dropout, nn.Flatten)


@dataclass(frozen=True, eq=False)
class MergedLayer:
    """The clusters of one layer, and the error of replacing its filters by the means.

    `clusters` (filters,) int64: the cluster of each filter, numbered from 0. `error`: the squared error of weights and
    biases, divided by the sum of their squares.
    """

    name: str
    clusters: Tensor
    error: float


@dataclass(frozen=True, eq=False)
class MergedNetwork:
    """A network in which the filters of each cluster are equal.

    `module` still has all of its filters; `deduplication` removes the duplicates.
    """

    module: nn.Module
    layers: tuple[MergedLayer, ...]


def merge_filters(module: nn.Module, share: float) -> MergedNetwork:
    r"""Similar filters of a layer are grouped into clusters, and each cluster is replaced by its mean filter. The next
    layer then reads one channel instead of several, with the sum of its weights for them.

    Formula: \bar{w}_C = \frac{1}{|C|} \sum_{i \in C} w_i, \quad v_C = \sum_{i \in C} v_i
    Source: Srinivas and Babu 2015 (arXiv:1507.06149); clusters: Ward 1963 (JASA 58:236-244).
    Fails: if the filters differ, as they do in a well-trained network: the mean filter detects none of the patterns
        that its members detected.

    Removes floor(`share` * n) of the n filters of each layer of `chains`. Batch norm must be folded into `module`,
    which is not changed. Raises ValueError if the network has no layer whose output only one other layer reads.
    """
    module = copy.deepcopy(module)
    layers = []
    for name, _ in chains(module):
        layer = cast(FilterLayer, module.get_submodule(name))
        rows = filter_rows(layer).double()
        clusters = ward(rows, len(rows) - int(share * len(rows)))
        sums = torch.zeros_like(rows).index_add_(0, clusters, rows)
        means = (sums / clusters.bincount(minlength=len(rows))[:, None])[clusters]
        _set_filters_(layer, means)
        layers.append(MergedLayer(name, clusters, relative_error(rows, means)))
    if not layers:
        raise ValueError("nothing can be merged: the network has no layer whose output only one other layer reads")
    return MergedNetwork(module, tuple(layers))


def relative_error(before: Tensor, after: Tensor) -> float:
    """Returns sum (before - after)^2 / sum before^2, and 0 if nothing changed."""
    error = float((before - after).square().sum())
    return error / float(before.square().sum()) if error else 0.0


def chains(module: nn.Module) -> list[tuple[str, str]]:
    """Returns pairs of layer names, in the order of modules: the second layer alone reads the output of the first.

    What stands between the two treats each channel separately.
    """
    layers = dict(module.named_modules())
    pairs = [
        (".".join(filter(None, (name, one))), ".".join(filter(None, (name, other))))
        for name, parent in layers.items()
        for one, other in (*_sequential_pairs(parent), *getattr(parent, "CHAINS", ()))
    ]
    owners = Counter(id(parameter) for _, parameter in module.named_parameters(remove_duplicate=False))
    return [pair for pair in pairs if all(_is_mergeable(layers[name], owners) for name in pair)]


def _is_mergeable(layer: nn.Module, owners: Counter[int]) -> bool:
    """Whether each filter of `layer` reads all channels, and no other layer shares its weights."""
    return getattr(layer, "groups", 1) == 1 and all(owners[id(parameter)] == 1 for parameter in layer.parameters())


def _sequential_pairs(parent: nn.Module) -> Iterator[tuple[str, str]]:
    """Yields neighbouring convolutions and linear layers of an nn.Sequential with only BY_CHANNEL layers in between."""
    before = None
    for name, layer in parent.named_children() if isinstance(parent, nn.Sequential) else ():
        if isinstance(layer, FilterLayer):
            if before is not None:
                yield before, name
            before = name
        elif not isinstance(layer, BY_CHANNEL):
            before = None


def filter_rows(layer: FilterLayer) -> Tensor:
    """Returns the weights of each filter and, if the layer has biases, its bias: (n, d)."""
    weight, bias = layer.weight, layer.bias
    rows = [weight.detach().flatten(1)] + ([] if bias is None else [bias.detach()[:, None]])
    return torch.cat(rows, 1)


def _set_filters_(layer: FilterLayer, rows: Tensor) -> None:
    """Writes rows (n, d), as `filter_rows` returns them, into `layer`."""
    size = layer.weight[0].numel()
    with torch.no_grad():
        layer.weight.copy_(rows[:, :size].reshape(layer.weight.shape))
        if layer.bias is not None:
            layer.bias.copy_(rows[:, size])


def ward(rows: Tensor, clusters: int) -> Tensor:
    """rows (n, d) -> the cluster of each row, (n,) int64, numbered in the order of their first members.

    Ward's method starts with a cluster per row and repeatedly joins the two clusters whose union has the smallest
    increase in the squared distances of all rows from the means of their clusters.
    """
    if len(rows) == 1:
        return torch.zeros(1, dtype=torch.int64)
    return torch.from_numpy(cut_tree(linkage(rows.numpy(), "ward"), clusters)[:, 0].astype(np.int64))
