"""The loss of a training step: that of the labels, of a teacher's outputs, and of the bits of the codes."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from compression.networks.model import FloatModel
from compression.retraining.latent import Latent
from compression.retraining.recipe import Precision, Recipe


def loss_of(
    latent: Latent, model: FloatModel, teacher: FloatModel | None, recipe: Recipe, pixels: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor]:
    """Returns the loss () of the network `latent`, compressed from `model`, and the cross-entropy () alone.

    The loss is the cross-entropy or, with a `teacher`, its mean with the divergence from the teacher's outputs. The
    recipe's penalty on the bits of the codes is added. `pixels` (N, C, H, W) are 0..1, and `labels` (N,).
    Source: Hinton et al. 2015 (arXiv:1503.02531), section 2; the divergence is multiplied by temperature^2.
    """
    logits = _outputs(latent, model.normalization(pixels), recipe.precision)
    entropy = F.cross_entropy(logits, labels)
    bits = recipe.bit_penalty * latent.mean_bits() if recipe.bit_penalty else 0.0
    if teacher is None:
        return entropy + bits, entropy
    with torch.no_grad():
        outputs_of_teacher = _outputs(teacher.module, teacher.normalization(pixels), recipe.precision)
        targets = (outputs_of_teacher / recipe.temperature).log_softmax(1)
    outputs = (logits / recipe.temperature).log_softmax(1)
    divergence = F.kl_div(outputs, targets, reduction="batchmean", log_target=True) * recipe.temperature**2
    return (1 - recipe.distillation) * entropy + recipe.distillation * divergence + bits, entropy


def _outputs(network: Callable[[Tensor], Tensor], inputs: Tensor, precision: Precision) -> Tensor:
    """Returns the outputs (N, classes) as float32, computed in `precision`."""
    with autocast(precision, inputs.device.type):
        return network(inputs).float()


def autocast(precision: Precision, device: str = "cpu") -> torch.autocast:
    """Returns the context in which a network computes in `precision`."""
    return torch.autocast(device, torch.bfloat16, enabled=precision is Precision.BFLOAT16)
