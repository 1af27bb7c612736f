"""Filters that nearly do the same, made one.

A filter is what it computes: its weights and its bias, after batch norm is folded into them. Where one other layer
alone reads its output, two equal filters are one filter whose reader adds up what it had for both.

Which layer alone reads which is said by the classes themselves, in CHAINS, and by the order of an nn.Sequential.
"""

import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

FilterLayer = nn.Conv2d | nn.Linear

BY_CHANNEL = (nn.Identity, nn.ReLU, nn.ReLU6, nn.MaxPool2d, nn.AvgPool2d, nn.Dropout, nn.Flatten)

TINY = 1e-12  # of two filters' squared lengths: nearer, and their distance is rounding


@dataclass(frozen=True, eq=False)
class MergedLayer:
    """`clusters` (filters,) int64: which filters became one, numbered from 0. `error`: the squared error of weights and
    biases over the sum of their squares."""

    name: str
    clusters: Tensor
    error: float


@dataclass(frozen=True, eq=False)
class MergedNetwork:
    """`module` still has all of its filters, those of a cluster equal: `duplicates` makes it smaller."""

    module: nn.Module
    layers: tuple[MergedLayer, ...]


def merge_filters(module: nn.Module, share: float) -> MergedNetwork:
    r"""Of filters that are nearly equal one is enough: each cluster of them is replaced by its mean, which the next
    layer reads once, with the sum of its weights for all of them.

    Formula: \bar{w}_C = \frac{1}{|C|} \sum_{i \in C} w_i, \quad v_C = \sum_{i \in C} v_i
    Source: Srinivas and Babu 2015 (arXiv:1507.06149); clusters: Ward 1963 (JASA 58:236-244).
    Fails: filters of a well-trained network differ, and their means answer to none of what they answered to.

    floor(`share` * n) of the n filters of each layer of `chains` go. Batch norm is folded into `module`, which stays
    as it is. Raises ValueError where no layer is read by one other alone.
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
        raise ValueError("there is no layer in this network that one other layer alone reads: nothing can be merged")
    return MergedNetwork(module, tuple(layers))


def relative_error(before: Tensor, after: Tensor) -> float:
    """sum (b - a)^2 / sum b^2, 0 where nothing changed."""
    error = float((before - after).square().sum())
    return error / float(before.square().sum()) if error else 0.0


def chains(module: nn.Module) -> list[tuple[str, str]]:
    """(name of a layer, name of the layer that alone reads its channels, each for itself), in the order of modules."""
    layers = dict(module.named_modules())
    found = [
        (".".join(filter(None, (name, one))), ".".join(filter(None, (name, other))))
        for name, parent in layers.items()
        for one, other in (*_in_a_row(parent), *getattr(parent, "CHAINS", ()))
    ]
    owners = Counter(id(parameter) for _, parameter in module.named_parameters(remove_duplicate=False))
    return [pair for pair in found if all(_stands_alone(layers[name], owners) for name in pair)]


def _stands_alone(layer: nn.Module, owners: Counter[int]) -> bool:
    """Whether each of its filters reads all channels, and its weights are those of no other layer."""
    return getattr(layer, "groups", 1) == 1 and all(owners[id(parameter)] == 1 for parameter in layer.parameters())


def _in_a_row(parent: nn.Module) -> Iterator[tuple[str, str]]:
    before = None
    for name, layer in parent.named_children() if isinstance(parent, nn.Sequential) else ():
        if isinstance(layer, FilterLayer):
            if before is not None:
                yield before, name
            before = name
        elif not isinstance(layer, BY_CHANNEL):
            before = None


def filter_rows(layer: FilterLayer) -> Tensor:
    """(n, d): the weights of each filter and, where there is one, its bias."""
    weight, bias = layer.weight, layer.bias
    rows = [weight.detach().flatten(1)] + ([] if bias is None else [bias.detach()[:, None]])
    return torch.cat(rows, 1)


def _set_filters_(layer: FilterLayer, rows: Tensor) -> None:
    """The reverse of `filters`."""
    size = layer.weight[0].numel()
    with torch.no_grad():
        layer.weight.copy_(rows[:, :size].reshape(layer.weight.shape))
        if layer.bias is not None:
            layer.bias.copy_(rows[:, size])


def ward(rows: Tensor, clusters: int) -> Tensor:
    """rows (n, d) -> the cluster of each, (n,) int64, numbered in the order of their first members.

    From n clusters of one row each on, the two are joined whose joining adds the least to the squared distances of all
    rows from the means of their clusters; ties by position.
    """
    squares = rows.square().sum(1)
    scale = squares[:, None] + squares
    apart = (scale - 2 * rows @ rows.T).numpy()
    cost = np.where(apart < TINY * scale.numpy(), 0, apart / 2)
    np.fill_diagonal(cost, np.inf)
    size = np.ones(len(rows))
    names = np.arange(len(rows))
    for _ in range(len(rows) - clusters):
        one, other = sorted(divmod(int(cost.argmin()), len(rows)))
        both = size[one] + size[other]
        joined = ((size[one] + size) * cost[one] + (size[other] + size) * cost[other] - size * cost[one, other]) / (
            both + size
        )
        joined[one] = np.inf
        cost[one] = cost[:, one] = joined
        cost[other] = cost[:, other] = np.inf
        size[one] = both
        names[names == other] = one
    return torch.from_numpy(np.unique(names, return_inverse=True)[1])
