"""Untrained networks: students, which begin with random weights and learn from images and from a teacher."""

import torch

from compression.networks.architectures.table import find_architecture
from compression.networks.model import FloatModel, freeze_
from compression.networks.normalization import NORMALIZATIONS

PREFIX = "untrained:"  # no network of another kind has a colon in its name

STUDENTS = (f"{PREFIX}resnet8",)  # that are offered; `load_untrained` makes all others, too

SEED = 0


def is_untrained(name: str) -> bool:
    """Returns whether `name` is that of an untrained network."""
    return name.startswith(PREFIX)


def load_untrained(name: str) -> FloatModel:
    """Returns the network "untrained:ARCHITECTURE", such as "untrained:resnet8" or "untrained:resnet20:8,16,32".

    Its random weights are the same each time. Raises ValueError for an unknown architecture.
    """
    architecture = find_architecture(name.removeprefix(PREFIX))
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(SEED)
        module = architecture.make()
    about = {"arch": architecture.name, "origin": f"{architecture.description}, with random weights"}
    return FloatModel(name, freeze_(module), NORMALIZATIONS["cifar10"], about=about)
