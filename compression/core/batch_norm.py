"""The statistics of batch norms, taken anew once weights have changed.

Pruning and quantizing move the means and variances of what a layer gives, and batch norm goes on normalising by those
that the float network had. Re-estimating needs no labels and changes no weight, and wins much of the loss back: a help
that the reader switches on, for it is no longer the compression alone that is looked at then.
"""

import torch
from torch import nn

from compression.core.evidence import Sample

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def has_statistics(module: nn.Module) -> bool:
    """Whether there is a batch norm that goes by what it saw in training."""
    return any(isinstance(part, BATCH_NORMS) and part.track_running_stats for part in module.modules())


def reestimate_(module: nn.Module, sample: Sample) -> None:
    """Running means and variances become the averages over the batches of `sample`; `module` is in eval mode.

    As torch.optim.swa_utils.update_bn does it: each batch is normalised by its own statistics as it goes through
    (momentum None, a cumulative average; variances without bias), so that later layers see what earlier ones will
    give. All else, dropout among it, stays in eval mode.
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
