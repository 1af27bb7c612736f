"""Folds batch norm into the layer before it: the network computes the same function in less time.

In eval mode, batch norm scales and shifts each channel, and the convolution or linear layer before it can do both:
w' = w * gamma / sqrt(var + eps), b' = beta + (b - mean) * gamma / sqrt(var + eps)
(Jacob et al. 2018, arXiv:1712.05877, section 3.2).

The pairs of layer and batch norm are listed by each class in FOLDS, or follow from the order of an nn.Sequential.
(torch.fx would find them by tracing, but while it traces it patches nn.Module for all threads.)
"""

import copy
from collections.abc import Iterator
from itertools import pairwise

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval

from compression.networks.weights import TRANSPOSED

FOLDABLE: dict[type[nn.Module], tuple[type[nn.Module], ...]] = {
    nn.BatchNorm1d: (nn.Linear, nn.Conv1d, nn.ConvTranspose1d),
    nn.BatchNorm2d: (nn.Conv2d, nn.ConvTranspose2d),
    nn.BatchNorm3d: (nn.Conv3d, nn.ConvTranspose3d),
}


def fold_batch_norm(module: nn.Module) -> nn.Module:
    """Returns a copy with each batch norm folded into the layer before it, or `module` itself if there are none.

    The copy is in eval mode, and its outputs are those of `module` in eval mode up to rounding; `module` stays
    unchanged. A batch norm after a linear layer is assumed to receive (N, C), not sequences of length C.
    """
    if not any(_pairs(module)):
        return module
    module = copy.deepcopy(module).eval()
    for parent, name, norm in list(_pairs(module)):
        layer = getattr(parent, name)
        setattr(parent, name, fuse_conv_bn_eval(layer, getattr(parent, norm), isinstance(layer, TRANSPOSED)))
        setattr(parent, norm, nn.Identity())
    return module


def fold_layer(module: nn.Module, name: str, weight: Tensor) -> nn.Module:
    """Returns a copy of the layer `name` with `weight` in place of its own, and with its batch norm folded into it."""
    place, _, own = name.rpartition(".")
    parent = module.get_submodule(place)
    before = getattr(parent, own)
    layer = copy.deepcopy(before, {id(before.weight): nn.Parameter(weight, requires_grad=False)})
    for holder, conv, norm in _pairs(module):
        if holder is parent and conv == own:
            return fuse_conv_bn_eval(layer, getattr(parent, norm), isinstance(layer, TRANSPOSED))
    return layer


def norms_after(module: nn.Module) -> dict[str, _BatchNorm]:
    """Layer name -> the batch norm that follows it, for the layers of `module` whose output only a batch norm reads."""
    norms = {getattr(parent, name): getattr(parent, norm) for parent, name, norm in _pairs(module)}
    return {name: norms[part] for name, part in module.named_modules() if part in norms}


def _pairs(module: nn.Module) -> Iterator[tuple[nn.Module, str, str]]:
    """Yields (parent, name of a layer in it, name of the batch norm that follows it) for all pairs in `module`."""
    for parent in module.modules():
        names = list(parent._modules)
        beside = pairwise(names) if isinstance(parent, nn.Sequential) else ()
        for name, norm in (*beside, *getattr(parent, "FOLDS", ())):
            if _foldable(getattr(parent, name), getattr(parent, norm)):
                yield parent, name, norm


def _foldable(layer: nn.Module, norm: nn.Module) -> bool:
    """Whether `norm` scales the output channels of `layer`, each by a constant.

    It does not if it keeps no running statistics. It is not folded into a transposed convolution with groups, because
    no dimension of that weight holds the output channels.
    """
    kinds = next((kinds for kind, kinds in FOLDABLE.items() if isinstance(norm, kind)), ())
    weight = layer._parameters.get("weight")
    if not isinstance(layer, kinds) or weight is None or norm.running_mean is None:
        return False
    if isinstance(layer, TRANSPOSED):
        return layer.groups == 1 and weight.shape[1] == norm.num_features
    return len(weight) == norm.num_features
