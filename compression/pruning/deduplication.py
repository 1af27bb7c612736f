"""Filters that are equal, physically made one: the other form of what `merging` leaves.

The layer that reads them adds up what it had for each, so a sum is rounded once where several products were. That is
the only difference, and it is measured: the smaller network answers beside the other one, each time.
"""

import copy
from typing import cast

import torch
from torch import Tensor, nn

from compression.networks.model import freeze_
from compression.pruning.merging import FilterLayer, chains, filter_rows
from compression.pruning.proof import Proof, RemainingChannels, SmallerNetwork, compare

ROUNDED_SUMS = 1e-5  # of the largest output: float32 weights that are sums, one layer after the other


def merge_duplicates(module: nn.Module, example: Tensor) -> SmallerNetwork:
    r"""Equal filters become one, where one other layer alone reads them: the network that merging filters is for.

    Formula: \sum_{i \in C} v_i * a_i = \Bigl(\sum_{i \in C} v_i\Bigr) * a_C, \quad a_i = a_C
    Source: Srinivas and Babu 2015 (arXiv:1507.06149), section 2.
    Fails: filters that differ in one bit stay apart, so pruning single weights undoes a part of the merging.

    `module` is in eval mode, without batch norm between a layer and its reader, and stays as it is; `example` (N, ...)
    are inputs of it.
    """
    proof = Proof(module, example, ROUNDED_SUMS)
    small = copy.deepcopy(module)
    for name, reader in chains(module):
        _merge_(*(cast(FilterLayer, small.get_submodule(layer)) for layer in (name, reader)))
    difference = proof.difference(small)
    if proof.holds(difference):
        return compare(module, freeze_(small), proof)
    why = f"with equal filters made one, answers differ by up to {difference:.2g}"
    return compare(module, module, proof, _all_left(module, why))


def _merge_(layer: FilterLayer, reader: FilterLayer) -> None:
    """Of each cluster of equal filters the first stays in `layer`, and `reader` has the sum of what it had for all."""
    first, clusters = _equal(layer)
    weight = reader.weight.detach()
    parts = weight.double().reshape(len(weight), len(clusters), -1)
    sums = parts.new_zeros(len(weight), len(first), parts.shape[2]).index_add_(1, clusters, parts)
    reader.weight = nn.Parameter(sums.reshape(len(weight), -1, *weight.shape[2:]).to(weight))
    layer.weight = nn.Parameter(layer.weight.detach()[first])
    if layer.bias is not None:
        layer.bias = nn.Parameter(layer.bias.detach()[first])
    setattr(layer, "out_channels" if isinstance(layer, nn.Conv2d) else "out_features", len(first))
    setattr(reader, "in_channels" if isinstance(reader, nn.Conv2d) else "in_features", reader.weight.shape[1])


def _equal(layer: FilterLayer) -> tuple[Tensor, Tensor]:
    """(k,) int64, the first of each cluster of equal filters, in their order, and (n,) int64, the cluster of each."""
    names = filter_rows(layer).unique(dim=0, return_inverse=True)[1].tolist()
    first = [place for place, name in enumerate(names) if names.index(name) == place]
    clusters = {names[place]: number for number, place in enumerate(first)}
    return torch.tensor(first), torch.tensor([clusters[name] for name in names])


def _all_left(module: nn.Module, why: str) -> tuple[RemainingChannels, ...]:
    found = []
    for name, _ in chains(module):
        first, clusters = _equal(cast(FilterLayer, module.get_submodule(name)))
        if len(first) < len(clusters):
            found.append(RemainingChannels(name, len(clusters) - len(first), why))
    return tuple(found)
