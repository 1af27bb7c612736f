"""Which float network a recovered one comes from, and what was done with it on the way, in words."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from compression.library.recovered import Recovered, line_of
from compression.networks.untrained import PREFIX
from compression.spec import CompressionSpec
from compression.spec.title import title


@dataclass(frozen=True)
class Descent:
    """Of a recovered network: the float `network` that it comes from, and the steps from there in `words`.

    `spec` says how its parent, a float or a recovered network, was compressed before the last training.
    """

    network: str
    words: str
    spec: CompressionSpec


NONE: Mapping[str, Descent] = MappingProxyType({})


def descents(recovered: Iterable[Recovered]) -> dict[str, Descent]:
    """Returns the descent of each of the `recovered` networks, by name."""
    here = {each.name: each for each in recovered}
    lines = {name: line_of(name, here) for name in here}
    return {
        name: Descent(network, ", then ".join(each.steps for each in line), here[name].lineage.spec)
        for name, (network, line) in lines.items()
    }


def describe(spec: CompressionSpec, known: Mapping[str, Descent] = NONE) -> tuple[str, str]:
    """Returns the name of the float network, and what is done with it in the end: ("resnet20", "4 bits").

    If the network of `spec` is one of the `known` recovered ones, the second begins with what it is: "2 bits, trained
    12 epochs", and then what `spec` does to it, if that is anything.
    """
    descent = known.get(spec.model)
    if descent is None:
        return spec.model, title(spec)
    further = "" if spec == CompressionSpec(spec.model) else f", then {title(spec)}"
    return descent.network.removeprefix(PREFIX), f"{descent.words}{further}"
