"""How sure two networks are of their predictions of single images."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from compression.networks.normalization import Normalization


@dataclass(frozen=True)
class Answer:
    """The prediction of a network for one image: the number of a class, and its probability (0..1, by softmax)."""

    label: int
    probability: float


def probabilities(module: nn.Module, pixels: Tensor, normalize: Normalization) -> Tensor:
    """pixels (N, 3, H, W) uint8 -> probabilities (N, classes) float32 that `module` gives, by softmax."""
    with torch.inference_mode():
        return module(normalize(pixels)).float().softmax(1)


def answers(module: nn.Module, pixels: Tensor, normalize: Normalization) -> tuple[Answer, ...]:
    """Returns the prediction of `module` for each image of pixels (N, 3, H, W) uint8."""
    best = probabilities(module, pixels, normalize).max(1)
    return tuple(map(Answer, best.indices.tolist(), best.values.tolist()))


def top(probability: Sequence[float], count: int) -> tuple[Answer, ...]:
    """Returns the `count` most probable classes of an image, the most probable first."""
    order = sorted(range(len(probability)), key=lambda label: -probability[label])
    return tuple(Answer(label, probability[label]) for label in order[:count])
