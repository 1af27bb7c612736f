"""Small plain networks as in many tutorials: convolutions, max-pools, linear layers."""

from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn

from compression.data.cifar10 import CLASSES
from compression.networks.architectures.stages import Stage, run_stages


class PlainNetwork(nn.Module):
    """(N, 3, 32, 32) images -> (N, classes) logits.

    Convolutions `conv1`, `conv2`, …, each with ReLU and a max-pool, and linear layers `fc1`, `fc2`, … with ReLU between
    them. `widths` are the channels of the convolutions and the outputs of all linear layers but the last. `kernel` and
    `padding` are those of the convolutions, and `side` is that of the image after the last max-pool.
    """

    def __init__(
        self, convolutions: int, widths: Sequence[int], classes: int, side: int, kernel: int = 3, padding: int = 1
    ) -> None:
        super().__init__()
        channels = (3, *widths[:convolutions])
        for number in range(1, len(channels)):
            conv = nn.Conv2d(channels[number - 1], channels[number], kernel, padding=padding)
            self.add_module(f"conv{number}", conv)
        features = (channels[-1] * side**2, *widths[convolutions:], classes)
        for number in range(1, len(features)):
            self.add_module(f"fc{number}", nn.Linear(features[number - 1], features[number]))
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(2)

    def stages(self) -> tuple[Stage, ...]:
        convolutions = [part for part in self.children() if isinstance(part, nn.Conv2d)]
        *linear, last = (part for part in self.children() if isinstance(part, nn.Linear))
        return *(partial(self._conv, conv) for conv in convolutions), *(partial(self._fc, fc) for fc in linear), last

    def forward(self, x: Tensor) -> Tensor:
        return run_stages(self.stages(), x)

    def _conv(self, conv: nn.Module, x: Tensor) -> Tensor:
        return self.pool(self.relu(conv(x)))

    def _fc(self, fc: nn.Module, x: Tensor) -> Tensor:
        return self.relu(fc(x.flatten(1)))


class SimpleCNN(PlainNetwork):
    """Two convolutions. 268,650 weights and biases with 10 classes."""

    CHAINS = (("conv1", "conv2"), ("conv2", "fc1"), ("fc1", "fc2"))

    def __init__(self, classes: int = len(CLASSES), widths: tuple[int, ...] = (16, 32, 128)) -> None:
        super().__init__(2, widths, classes, side=8)


class CNN3(PlainNetwork):
    """Three convolutions. 356,810 weights and biases with 10 classes."""

    CHAINS = (("conv1", "conv2"), ("conv2", "conv3"), ("conv3", "fc1"), ("fc1", "fc2"))

    def __init__(self, classes: int = len(CLASSES), widths: tuple[int, ...] = (32, 64, 128, 128)) -> None:
        super().__init__(3, widths, classes, side=4)


class LeNet(PlainNetwork):
    """LeNet-5 (LeCun et al. 1998, Proceedings of the IEEE 86) as it is taught today: colour images, ReLU and max-pools.

    62,006 weights and biases with 10 classes. The convolutional network of PyTorch's tutorial on CIFAR-10 is the same.
    """

    CHAINS = (("conv1", "conv2"), ("conv2", "fc1"), ("fc1", "fc2"), ("fc2", "fc3"))

    def __init__(self, classes: int = len(CLASSES), widths: tuple[int, ...] = (6, 16, 120, 84)) -> None:
        super().__init__(2, widths, classes, side=5, kernel=5, padding=0)
