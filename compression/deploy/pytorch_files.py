"""Files for PyTorch: the state dict of a compressed network, and a script that makes the network again."""

import safetensors.torch
import torch
from torch import nn

from compression.spec import CompressionSpec

SCRIPT = '''\
"""Makes a network again with Squeezelab and prints its accuracy. Put this file beside the folder `compression`."""

from compression.core.compress import compress
from compression.core.training_evidence import evidence_for
from compression.data.images import load as load_images
from compression.evaluation.evaluation import evaluate
from compression.networks.library import load as load_network
from compression.spec.recipe import from_json

RECIPE = {recipe}

spec = from_json(RECIPE)
model = load_network(spec.model)
compressed = compress(model.module, spec, evidence_for(model, spec))
evaluation = evaluate(compressed.module, load_images(), model.normalization)
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
    stored, state = safetensors.torch.load(file), module.state_dict()
    return stored.keys() == state.keys() and all(torch.equal(stored[name], state[name]) for name in state)
