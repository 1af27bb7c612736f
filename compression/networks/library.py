"""Every network that can be used here by name: those that come along, and public ones that were fetched."""

from pathlib import Path

from compression.networks.bundled import bundled_names, load_bundled
from compression.networks.model import FloatModel
from compression.networks.public import PUBLIC, fetched_names, load_public
from compression.paths import DATA


def network_names(data: Path = DATA) -> list[str]:
    """The networks that `load` takes: bundled, then fetched."""
    return [*bundled_names(), *fetched_names(data)]


def load_network(name: str, data: Path = DATA) -> FloatModel:
    """A network by name.

    Raises ValueError, with the names there are or the command that fetches this one, for a name that is not here,
    and what `load_public` raises for a file that is damaged.
    """
    if name in PUBLIC:
        return load_public(name, data)
    if name in bundled_names():
        return load_bundled(name)
    raise ValueError(
        f"there is no network {name!r}; there are {', '.join(network_names(data))}, "
        "and `python -m compression models` lists public ones to fetch"
    )
