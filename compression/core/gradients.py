"""Which way the loss on images goes as weights move: what taylor scores are made of."""

import copy
from collections.abc import Collection

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from compression.core.evidence import Sample
from compression.networks.weights import compressible_weights, swap_channels
from compression.spec import Also


def loss_gradients(module: nn.Module, sample: Sample, also: Collection[Also] = ()) -> dict[str, Tensor]:
    """Layer name -> gradient (C_out, ...) of the mean cross-entropy of `module` over `sample`, in eval mode, by the
    layer's weight: zero where no input reaches it. `module` stays as it is.
    """
    weights = compressible_weights(module, also)
    memo: dict[int, Tensor] = {id(w.tensor): nn.Parameter(w.tensor.detach().clone()) for w in weights.values()}
    network = copy.deepcopy(module, memo).eval()
    variables = [memo[id(weight.tensor)] for weight in weights.values()]
    with torch.enable_grad():
        for inputs, labels in sample.batches:
            loss = F.cross_entropy(network(inputs), labels, reduction="sum") / len(sample.labels)
            loss.backward(inputs=variables)
    return {
        name: swap_channels(
            torch.zeros_like(variable) if variable.grad is None else variable.grad, weight.transposed_groups
        )
        for (name, weight), variable in zip(weights.items(), variables, strict=True)
    }
