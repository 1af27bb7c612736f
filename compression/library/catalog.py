"""All networks that can be used by name: bundled, public ones that were fetched, recovered, and untrained ones."""

from dataclasses import replace
from pathlib import Path

from compression.files.stored import StoredNetwork
from compression.library.recovered import find_recovered, load_recovered, recovered_names
from compression.networks.bundled import bundled_names, load_bundled
from compression.networks.model import FloatModel
from compression.networks.public import PUBLIC, fetched_names, load_public
from compression.networks.untrained import is_untrained, load_untrained
from compression.paths import DATA
from compression.spec import CompressionSpec


def network_names(data: Path = DATA) -> list[str]:
    """Returns the names of all trained networks: bundled networks, fetched ones, then recovered ones."""
    return [*bundled_names(), *fetched_names(data), *recovered_names(data)]


def load_network(name: str, data: Path = DATA) -> FloatModel:
    """Returns the network `name`, one of `network_names` or an untrained one.

    Raises ValueError if it is unknown or not fetched; the message lists the names or gives the command that fetches it.
    Raises what `load_public` and `load_recovered` raise if its file is damaged.
    """
    if name in PUBLIC:
        return load_public(name, data)
    if name in bundled_names():
        return load_bundled(name)
    if find_recovered(name, data):
        return load_recovered(name, data)
    if is_untrained(name):
        return load_untrained(name)
    raise ValueError(
        f"there is no network {name!r}; there are {', '.join(network_names(data))}, "
        "and `python -m compression models` lists public networks to fetch"
    )


def base_word(model: FloatModel) -> str:
    """Returns what `model` before any settings is called beside the compressed one: "float" or "stored".

    It is stored if it was read from a packed file of a compressed network.
    """
    if not isinstance(model, StoredNetwork):
        return "float"
    return "float" if replace(model.spec, fold_bn=False) == CompressionSpec(model.spec.model) else "stored"
