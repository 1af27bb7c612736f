"""Batch norm folded into the layer before it: the same function in less time.

In eval mode a batch norm is a scale and a shift of each channel, and the convolution before it can do both:
w' = w * gamma / sqrt(var + eps), b' = beta + (b - mean) * gamma / sqrt(var + eps)
(Jacob et al. 2018, arXiv:1712.05877, section 3.2). So can a linear layer.

Which batch norm follows which layer is said by the classes themselves, in FOLDS, and by the order of an
nn.Sequential. (torch.fx would find out by tracing; but while it traces it patches nn.Module for all threads.)
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
    """A copy in which batch norms that follow a convolution or a linear layer are gone, or `module` itself where there
    are none. The copy is in eval mode; `module` stays as it is. Outputs are those of eval mode but for rounding.

    A batch norm after a linear layer is taken to see (N, C), not sequences that happen to be C long.
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
    """The layer `name` as it would be in `folded(module)`, had it `weight`, in a copy of its own."""
    place, _, own = name.rpartition(".")
    parent = module.get_submodule(place)
    before = getattr(parent, own)
    layer = copy.deepcopy(before, {id(before.weight): nn.Parameter(weight, requires_grad=False)})
    for holder, conv, norm in _pairs(module):
        if holder is parent and conv == own:
            return fuse_conv_bn_eval(layer, getattr(parent, norm), isinstance(layer, TRANSPOSED))
    return layer


def norms_after(module: nn.Module) -> dict[str, _BatchNorm]:
    """The name of a layer -> the batch norm that alone reads it, for all of `module` that have one."""
    norms = {getattr(parent, name): getattr(parent, norm) for parent, name, norm in _pairs(module)}
    return {name: norms[part] for name, part in module.named_modules() if part in norms}


def _pairs(module: nn.Module) -> Iterator[tuple[nn.Module, str, str]]:
    """(parent, name of a layer, name of the batch norm that alone reads it), all over `module`."""
    for parent in module.modules():
        names = list(parent._modules)
        beside = pairwise(names) if isinstance(parent, nn.Sequential) else ()
        for name, norm in (*beside, *getattr(parent, "FOLDS", ())):
            if _foldable(getattr(parent, name), getattr(parent, norm)):
                yield parent, name, norm


def _foldable(layer: nn.Module, norm: nn.Module) -> bool:
    """Whether `norm` scales the output channels of `layer`, each by a constant.

    It does not where it keeps no statistics. In a transposed convolution with groups the output channels are no
    dimension of the weight, and it stays.
    """
    kinds = next((kinds for kind, kinds in FOLDABLE.items() if isinstance(norm, kind)), ())
    weight = layer._parameters.get("weight")
    if not isinstance(layer, kinds) or weight is None or norm.running_mean is None:
        return False
    if isinstance(layer, TRANSPOSED):
        return layer.groups == 1 and weight.shape[1] == norm.num_features
    return len(weight) == norm.num_features
