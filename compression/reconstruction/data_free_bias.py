"""Bias correction without images: the mean inputs of a layer follow from the batch norm before it."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from compression.networks.architectures.resnet import PadShortcut
from compression.networks.folding import fold_batch_norm, norms_after
from compression.reconstruction.equalization import equalizable, parts_between

KEEPS_MEAN = (nn.Identity, nn.ReLU, nn.Dropout, nn.Flatten, PadShortcut)  # after a ReLU, another one changes nothing


def rectified_mean(mean: Tensor, deviation: Tensor) -> Tensor:
    r"""Returns the mean of max(0, z) for normally distributed z with this mean and standard deviation.

    Formula: \mathrm{E}[\max(0, z)] = \sigma\, \varphi(\mu / \sigma) + \mu\, \Phi(\mu / \sigma)
    Source: Nagel et al. 2019 (arXiv:1906.04721), appendix C.
    Fails: if the outputs of batch norm are far from normally distributed.
    """
    ratio = mean / deviation.clamp(min=torch.finfo(mean.dtype).tiny)
    density = torch.exp(-ratio.square() / 2) / math.sqrt(2 * math.pi)
    rectified = deviation * density + mean * (1 + torch.erf(ratio / math.sqrt(2))) / 2
    return torch.where(deviation > 0, rectified, mean.clamp(min=0))


def data_free_shifts(module: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    r"""Layer name -> what the bias of each channel (C_out,) must gain if the layer gets its weight of `weights`.

    Formula: \Delta b = (W - \hat W)\, \mathrm{E}[x], \quad \mathrm{E}[x] from `rectified_mean` of \beta and |\gamma|
    Source: Nagel et al. 2019 (arXiv:1906.04721), section 4.2.1.
    Fails: at the borders of images, where padding makes the mean input smaller than assumed here.

    `module` still has its batch norms. Only layers that read a batch norm through a ReLU, and nothing else in between
    but dropout, have an entry: pooling and shortcuts change the mean in a way that batch norm does not tell.
    """
    norms = norms_after(module)
    folded = fold_batch_norm(module)
    shifts = {}
    for first, second in equalizable(folded):
        norm = norms.get(first)
        if norm is None or not norm.affine or second not in weights:
            continue
        if not all(isinstance(part, KEEPS_MEAN) for part in parts_between(folded, first, second)):
            continue
        before = module.get_submodule(second).get_parameter("weight").detach()
        expected = rectified_mean(norm.bias.detach(), norm.weight.detach().abs())
        difference = (before - weights[second]).reshape(len(before), len(expected), -1).sum(2)
        shifts[second] = difference @ expected
    return shifts
