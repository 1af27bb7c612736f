"""Re-estimates the running statistics of batch norms after weights have changed.

Pruning and quantization shift the means and variances of a layer's outputs, while batch norm still normalises by those
of the float network. Re-estimating needs no labels, changes no weight, and recovers much of the lost accuracy. It is
an option that the user switches on, because the result then shows more than the effect of compression alone.
"""

import torch
from torch import nn

from compression.core.evidence import Sample

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def has_statistics(module: nn.Module) -> bool:
    """Whether `module` contains a batch norm that normalises by running statistics."""
    return any(isinstance(part, BATCH_NORMS) and part.track_running_stats for part in module.modules())


def reestimate_(module: nn.Module, sample: Sample) -> None:
    """Sets running means and variances of `module`, which is in eval mode, to their averages over `sample`'s batches.

    As in torch.optim.swa_utils.update_bn, each batch is normalised by its own statistics on its way through (momentum
    None gives a cumulative average; variances are unbiased), so that later layers see what earlier ones will output.
    All other modules, such as dropout, stay in eval mode.
    """
    norms = [part for part in module.modules() if isinstance(part, BATCH_NORMS) and part.track_running_stats]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    with torch.no_grad():
        for inputs, _ in sample.batches:
            module(inputs)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
