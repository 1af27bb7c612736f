"""Files for PyTorch: the state dict of a compressed network, and a script that compresses the network again."""

import safetensors.torch
import torch
from torch import nn

from compression.spec import CompressionSpec

SCRIPT = '''\
"""Compresses a network with Squeezelab and prints its accuracy. Put this file beside the folder `compression`."""

import compression as sq
from compression.spec.recipe import from_json

RECIPE = {recipe}

spec = from_json(RECIPE)
small = sq.compress(sq.load(spec.model), spec)
evaluation = sq.evaluate(small, sq.load_images())
print(f"{{evaluation.correct:,}} of {{evaluation.total:,}} test images correct: {{evaluation.accuracy:.2%}}")
'''


def script(spec: CompressionSpec) -> str:
    """Returns a Python program with the recipe of `spec`; `python -m compression models` must list its network."""
    return SCRIPT.format(recipe=repr(spec.to_json()))


def state_file(module: nn.Module) -> bytes:
    """Returns the state dict of `module` as safetensors, for the same architecture in PyTorch."""
    return safetensors.torch.save({name: value.contiguous() for name, value in module.state_dict().items()})


def holds(file: bytes, module: nn.Module) -> bool:
    """Returns whether `file`, read again, is the state dict of `module`, bit for bit."""
    file_state, state = safetensors.torch.load(file), module.state_dict()
    return file_state.keys() == state.keys() and all(torch.equal(file_state[name], state[name]) for name in state)
