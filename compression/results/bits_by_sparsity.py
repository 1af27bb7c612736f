"""Results of the default scheme arranged by bits and sparsity, and the position of any other spec among them."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from compression.results.pareto import Point
from compression.spec import FLOAT_BITS, CompressionSpec, PruneSpec, QuantSpec

Cell = tuple[int, float]


@dataclass(frozen=True)
class BitsBySparsity:
    """The points of one network by (bits, sparsity). Not every cell has a point.

    `bits` (descending) and `sparsities` (ascending) are those of all cells that have a point.
    """

    bits: tuple[int, ...]
    sparsities: tuple[float, ...]
    cells: Mapping[Cell, Point]


def cell_of(spec: CompressionSpec) -> Cell | None:
    """Returns the (bits, sparsity) of a spec that sets nothing else, 32 bits for float; None for any other spec."""
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


def arrange(points: Iterable[Point]) -> BitsBySparsity:
    """Arranges those `points` of one network that have a cell."""
    cells = {cell: point for point in points if (cell := cell_of(point.spec))}
    bits = sorted({bits for bits, _ in cells}, reverse=True)
    return BitsBySparsity(tuple(bits), tuple(sorted({sparsity for _, sparsity in cells})), cells)


def position_in(table: BitsBySparsity, spec: CompressionSpec) -> tuple[float, float] | None:
    """Returns (column, row) of `spec`: sparsities are columns, bits are rows, both count from 0.

    A spec between two columns or rows has a fraction. None if the spec has no cell or lies outside the table.
    """
    cell = cell_of(spec)
    if cell is None or not table.cells:
        return None
    bits, sparsity = cell
    column, row = _position(table.sparsities, sparsity), _position([-each for each in table.bits], -bits)
    return None if column is None or row is None else (column, row)


def _position(values: Sequence[float], value: float) -> float | None:
    """Returns the index of `value` among ascending `values`, with a fraction between two; None outside of them."""
    if not values[0] <= value <= values[-1]:
        return None
    below = bisect_right(values, value) - 1
    if values[below] == value:
        return float(below)
    return below + (value - values[below]) / (values[below + 1] - values[below])
