"""Networks that were recovered by training: a packed file NAME.safetensors and its lineage, NAME.lineage.json.

Those that come with the project lie in its assets, the others in the folder of data. A network without a lineage that
can be read is not listed.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from compression.data.fetching import stamp
from compression.errors import CheckpointError
from compression.files.exported import load_exported
from compression.files.stored import StoredNetwork
from compression.networks.bundled import bundled_names
from compression.networks.public import PUBLIC
from compression.networks.untrained import PREFIX, is_untrained
from compression.paths import ASSETS, DATA, write_whole
from compression.retraining.lineage import Lineage, lineage_from_json
from compression.spec.title import title

GALLERY = ASSETS / "recovered"

PACKED, LINEAGE = ".safetensors", ".lineage.json"

MOST_CHARACTERS = 100  # of a name, which becomes a file's

DIGITS = 6  # of the digest of its file, at the end of a name


@dataclass(frozen=True)
class Recovered:
    """A recovered network that is here: its `name`, its `lineage`, its packed file, and the size of that."""

    name: str
    lineage: Lineage
    path: Path
    nbytes: int
    is_bundled: bool

    @property
    def steps(self) -> str:
        """What was done with its parent: "2 bits, trained 1 epoch"."""
        return self._steps(" from random weights" if is_untrained(self.lineage.parent) else "")

    def title(self, here: Mapping[str, "Recovered"]) -> str:
        """Returns what it is: "resnet20: 2 bits, trained 1 epoch".

        If it comes from another of the recovered networks `here`, by their names, it is "trained 1 epoch from 3fa2c1".
        """
        parent = self.lineage.parent
        steps = self._steps(f" from {parent[-DIGITS:]}") if parent in here else self.steps
        return f"{line_of(self.name, here)[0].removeprefix(PREFIX)}: {steps}"

    def _steps(self, start: str) -> str:
        lineage = self.lineage
        others = f", distilled from {lineage.teacher}" if lineage.teacher not in (None, lineage.parent) else ""
        return f"{title(lineage.spec)}, trained {epochs_in_words(lineage.epochs)}{start}{others}"


def epochs_in_words(epochs: float) -> str:
    """Returns "1 epoch", "0.25 epochs", "12 epochs"."""
    number = f"{epochs:.2g}" if epochs < 10 else f"{epochs:.0f}"
    return f"{number} epoch{'' if number == '1' else 's'}"


def folder_of(data: Path = DATA) -> Path:
    """Returns the folder of recovered networks of this machine."""
    return data / "recovered"


def all_recovered(data: Path = DATA) -> list[Recovered]:
    """Returns all recovered networks, sorted by name, those that come with the project first.

    A name that another network has already is not listed a second time.
    """
    taken = {*bundled_names(), *PUBLIC}
    here: list[Recovered] = []
    for folder in (GALLERY, folder_of(data)):
        for each in _in_folder(folder):
            if each.name not in taken:
                taken.add(each.name)
                here.append(each)
    return here


def by_name(data: Path = DATA) -> dict[str, Recovered]:
    """Returns all recovered networks by their names."""
    return {each.name: each for each in all_recovered(data)}


def recovered_names(data: Path = DATA) -> list[str]:
    """Returns the names of all recovered networks."""
    return [each.name for each in all_recovered(data)]


def gallery_names() -> list[str]:
    """Returns the names of the recovered networks that come with the project."""
    return [each.name for each in _in_folder(GALLERY)]


def find_recovered(name: str, data: Path = DATA) -> Recovered | None:
    """Returns the recovered network called `name`, or None."""
    return by_name(data).get(name)


def load_recovered(name: str, data: Path = DATA) -> StoredNetwork:
    """Returns the recovered network called `name`, with the accuracy of its lineage.

    Raises ValueError if there is none, CheckpointError if its file is damaged or cannot be read.
    """
    here = by_name(data)
    each = here.get(name)
    if each is None:
        raise ValueError(f"there is no recovered network {name!r}")
    try:
        model = load_exported(each.path.read_bytes(), each.path.name, name)
    except OSError as error:
        raise CheckpointError(f"{each.path} cannot be read: {error.strerror}") from error
    about = model.about | {"origin": f"recovered from {each.title(here)}"}
    return replace(model, accuracy=each.lineage.accuracy, about=about)


def save_recovered(name: str, content: bytes, lineage: Lineage, data: Path = DATA) -> Path:
    """Writes a packed file and its lineage; returns the path of the packed file. Raises OSError."""
    path = folder_of(data) / f"{name}{PACKED}"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, content)
    write_whole(path.with_name(f"{name}{LINEAGE}"), lineage.to_json().encode())
    return path


def remember_accuracy(name: str, accuracy: float, data: Path = DATA) -> None:
    """Notes the accuracy (0..1) on all test images in the lineage of a network of this machine. Raises OSError."""
    each = find_recovered(name, data)
    if each and not each.is_bundled and each.lineage.accuracy != accuracy:
        lineage = replace(each.lineage, accuracy=accuracy)
        write_whole(each.path.with_name(f"{name}{LINEAGE}"), lineage.to_json().encode())


def delete_recovered(name: str, data: Path = DATA) -> None:
    """Deletes a recovered network of this machine; those that come with the project stay. Raises OSError."""
    for suffix in (LINEAGE, PACKED):
        (folder_of(data) / f"{name}{suffix}").unlink(missing_ok=True)


def name_of(ancestor: str, lineage: Lineage, content: bytes) -> str:
    """Returns the name of the recovered network with this packed file, such as "resnet20-2-bits-1-epoch-3fa2c1".

    `ancestor`: the float network that it comes from. The name has letters, digits and hyphens alone, so that it
    can stand in links, commands and names of files. Another file has another name, also after the network was deleted,
    so that a link never leads to another network.
    """
    words = f"{ancestor.removeprefix(PREFIX)} {title(lineage.spec)} {epochs_in_words(lineage.epochs)}"
    name = re.sub(r"[^A-Za-z0-9_]+", "-", words).strip("-")[:MOST_CHARACTERS]
    return f"{name}-{hashlib.sha256(content).hexdigest()[:DIGITS]}"


def ancestor(name: str, data: Path = DATA) -> str:
    """Returns the name of the float network that the network `name` comes from; it itself if it is one."""
    return line_of(name, by_name(data))[0]


def line_of(name: str, here: Mapping[str, Recovered]) -> tuple[str, list[Recovered]]:
    """Returns the float network that the network `name` comes from, and the recovered ones of `here` from there to it.

    Lineages that lead in a circle, as only damaged files can, end anywhere in it.
    """
    line: list[Recovered] = []
    while name in here and here[name] not in line:
        line.insert(0, here[name])
        name = here[name].lineage.parent
    return name, line


def _in_folder(folder: Path) -> Iterator[Recovered]:
    for path in sorted(folder.glob(f"*{LINEAGE}")):
        name = path.name.removesuffix(LINEAGE)
        packed = folder / f"{name}{PACKED}"
        written, of_file = stamp(path), stamp(packed)
        lineage = _lineage(path, written) if written and of_file else None
        if lineage:
            yield Recovered(name, lineage, packed, packed.stat().st_size, folder == GALLERY)


@lru_cache(maxsize=1024)
def _lineage(path: Path, written: tuple[int, int, int]) -> Lineage | None:
    """Returns the lineage in a file with the stamp `written`, or None if it cannot be read."""
    try:
        return lineage_from_json(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
