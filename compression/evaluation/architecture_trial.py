"""Chooses between two architectures that have the same tensors, by the loss of each on a few images.

The tensors of a ResNet-18 do not tell whether a max-pool follows its first convolution: it has none. With the wrong one
the network computes something else, and its loss is far higher.
"""

import torch
import torch.nn.functional as F

from compression.data.images import ImageSet
from compression.networks.checkpoints.recognition import Recognition, as_twin
from compression.networks.normalization import NORMALIZATIONS

IMAGES = 200

NORMALIZATION = "cifar10"  # near enough to any other for differences as large as these


def choose_twin(recognised: Recognition, images: ImageSet) -> Recognition:
    """Returns the network recognised, or its twin if the first of `images` have a lower loss with that."""
    if not recognised.architecture.twin:
        return recognised
    twin = as_twin(recognised)
    loss, other = (_loss(each, images[:IMAGES]) for each in (recognised, twin))
    best, worse = (twin, recognised) if other < loss else (recognised, twin)
    losses = f"the loss on {len(images[:IMAGES])} images is {min(loss, other):.2f}, and {max(loss, other):.2f}"
    return best.with_note(f"{losses} as {worse.architecture.name}, which has the same tensors")


def _loss(recognised: Recognition, images: ImageSet) -> float:
    with torch.inference_mode():
        logits = recognised.module(NORMALIZATIONS[NORMALIZATION](images.pixels))
    return float(F.cross_entropy(logits, images.labels).nan_to_num(torch.inf))
