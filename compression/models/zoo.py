"""The networks one can pick: weights trained by `compression.train`."""

import copy
import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from compression.data import write_whole
from compression.models.architectures import ARCHITECTURES
from compression.models.dialects import COUNTERS
from compression.models.normalization import NORMALIZATIONS, Normalization

ASSETS = Path(__file__).parents[1] / "assets"


@dataclass(frozen=True, eq=False)
class FloatModel:
    """An uncompressed network in eval mode, with what must be known to use it. Shared: never mutate `module`.

    `accuracy` (0..1) is the one stated by its origin, on all 10,000 test images, or None.
    """

    name: str
    module: nn.Module
    normalization: Normalization
    accuracy: float | None = None
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.module.parameters())

    @cached_property
    def digest(self) -> str:
        """SHA-256, in hex, of what its predictions come from: the weights, the layers, what quantizes their inputs, the
        normalisation.

        Not of its name nor of the layout of its weights in memory. Counters of training steps compute nothing and are
        left out: a checkpoint may have lost them. Layers count as they print.
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


def bundled() -> list[str]:
    """The names of the networks that come with the project."""
    return sorted(path.stem for path in ASSETS.glob("*.safetensors"))


def load_bundled(name: str) -> FloatModel:
    """A bundled network. Raises ValueError, with the names there are, for any other name."""
    if name not in bundled():
        raise ValueError(f"there is no network {name!r}; there are {', '.join(bundled())}")
    return load_file(ASSETS / f"{name}.safetensors")


def load_file(path: Path) -> FloatModel:
    """A network that `save` wrote. The file's header says what it is."""
    with safetensors.safe_open(path, "pt") as file:
        about = json.loads(file.metadata()["squeezelab"])
    module = ARCHITECTURES[about["arch"]].make()
    module.load_state_dict({key: value.float() for key, value in safetensors.torch.load_file(path).items()})
    return FloatModel(path.stem, frozen(module), NORMALIZATIONS[about["normalization"]], about["test_accuracy"], about)


def save(path: Path, module: nn.Module, about: dict[str, Any]) -> None:
    """Writes the weights of `module`, matrices and kernels as float16, the rest as float32, `about` in the header."""
    stored = {key: _stored(value) for key, value in module.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, safetensors.torch.save(stored, {"squeezelab": json.dumps(about, sort_keys=True)}))


def rounded(module: nn.Module) -> nn.Module:
    """A copy with the weights that the file of `save` would give back, frozen."""
    module = copy.deepcopy(module)
    module.load_state_dict({key: _stored(value).float() for key, value in module.state_dict().items()})
    return frozen(module)


def _stored(value: Tensor) -> Tensor:
    return (value.half() if value.dim() > 1 else value.float()).contiguous()


def frozen(module: nn.Module) -> nn.Module:
    """The same module, in eval mode, without gradients, its kernels in channels-last layout."""
    return module.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
