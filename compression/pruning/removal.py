"""Removal of zero filters: fewer channels and multiplications, the same outputs.

Multiplying by zero takes as long as by any other number. To save time a zero filter must be removed from its layer,
from the batch norm after it, from all layers that read it, and from all layers whose output is added to it. The outputs
of the smaller network are compared with those of the network with zeros each time. If they differ by more than
rounding, the removal is undone and the result says why.
"""

import copy
from collections.abc import Iterable

from torch import Tensor, nn
from torch_pruning import DependencyGraph

from compression.networks.model import freeze_
from compression.networks.weights import compressible_weights
from compression.pruning.coupling import LOCK, first_layers, group_of, pruning_group, trace
from compression.pruning.proof import Proof, RemainingChannels, SmallerNetwork, compare
from compression.pruning.shortcuts import as_convolutions_, as_shortcuts_

TRACING_ERRORS = (AssertionError, AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError)

MOST_NAMES = 3


def remove_zeroed(module: nn.Module, example: Tensor) -> SmallerNetwork:
    r"""Filters whose weights are all zero are removed from the network. It becomes smaller and faster on any hardware
    and computes the same outputs.

    Formula: y = \sum_{c:\, w_c \neq 0} w_c * x_c
    Source: Li et al. 2017 (arXiv:1608.08710), section 3; Fang et al. 2023 (arXiv:2301.12900), section 3.
    Fails: if a shortcut adds a nonzero channel to the zero channel, or if a bias makes it a nonzero constant. Such
        channels must remain.

    `module` must be in eval mode and is not changed. `example` (N, ...) are inputs of it. Raises ValueError if it does
    not run on them in double precision.
    """
    proof = Proof(module, example)
    whole = as_convolutions_(copy.deepcopy(module))
    with LOCK:
        try:
            firsts = first_layers(trace(whole, proof.example))
        except TRACING_ERRORS as error:
            why = f"torch-pruning cannot trace this network ({error!r})"
            return compare(module, module, proof, tuple(_zeros(module, empty_filters(module), why)))
        small, reasons = _shrink(whole, firsts, proof)
        graph = trace(copy.deepcopy(small), proof.example)
        remaining = [one for first in firsts for one in _remaining(graph, first, reasons.get(first))]
    layers = list(compressible_weights(module))
    remaining = sorted((one for one in remaining if one.layer in layers), key=lambda one: layers.index(one.layer))
    return compare(module, freeze_(as_shortcuts_(small)), proof, tuple(remaining))


def empty_filters(module: nn.Module) -> dict[str, int]:
    """Returns, by layer name, the number of filters whose weights are all zero."""
    return {
        name: int(weight.channels_first.flatten(1).eq(0).all(1).sum())
        for name, weight in compressible_weights(module).items()
    }


def _shrink(module: nn.Module, firsts: list[str], proof: Proof) -> tuple[nn.Module, dict[str, str]]:
    """Returns `module` without the zero channels of the groups of `firsts`, and the reason for each group that failed.

    All groups are tried at once. If that changes the outputs, each half is tried separately, down to single groups.
    """
    try:
        small = _remove_zeros(module, firsts, proof.example)
        difference = proof.difference(small)
        if proof.holds(difference):
            return small, {}
        why = f"without them, outputs differ by up to {difference:.2g}"
    except TRACING_ERRORS as error:
        why = f"torch-pruning cannot remove them ({error!r})"
    if len(firsts) == 1:
        return module, {firsts[0]: why}
    half = len(firsts) // 2
    module, first_reasons = _shrink(module, firsts[:half], proof)
    module, second_reasons = _shrink(module, firsts[half:], proof)
    return module, first_reasons | second_reasons


def _remove_zeros(module: nn.Module, firsts: list[str], example: Tensor) -> nn.Module:
    """Returns a copy without the zero channels of the groups of `firsts`; one removal may create zeros for the next."""
    small = copy.deepcopy(module)
    graph = trace(small, example)
    for first in firsts:
        if channels := group_of(graph, first).removable:
            pruning_group(graph, first, channels).prune()
    return small


def _remaining(graph: DependencyGraph, first: str, reason: str | None) -> list[RemainingChannels]:
    """Returns the zero filters that remain in the group of `first`; `reason` is why removing the group failed."""
    try:
        group = group_of(graph, first)
    except TRACING_ERRORS as error:
        return _zeros(graph.model, [first], reason or f"torch-pruning cannot remove them ({error!r})")
    remaining = []
    for name, empty in group.empty.items():
        if count := int(empty.sum()):
            nonzero = [other for other, alive in group.alive.items() if bool((alive & empty).any())]
            more = f" and {len(nonzero) - MOST_NAMES} more" if len(nonzero) > MOST_NAMES else ""
            if reason:
                why = reason
            elif group.is_output:
                why = "they are the outputs of the network"
            elif bool((empty & group.zero).any()):
                why = "a layer must have at least one channel"
            elif not nonzero:
                why = "an operation after the layer may change their zeros before the next layer reads them"
            elif nonzero == [name]:
                why = "its bias makes their outputs nonzero constants"
            else:
                why = f"the coupled channels are not zero in {', '.join(nonzero[:MOST_NAMES])}{more}"
            remaining.append(RemainingChannels(name, count, why))
    return remaining


def _zeros(module: nn.Module, layers: Iterable[str], why: str) -> list[RemainingChannels]:
    """Returns the zero filters of `layers`, all with the same reason why they remain."""
    empty = empty_filters(module)
    return [RemainingChannels(name, empty[name], why) for name in layers if empty.get(name)]
