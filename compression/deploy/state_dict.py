"""deploy/state_dict.py"""

import safetensors.torch
import torch
from torch import nn


def state_file(module: nn.Module) -> bytes:
    """The state dict of `module` as safetensors, for who has the same architecture in PyTorch."""
    return safetensors.torch.save({name: value.contiguous() for name, value in module.state_dict().items()})


def holds(file: bytes, module: nn.Module) -> bool:
    """Whether `file`, read anew, is the state dict of `module`, bit for bit."""
    found, state = safetensors.torch.load(file), module.state_dict()
    return found.keys() == state.keys() and all(torch.equal(found[name], state[name]) for name in state)
