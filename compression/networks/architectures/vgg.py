"""Plain networks of 3x3 convolutions and max-pools, Simonyan and Zisserman 2015 (arXiv:1409.1556).

With or without batch norm, like public networks for CIFAR-10. Layer names follow torchvision (`features`,
`classifier`).
"""

from itertools import pairwise

from torch import Tensor, nn

from compression.data.cifar10 import CLASSES
from compression.networks.architectures.stages import Stage, image_mean, run_stages

POOL = "pool"

Plan = tuple[int | str, ...]

PLANS: dict[str, Plan] = {  # configurations A, B, D and E of the paper's table 1
    "vgg11": (64, POOL, 128, POOL, 256, 256, POOL, 512, 512, POOL, 512, 512, POOL),
    "vgg13": (64, 64, POOL, 128, 128, POOL, 256, 256, POOL, 512, 512, POOL, 512, 512, POOL),
    "vgg16": (64, 64, POOL, 128, 128, POOL, *(256,) * 3, POOL, *(512,) * 3, POOL, *(512,) * 3, POOL),
    "vgg19": (64, 64, POOL, 128, 128, POOL, *(256,) * 4, POOL, *(512,) * 4, POOL, *(512,) * 4, POOL),
}

# The network of the laboratories of MIT's course 6.5940, TinyML and Efficient Deep Learning Computing.
LAB: Plan = (64, 128, POOL, 256, 256, POOL, 512, 512, POOL, 512, 512, POOL)

SMALL: Plan = (32, 48, POOL, 48, 96, POOL, 96, 192, POOL, 192, 384, POOL, 512)


class VGG(nn.Module):
    """(N, 3, 32, 32) images -> (N, classes) logits.

    Convolutions as in `plan`, the mean over the image, linear layers of the widths `hidden`, and one to the classes.
    `bias` gives the convolutions a bias, as in public checkpoints, although batch norm makes it superfluous. `widths`
    replace those of `plan` and `hidden`, in this order.
    """

    def __init__(
        self,
        plan: Plan,
        hidden: tuple[int, ...] = (),
        classes: int = len(CLASSES),
        bias: bool = False,
        norm: bool = True,
        widths: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__()
        if widths:
            others = iter(widths)
            plan = tuple(layer if layer == POOL else next(others) for layer in plan)
            hidden = tuple(others)
        layers: list[nn.Module] = []
        channels = 3
        for width in plan:
            if isinstance(width, str):
                layers.append(nn.MaxPool2d(2))
                continue
            layers.append(nn.Conv2d(channels, width, 3, padding=1, bias=bias))
            layers += [nn.BatchNorm2d(width)] if norm else []
            layers.append(nn.ReLU(inplace=True))
            channels = width
        self.features = nn.Sequential(*layers)
        linear = (channels, *hidden)
        between = [
            layer
            for before, after in pairwise(linear)
            for layer in (nn.Linear(before, after), nn.ReLU(inplace=True), nn.Dropout())
        ]
        self.classifier = nn.Sequential(*between, nn.Linear(linear[-1], classes))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def stages(self) -> tuple[Stage, ...]:
        return self.features, image_mean, self.classifier

    def forward(self, x: Tensor) -> Tensor:
        return run_stages(self.stages(), x)
