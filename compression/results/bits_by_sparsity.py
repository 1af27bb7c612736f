"""Bits by sparsity: what was measured of the default scheme, as a table, and where in it another spec lies."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from compression.results.pareto import Point
from compression.spec import FLOAT_BITS, CompressionSpec, PruneSpec, QuantSpec

Cell = tuple[int, float]


@dataclass(frozen=True)
class Lattice:
    """`bits`, the most first, and `sparsities`, the least first, of all that has a cell."""

    bits: tuple[int, ...]
    sparsities: tuple[float, ...]
    cells: Mapping[Cell, Point]


def cell(spec: CompressionSpec) -> Cell | None:
    """(bits, sparsity) of a spec that says no more than these; 32 bits are float. None for any other."""
    bits = spec.weights.bits if spec.weights else None
    sparsity = spec.prune.sparsity if spec.prune else 0.0
    if sparsity is None:
        return None
    plain = replace(
        CompressionSpec(spec.model),
        prune=PruneSpec(sparsity=sparsity),
        weights=None if bits is None or bits < 2 else QuantSpec(bits),
    )
    return (bits or FLOAT_BITS, sparsity) if spec == plain else None


def lattice(points: Iterable[Point]) -> Lattice:
    """Of the points of one network."""
    cells = {place: point for point in points if (place := cell(point.spec))}
    bits = sorted({bits for bits, _ in cells}, reverse=True)
    return Lattice(tuple(bits), tuple(sorted({sparsity for _, sparsity in cells})), cells)


def place(found: Lattice, spec: CompressionSpec) -> tuple[float, float] | None:
    """Where `spec` lies, counted in columns (sparsities) and rows (bits) from 0, with fractions between them.

    None for what is no cell, and beyond the ends.
    """
    at = cell(spec)
    if at is None or not found.cells:
        return None
    column, row = _between(found.sparsities, at[1]), _between([-bits for bits in found.bits], -at[0])
    return None if column is None or row is None else (column, row)


def _between(values: Sequence[float], value: float) -> float | None:
    """Where `value` lies among the rising `values`."""
    if not values[0] <= value <= values[-1]:
        return None
    below = bisect_right(values, value) - 1
    if values[below] == value:
        return float(below)
    return below + (value - values[below]) / (values[below + 1] - values[below])
