"""Sets of specs that a sweep evaluates."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from types import MappingProxyType
from typing import Any

from compression.spec.compression import CompressionSpec
from compression.spec.prune import PruneSpec, Scope, Structure, structure_from
from compression.spec.quantize import AUTOMATIC_SCHEMES, Granularity, QuantSpec, Scheme
from compression.spec.rounding import Rounding
from compression.spec.vectors import VectorFormat

GRID_BITS = (None, 8, 6, 5, 4, 3, 2)

GRID_SPARSITIES = (0.0, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9)

TWO_OF_FOUR = "2:4"

RECOVERED_BITS = (4, 3, 2)

RECOVERED_SPARSITIES = (0.6, 0.7, 0.8, 0.9)

# The steps of recovery that the landscape measures, which `benchmarks.accuracy.recover` measures too.
ROUNDED: Mapping[str, Any] = MappingProxyType({"rounding": Rounding.COMPENSATED, "correct_bias": True})

PRUNED: Mapping[str, Any] = MappingProxyType({"reconstruct": True, "repair_activations": True})

RATE_PENALTIES = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0)


def grid(
    model: str,
    bits: Sequence[int | None] = GRID_BITS,
    prunes: Iterable[PruneSpec | None] = (None,),
    schemes: Iterable[Scheme] = (Scheme.SYMMETRIC,),
    granularities: Iterable[Granularity] = (Granularity.CHANNEL,),
    fold_bn: bool = False,
) -> tuple[CompressionSpec, ...]:
    """Returns all combinations of the arguments, each once, after the float network. In `bits`, None is float weights.

    A scheme with a fixed number of bits occurs once. Raises ValueError for combinations that are not supported.
    """
    quants = [
        None if width is None else QuantSpec(scheme.bits[0] if len(scheme.bits) == 1 else width, scheme, granularity)
        for scheme, granularity, width in product(schemes, granularities, bits)
    ]
    specs = (CompressionSpec(model, prune, quant, fold_bn=fold_bn) for quant, prune in product(quants, prunes))
    return tuple(dict.fromkeys([CompressionSpec(model), *specs]))


def prune_specs(
    sparsities: Iterable[float], structures: Iterable[str] = (Structure.WEIGHT,), scope: Scope = Scope.GLOBAL
) -> tuple[PruneSpec | None, ...]:
    """Returns each of `structures` at each sparsity. A structure that sets its own sparsity, as "2:4", occurs once."""
    specs: list[PruneSpec] = []
    for structure, pattern in map(structure_from, structures):
        if structure is Structure.N_M:
            specs.append(PruneSpec(structure=structure, pattern=pattern))
        else:
            specs += [PruneSpec(sparsity=each, scope=scope, structure=structure) for each in sparsities]
    return tuple(dict.fromkeys(specs))


def landscape_specs(model: str) -> tuple[CompressionSpec, ...]:
    """Returns the specs of the committed landscape.

    All bit widths by all sparsities for the default scheme, the other schemes without pruning, and 2:4. At the end
    those with recovery: of the default scheme in `recovered_specs`, and the smallest files in `rate_aware_specs`.
    """
    specs = grid(model, GRID_BITS, prune_specs(GRID_SPARSITIES))
    specs += grid(model, GRID_BITS, schemes=AUTOMATIC_SCHEMES, granularities=(Granularity.CHANNEL, Granularity.TENSOR))
    specs += grid(model, (None, 8, 4), prune_specs((), (TWO_OF_FOUR,)))
    return tuple(dict.fromkeys(specs + recovered_specs(model) + rate_aware_specs(model)))


def recovered_specs(model: str) -> tuple[CompressionSpec, ...]:
    """Returns few bits with compensated rounding and corrected biases, and pruning with survivors moved.

    `without_recovery` of each is in the landscape too.
    """
    rounded = (CompressionSpec(model, weights=QuantSpec(bits)) for bits in RECOVERED_BITS)
    pruned = (CompressionSpec(model, PruneSpec(sparsity=share)) for share in RECOVERED_SPARSITIES)
    return (*(replace(spec, **ROUNDED) for spec in rounded), *(replace(spec, **PRUNED) for spec in pruned))


def rate_aware_specs(model: str) -> tuple[CompressionSpec, ...]:
    """Returns `rate_aware_spec` at each of RATE_PENALTIES."""
    return tuple(replace(rate_aware_spec(model), rate_penalty=penalty) for penalty in RATE_PENALTIES)


def rate_aware_spec(model: str) -> CompressionSpec:
    """Returns rate-aware rounding at the default rate penalty, with the other settings that make the file small."""
    return CompressionSpec(
        model,
        weights=QuantSpec(8, granularity=Granularity.TENSOR),
        fold_bn=True,
        rounding=Rounding.RATE_AWARE,
        correct_bias=True,
        vector_format=VectorFormat.INT8,
    )
