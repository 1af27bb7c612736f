"""Batch norm folded into the convolution before it: the same function in less time.

In eval mode a batch norm is a scale and a shift of each channel, and the convolution before it can do both:
w' = w * gamma / sqrt(var + eps), b' = beta + (b - mean) * gamma / sqrt(var + eps)
(Jacob et al. 2018, arXiv:1712.05877, section 3.2).

Which batch norm follows which convolution is said by the classes themselves, in FOLDS, and by the order of an
nn.Sequential. (torch.fx would find out by tracing; but while it traces it patches nn.Module for all threads.)
"""

import copy
from collections.abc import Iterator
from itertools import pairwise

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def folded(module: nn.Module) -> nn.Module:
    """A copy in which batch norms that follow a convolution are gone, or `module` itself where there are none.

    `module` is in eval mode and stays as it is. Outputs differ by rounding alone.
    """
    if not any(_pairs(module)):
        return module
    module = copy.deepcopy(module)
    for parent, conv, norm in list(_pairs(module)):
        setattr(parent, conv, fuse_conv_bn_eval(getattr(parent, conv), getattr(parent, norm)))
        setattr(parent, norm, nn.Identity())
    return module


def _pairs(module: nn.Module) -> Iterator[tuple[nn.Module, str, str]]:
    """(parent, name of a convolution, name of the batch norm that alone reads it), all over `module`."""
    for parent in module.modules():
        names = list(parent._modules)
        beside = pairwise(names) if isinstance(parent, nn.Sequential) else ()
        for conv, norm in (*beside, *getattr(parent, "FOLDS", ())):
            if isinstance(getattr(parent, conv), nn.Conv2d) and isinstance(getattr(parent, norm), nn.BatchNorm2d):
                yield parent, conv, norm
