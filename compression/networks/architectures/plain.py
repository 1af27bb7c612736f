"""Small plain networks as in many tutorials: convolutions, max-pools, two linear layers."""

from torch import Tensor, nn

from compression.data.cifar10 import CLASSES
from compression.networks.architectures.stages import Stage, run_stages


class SimpleCNN(nn.Module):
    """(N, 3, 32, 32) images -> (N, classes) logits. 268,650 weights and biases with 10 classes."""

    CHAINS = (("conv1", "conv2"), ("conv2", "fc1"), ("fc1", "fc2"))

    def __init__(self, classes: int = len(CLASSES)) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.fc1 = nn.Linear(32 * 8 * 8, 128)
        self.fc2 = nn.Linear(128, classes)
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

    def __init__(self, classes: int = len(CLASSES)) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 3, padding=1)
        self.conv2 = nn.Conv2d(32, 64, 3, padding=1)
        self.conv3 = nn.Conv2d(64, 128, 3, padding=1)
        self.fc1 = nn.Linear(128 * 4 * 4, 128)
        self.fc2 = nn.Linear(128, classes)
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
