"""Untrained networks for tests, with the same weights in each run, and the file formats that they are saved in."""

import copy
import io
from collections.abc import Callable
from functools import lru_cache

import safetensors.torch
import torch
from torch import Tensor, nn

from compression.networks.architectures.table import ARCHITECTURES

Tensors = dict[str, Tensor]


def randomize_norms(module: nn.Module) -> nn.Module:
    """Returns `module` in eval mode, with batch norms that are not the identity."""
    generator = torch.Generator().manual_seed(0)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            for tensor in (part.weight.data, part.bias.data, part.running_mean, part.running_var):
                assert tensor is not None
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    return module.eval()


@lru_cache(maxsize=8)
def cached_network(arch: str) -> nn.Module:
    """Returns an untrained network that all tests share."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return randomize_norms(ARCHITECTURES[arch].make()).requires_grad_(False)


def network(arch: str) -> nn.Module:
    """Returns a new copy of an untrained network, so that changes to it do not affect other tests."""
    return copy.deepcopy(cached_network(arch))


def tensors(arch: str) -> Tensors:
    return dict(network(arch).state_dict())


def images(n: int = 2) -> Tensor:
    return torch.randn(n, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def save(content: object, new: bool = True) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=new)
    return file.getvalue()


KINDS: dict[str, Callable[[Tensors], bytes]] = {
    "zip": lambda content: save(content),
    "old": lambda content: save(content, new=False),
    "safe": lambda content: safetensors.torch.save(content),
}
