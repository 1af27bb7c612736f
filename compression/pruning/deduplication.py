"""Removal of duplicate filters, which `merging` creates: the network becomes physically smaller.

The layer that reads equal filters gets the sum of its weights for them. Only rounding changes, since one product
replaces a sum of several. The outputs of both networks are compared each time.
"""

import copy
from typing import cast

import torch
from torch import Tensor, nn

from compression.networks.model import freeze_
from compression.pruning.merging import FilterLayer, chains, filter_rows
from compression.pruning.proof import Proof, RemainingChannels, SmallerNetwork, compare

ROUNDED_SUMS = 1e-5  # relative to the largest output: summed weights are rounded to float32 in each layer


def merge_duplicates(module: nn.Module, example: Tensor) -> SmallerNetwork:
    r"""Equal filters of a layer are replaced by one filter if only one other layer reads them. The network becomes
    smaller, and its outputs are the same except for rounding.

    Formula: \sum_{i \in C} v_i * a_i = \Bigl(\sum_{i \in C} v_i\Bigr) * a_C, \quad a_i = a_C
    Source: Srinivas and Babu 2015 (arXiv:1507.06149), section 2.
    Fails: if filters differ in a single bit: they are not replaced. Pruning single weights therefore undoes
        part of the merging.

    `module` must be in eval mode, without batch norm between a layer and its reader, and is not changed. `example`
    (N, ...) are inputs of it.
    """
    proof = Proof(module, example, ROUNDED_SUMS)
    small = copy.deepcopy(module)
    for name, reader in chains(module):
        _merge_(*(cast(FilterLayer, small.get_submodule(layer)) for layer in (name, reader)))
    difference = proof.difference(small)
    if proof.holds(difference):
        return compare(module, freeze_(small), proof)
    why = f"after merging equal filters, outputs differ by up to {difference:.2g}"
    return compare(module, module, proof, _duplicates(module, why))


def _merge_(layer: FilterLayer, reader: FilterLayer) -> None:
    """Keeps the first of each cluster of equal filters of `layer`, and sums the weights of `reader` for the cluster."""
    first, clusters = _find_clusters(layer)
    weight = reader.weight.detach()
    parts = weight.double().reshape(len(weight), len(clusters), -1)
    sums = parts.new_zeros(len(weight), len(first), parts.shape[2]).index_add_(1, clusters, parts)
    reader.weight = nn.Parameter(sums.reshape(len(weight), -1, *weight.shape[2:]).to(weight))
    layer.weight = nn.Parameter(layer.weight.detach()[first])
    if layer.bias is not None:
        layer.bias = nn.Parameter(layer.bias.detach()[first])
    setattr(layer, "out_channels" if isinstance(layer, nn.Conv2d) else "out_features", len(first))
    setattr(reader, "in_channels" if isinstance(reader, nn.Conv2d) else "in_features", reader.weight.shape[1])


def _find_clusters(layer: FilterLayer) -> tuple[Tensor, Tensor]:
    """Returns the index of the first filter of each cluster of equal filters, (k,) int64, and each filter's cluster.

    The clusters (n,) int64 are numbered in the order of their first filters.
    """
    names = filter_rows(layer).unique(dim=0, return_inverse=True)[1].tolist()
    first = [place for place, name in enumerate(names) if names.index(name) == place]
    clusters = {names[place]: number for number, place in enumerate(first)}
    return torch.tensor(first), torch.tensor([clusters[name] for name in names])


def _duplicates(module: nn.Module, why: str) -> tuple[RemainingChannels, ...]:
    """Returns the duplicate filters of each layer, all with the same reason why they remain."""
    remaining = []
    for name, _ in chains(module):
        first, clusters = _find_clusters(cast(FilterLayer, module.get_submodule(name)))
        if len(first) < len(clusters):
            remaining.append(RemainingChannels(name, len(clusters) - len(first), why))
    return tuple(remaining)
