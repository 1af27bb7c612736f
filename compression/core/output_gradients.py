"""Gradients of the error of each layer's output by its weights, from which OBS importance scores are computed."""

import copy
from collections.abc import Collection

import torch
from torch import Tensor, nn

from compression.networks.weights import compressible_weights
from compression.reconstruction.factor import factor_inverse
from compression.reconstruction.rows import as_rows, layers_with_rows, weight_groups
from compression.reconstruction.survivors import obs_gradients
from compression.reconstruction.walk import walk
from compression.spec import Also


def output_gradients(
    module: nn.Module, images: Tensor, also: Collection[Also] = (), whole_filters: bool = False
) -> dict[str, Tensor]:
    r"""Layer name -> gradient (C_out, ...) of the error of the layer's output on `images` (N, ...) by its weight.

    The error is a share of the energy of the output, about zero and without the bias, and the gradient is half of it.
    Single weights: all others of the channel make up for the weight. `whole_filters`: nothing does. The gradient is
    zero for weights that no input other than zero reaches.

    Formula: g_j = \frac{w_j}{[H^{-1}]_{jj} \, \|Y\|^2} \text{; whole filters: } g = \frac{H w}{\|Y\|^2}
    Source: Hassibi and Stork 1993, Frantar and Alistarh 2022 (arXiv:2208.11580).

    Raises ValueError if a layer is neither a convolution nor linear, or if its inputs are NaN or infinite.
    """
    weights = compressible_weights(module, also)
    names = layers_with_rows(module, weights)
    if others := [name for name in weights if name not in names]:
        raise ValueError(f"obs scores need the inputs of a convolution or a linear layer, and {others[0]} is neither")
    gradients = {name: torch.zeros_like(weight.tensor) for name, weight in weights.items()}
    for name, moments in walk(module, copy.deepcopy(module), names, images):
        layer = module.get_submodule(name)
        rows = as_rows(layer.get_parameter("weight").detach().double(), weight_groups(layer))
        if whole_filters:
            half = moments.cross
        else:
            half = obs_gradients(rows, factor_inverse(moments.second, moments.count))
            half = half * (moments.second.diagonal(dim1=1, dim2=2) > 0)[:, None]
        share = half / moments.energy.sum().clamp_min(torch.finfo(torch.float64).tiny)
        gradients[name] = share.reshape(gradients[name].shape).float()
    return gradients
