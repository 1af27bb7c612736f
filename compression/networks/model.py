"""An uncompressed network with all that is needed to use it."""

import hashlib
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from compression.cached_property import cached_property
from compression.data.cifar10 import CLASSES, SHAPE
from compression.data.split import Shape
from compression.networks.checkpoints.names import COUNTERS
from compression.networks.normalization import Normalization


@dataclass(frozen=True, eq=False)
class FloatModel:
    """An uncompressed network in eval mode and what is needed to use it. It is shared, so `module` must not be mutated.

    `accuracy` (0..1) is the one stated by its origin, on all test images, or None. `input_shape` is (channels, height,
    width) of an image.
    """

    name: str
    module: nn.Module
    normalization: Normalization
    accuracy: float | None = None
    about: dict[str, Any] = field(default_factory=dict)
    input_shape: Shape = SHAPE
    classes: tuple[str, ...] = CLASSES

    @property
    def example(self) -> Tensor:
        """An input (1, channels, height, width) of zeros, to trace the network or to count its operations."""
        return torch.zeros(1, *self.input_shape)

    @property
    def parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.module.parameters())

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of all that decides its predictions: weights, layers, input quantizers and normalisation.

        Layers are hashed as they print. Its name and the memory layout of its weights do not count, nor do counters of
        training steps, which a checkpoint may lack and which no computation uses.
        """
        digest = hashlib.sha256(repr((self.module, self.normalization.mean, self.normalization.std)).encode())
        for name, value in self.module.state_dict().items():
            if name.rsplit(".", 1)[-1] not in COUNTERS:
                digest.update(repr((name, value.dtype, tuple(value.shape))).encode())
                digest.update(value.cpu().contiguous().flatten().view(torch.uint8).numpy())
        for name, part in self.module.named_modules():
            for hook in part._forward_pre_hooks.values():
                digest.update(repr((name, hook)).encode())
        return digest.hexdigest()


def freeze_(module: nn.Module) -> nn.Module:
    """Returns `module` itself, now in eval mode, without gradients, and with its kernels in channels-last layout."""
    return module.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def contiguous_(module: nn.Module) -> nn.Module:
    """Returns `module` itself, now with its kernels in the layout that other libraries expect.

    torch.nn.utils.prune cannot view kernels in channels-last layout as one row.
    """
    return module.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]


def with_contiguous_weights(model: FloatModel) -> FloatModel:
    """Returns `model` itself, which nobody else has yet, with contiguous weights."""
    contiguous_(model.module)
    return model
