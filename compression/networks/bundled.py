"""The bundled networks: weights in the package's assets, trained by `compression.training`."""

import copy
import json
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor, nn

from compression.networks.architectures.table import find_architecture
from compression.networks.model import FloatModel, freeze_
from compression.networks.normalization import NORMALIZATIONS
from compression.paths import ASSETS, write_whole


def bundled_names() -> list[str]:
    """Returns the names of the networks that come with the project, sorted."""
    return sorted(path.stem for path in ASSETS.glob("*.safetensors"))


def load_bundled(name: str) -> FloatModel:
    """Returns a bundled network. Raises ValueError with the list of names if there is no network `name`."""
    if name not in bundled_names():
        raise ValueError(f"there is no network {name!r}; there are {', '.join(bundled_names())}")
    return load_network_file(ASSETS / f"{name}.safetensors")


def load_network_file(path: Path) -> FloatModel:
    """Returns the network in a file that `save_network` wrote; the header names its architecture."""
    with safetensors.safe_open(path, "pt") as file:
        about = json.loads(file.metadata()["squeezelab"])
    module = find_architecture(about["arch"]).make()
    module.load_state_dict({key: value.float() for key, value in safetensors.torch.load_file(path).items()})
    return FloatModel(path.stem, freeze_(module), NORMALIZATIONS[about["normalization"]], about["test_accuracy"], about)


def save_network(path: Path, module: nn.Module, about: dict[str, Any]) -> None:
    """Writes `module` to `path`: matrices and kernels as float16, the rest as float32, and `about` in the header."""
    tensors = {key: _stored(value) for key, value in module.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, safetensors.torch.save(tensors, {"squeezelab": json.dumps(about, sort_keys=True)}))


def copy_as_stored(module: nn.Module) -> nn.Module:
    """Returns a frozen copy of `module` with its weights rounded as `save_network` stores them."""
    module = copy.deepcopy(module)
    module.load_state_dict({key: _stored(value).float() for key, value in module.state_dict().items()})
    return freeze_(module)


def _stored(value: Tensor) -> Tensor:
    return (value.half() if value.dim() > 1 else value.float()).contiguous()
