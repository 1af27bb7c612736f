"""Which specs a sweep goes through."""

from collections.abc import Iterable, Sequence
from itertools import product

from compression.spec.compression import CompressionSpec
from compression.spec.prune import PruneSpec, Scope, Structure, structure_from
from compression.spec.quantize import AUTOMATIC_SCHEMES, Granularity, QuantSpec, Scheme

GRID_BITS = (None, 8, 6, 5, 4, 3, 2)

GRID_SPARSITIES = (0.0, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9)

TWO_OF_FOUR = "2:4"


def grid(
    model: str,
    bits: Sequence[int | None] = GRID_BITS,
    prunes: Iterable[PruneSpec | None] = (None,),
    schemes: Iterable[Scheme] = (Scheme.SYMMETRIC,),
    granularities: Iterable[Granularity] = (Granularity.CHANNEL,),
    fold_bn: bool = False,
) -> tuple[CompressionSpec, ...]:
    """Each with each, once, and the float network before all; bits None: float weights.

    A scheme that has its own number of bits comes once. Raises ValueError on what cannot be.
    """
    quants = [
        None if width is None else QuantSpec(scheme.bits[0] if len(scheme.bits) == 1 else width, scheme, granularity)
        for scheme, granularity, width in product(schemes, granularities, bits)
    ]
    found = (CompressionSpec(model, prune, quant, fold_bn=fold_bn) for quant, prune in product(quants, prunes))
    return tuple(dict.fromkeys([CompressionSpec(model), *found]))


def prune_specs(
    sparsities: Iterable[float], structures: Iterable[str] = (Structure.WEIGHT,), scope: Scope = Scope.GLOBAL
) -> tuple[PruneSpec | None, ...]:
    """Each of `structures` at each sparsity, and once what has one of its own, as "2:4"."""
    found: list[PruneSpec] = []
    for structure, pattern in map(structure_from, structures):
        if structure is Structure.N_M:
            found.append(PruneSpec(structure=structure, pattern=pattern))
        else:
            found += [PruneSpec(sparsity=each, scope=scope, structure=structure) for each in sparsities]
    return tuple(dict.fromkeys(found))


def landscape_specs(model: str) -> tuple[CompressionSpec, ...]:
    """Bits by sparsities for the default scheme, all other schemes without pruning, and 2:4."""
    specs = grid(model, GRID_BITS, prune_specs(GRID_SPARSITIES))
    specs += grid(model, GRID_BITS, schemes=AUTOMATIC_SCHEMES, granularities=(Granularity.CHANNEL, Granularity.TENSOR))
    specs += grid(model, (None, 8, 4), prune_specs((), (TWO_OF_FOUR,)))
    return tuple(dict.fromkeys(specs))
