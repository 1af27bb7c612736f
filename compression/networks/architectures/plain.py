"""Small plain networks as in many tutorials: convolutions, max-pools, linear layers."""

from torch import Tensor, nn

from compression.data.cifar10 import CLASSES
from compression.networks.architectures.stages import Stage, run_stages


class SimpleCNN(nn.Module):
    """(N, 3, 32, 32) images -> (N, classes) logits. 268,650 weights and biases with 10 classes."""

    CHAINS = (("conv1", "conv2"), ("conv2", "fc1"), ("fc1", "fc2"))

    def __init__(self, classes: int = len(CLASSES), widths: tuple[int, ...] = (16, 32, 128)) -> None:
        super().__init__()
        conv1, conv2, fc1 = widths
        self.conv1 = nn.Conv2d(3, conv1, 3, padding=1)
        self.conv2 = nn.Conv2d(conv1, conv2, 3, padding=1)
        self.fc1 = nn.Linear(conv2 * 8 * 8, fc1)
        self.fc2 = nn.Linear(fc1, classes)
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(2)

    def stages(self) -> tuple[Stage, ...]:
        return (
            lambda x: self.pool(self.relu(self.conv1(x))),
            lambda x: self.pool(self.relu(self.conv2(x))),
            lambda x: self.relu(self.fc1(x.flatten(1))),
            self.fc2,
        )

    def forward(self, x: Tensor) -> Tensor:
        return run_stages(self.stages(), x)


class CNN3(nn.Module):
    """(N, 3, 32, 32) images -> (N, classes) logits. 356,810 weights and biases with 10 classes."""

    CHAINS = (("conv1", "conv2"), ("conv2", "conv3"), ("conv3", "fc1"), ("fc1", "fc2"))

    def __init__(self, classes: int = len(CLASSES), widths: tuple[int, ...] = (32, 64, 128, 128)) -> None:
        super().__init__()
        conv1, conv2, conv3, fc1 = widths
        self.conv1 = nn.Conv2d(3, conv1, 3, padding=1)
        self.conv2 = nn.Conv2d(conv1, conv2, 3, padding=1)
        self.conv3 = nn.Conv2d(conv2, conv3, 3, padding=1)
        self.fc1 = nn.Linear(conv3 * 4 * 4, fc1)
        self.fc2 = nn.Linear(fc1, classes)
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(2)

    def stages(self) -> tuple[Stage, ...]:
        return (
            lambda x: self.pool(self.relu(self.conv1(x))),
            lambda x: self.pool(self.relu(self.conv2(x))),
            lambda x: self.pool(self.relu(self.conv3(x))),
            lambda x: self.relu(self.fc1(x.flatten(1))),
            self.fc2,
        )

    def forward(self, x: Tensor) -> Tensor:
        return run_stages(self.stages(), x)


class LeNet(nn.Module):
    """(N, 3, 32, 32) images -> (N, classes) logits. 62,006 weights and biases with 10 classes.

    LeNet-5 (LeCun et al. 1998, Proceedings of the IEEE 86) as it is taught today: colour images, ReLU and max-pools.
    The convolutional network of PyTorch's tutorial on CIFAR-10 is the same.
    """

    CHAINS = (("conv1", "conv2"), ("conv2", "fc1"), ("fc1", "fc2"), ("fc2", "fc3"))

    def __init__(self, classes: int = len(CLASSES), widths: tuple[int, ...] = (6, 16, 120, 84)) -> None:
        super().__init__()
        conv1, conv2, fc1, fc2 = widths
        self.conv1 = nn.Conv2d(3, conv1, 5)
        self.conv2 = nn.Conv2d(conv1, conv2, 5)
        self.fc1 = nn.Linear(conv2 * 5 * 5, fc1)
        self.fc2 = nn.Linear(fc1, fc2)
        self.fc3 = nn.Linear(fc2, classes)
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(2)

    def stages(self) -> tuple[Stage, ...]:
        return (
            lambda x: self.pool(self.relu(self.conv1(x))),
            lambda x: self.pool(self.relu(self.conv2(x))),
            lambda x: self.relu(self.fc1(x.flatten(1))),
            lambda x: self.relu(self.fc2(x)),
            self.fc3,
        )

    def forward(self, x: Tensor) -> Tensor:
        return run_stages(self.stages(), x)
