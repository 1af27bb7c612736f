"""What others have published for CIFAR-10: the size of a file and its accuracy, as they report it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """A published result, which nothing here has measured. `accuracy` (0..1) is of the 10,000 test images."""

    method: str
    network: str
    file_bytes: int
    accuracy: float
    source: str


PUBLISHED = (
    Published("LilNetX", "ResNet-20", 66_000, 0.915, "Girish et al. 2022, arXiv:2204.02965"),
    Published("MIRACLE", "VGG-16", 168_000, 0.900, "Havasi et al. 2018, arXiv:1810.00440"),
)
