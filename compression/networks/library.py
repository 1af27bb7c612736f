"""Every network that can be used here by name: those that come along, and public ones that were fetched."""

from pathlib import Path

from compression.networks.bundled import bundled, load_bundled
from compression.networks.model import FloatModel
from compression.networks.public import PUBLIC, fetched, load_public
from compression.paths import DATA


def names(data: Path = DATA) -> list[str]:
    """The networks that `load` takes: bundled, then fetched."""
    return [*bundled(), *fetched(data)]


def load(name: str, data: Path = DATA) -> FloatModel:
    """A network by name.

    Raises ValueError, with the names there are or the command that fetches this one, for a name that is not here,
    and what `load_public` raises for a file that is damaged.
    """
    if name in PUBLIC:
        return load_public(name, data)
    if name in bundled():
        return load_bundled(name)
    raise ValueError(
        f"there is no network {name!r}; there are {', '.join(names(data))}, "
        "and `python -m compression models` lists public ones to fetch"
    )
