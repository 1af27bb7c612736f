"""Input normalisations of public CIFAR-10 checkpoints. A wrong one costs up to one percentage point of accuracy."""

from dataclasses import dataclass

import torch
from torch import Tensor

RGB = tuple[float, float, float]


@dataclass(frozen=True)
class Normalization:
    """Maps pixels x in 0..255 to (x / 255 - mean) / std, with `mean` and `std` per channel."""

    name: str
    mean: RGB
    std: RGB

    def __call__(self, pixels: Tensor) -> Tensor:
        """pixels (N, 3, H, W) uint8 -> normalised float32 in channels-last layout, which convolutions run faster on.

        The operations and their order are those of torchvision's ToTensor and Normalize, so the bits are equal. The
        layout changes last, because the arithmetic takes half the time on contiguous planes.
        """
        mean = torch.tensor(self.mean, device=pixels.device).view(1, 3, 1, 1)
        std = torch.tensor(self.std, device=pixels.device).view(1, 3, 1, 1)
        x = pixels.float().div_(255).sub_(mean).div_(std)
        return x.contiguous(memory_format=torch.channels_last)


NORMALIZATIONS = {
    n.name: n
    for n in (
        Normalization("imagenet", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        Normalization("cifar10", (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
        Normalization("cifar10-small-std", (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
        Normalization("half", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        Normalization("none", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    )
}
