"""Gradients of the loss by the weights, from which Taylor importance scores are computed."""

import copy
from collections.abc import Collection

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from compression.core.evidence import Sample
from compression.networks.weights import compressible_weights, swap_channels
from compression.spec import Also


def loss_gradients(module: nn.Module, sample: Sample, also: Collection[Also] = ()) -> dict[str, Tensor]:
    """Layer name -> gradient (C_out, ...) of the mean cross-entropy over `sample` by the layer's weight.

    `module` is evaluated in eval mode and stays unchanged. The gradient is zero if no input reaches the layer.
    """
    weights = compressible_weights(module, also)
    variables = {id(w.tensor): nn.Parameter(w.tensor.detach().clone()) for w in weights.values()}
    memo: dict[int, Tensor] = dict(variables)
    network = copy.deepcopy(module, memo).eval()
    with torch.enable_grad():
        for inputs, labels in sample.batches:
            loss = F.cross_entropy(network(inputs), labels, reduction="sum") / len(sample.labels)
            loss.backward(inputs=list(variables.values()))
    gradients = {
        name: torch.zeros_like(weight.tensor) if variable.grad is None else variable.grad
        for (name, weight), variable in zip(weights.items(), variables.values(), strict=True)
    }
    return {name: swap_channels(gradient, weights[name].transposed_groups) for name, gradient in gradients.items()}
