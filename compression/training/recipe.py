"""Recipes of the bundled networks: how each was trained, and where a training run stands."""

import math
from dataclasses import dataclass

from compression.networks.normalization import NORMALIZATIONS


@dataclass(frozen=True)
class TrainingRecipe:
    """Hyperparameters of a training run. `max_lr` is the peak of the one-cycle schedule (Smith, arXiv:1708.07120)."""

    epochs: int
    max_lr: float
    batch_size: int = 128
    momentum: float = 0.9
    weight_decay: float = 5e-4
    warmup_fraction: float = 0.2
    label_smoothing: float = 0.05
    ema_decay: float = 0.999
    crop_pad_pixels: int = 4
    seed: int = 0
    normalization: str = "cifar10"

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1:
            raise ValueError(f"epochs and batch_size must be at least 1, got {self.epochs}, {self.batch_size}")
        if self.normalization not in NORMALIZATIONS:
            raise ValueError(f"normalization must be one of {', '.join(NORMALIZATIONS)}")

    def steps(self, images: int) -> int:
        """Optimizer steps per epoch; the last batch may be smaller."""
        return math.ceil(images / self.batch_size)


RECIPES = {
    "cnn3": TrainingRecipe(epochs=20, max_lr=0.05, seed=1),
    "mobilenetv2": TrainingRecipe(epochs=30, max_lr=0.2, weight_decay=3e-4, crop_pad_pixels=3, seed=1),
    "resnet20": TrainingRecipe(epochs=64, max_lr=0.2, seed=1),
    "simple_cnn": TrainingRecipe(epochs=30, max_lr=0.05, seed=1),
    "vgg": TrainingRecipe(epochs=26, max_lr=0.1, seed=1),
}


@dataclass(frozen=True)
class TrainingProgress:
    """Progress of a training run. Loss and accuracy (0..1) are means over the images of this epoch so far."""

    epoch: int
    epochs: int
    steps_done: int
    loss: float
    train_accuracy: float
