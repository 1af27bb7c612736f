"""Results arranged by bits and sparsity, and the position of settings among them."""

import plotly.graph_objects as go
import pytest

from compression.results.bits_by_sparsity import arrange, cell_of, position_in
from compression.results.costs import Costs
from compression.results.pareto import Point
from compression.results.prune_or_quantize import best_of_each_way, group_by_way
from compression.spec import CompressionSpec, PruneSpec, QuantSpec, Scope
from compression.spec.grid import GRID_BITS, GRID_SPARSITIES, landscape_specs
from pages.ui.charts import drops, style
from pages.ui.charts.tradeoffs import equal_bytes, front, marks


def points(specs):
    return [Point(spec, Costs(1, 1, 4, 4, 4, 4, 4, 1, 1), 5, 10) for spec in specs]


def spec(bits: int | None, sparsity: float) -> CompressionSpec:
    return CompressionSpec("net", PruneSpec(sparsity=sparsity), None if bits is None else QuantSpec(bits))


def test_the_default_scheme_of_a_landscape_fills_the_map():
    table = arrange(points(landscape_specs("net")))
    assert table.bits == tuple(bits or 32 for bits in GRID_BITS)
    assert table.sparsities == GRID_SPARSITIES
    assert {at: point.spec for at, point in table.cells.items()} == {
        (bits or 32, sparsity): spec(bits, sparsity) for bits in GRID_BITS for sparsity in GRID_SPARSITIES
    }


@pytest.mark.parametrize(
    "other",
    [
        CompressionSpec("net", weights=QuantSpec(4, "affine")),
        CompressionSpec("net", weights=QuantSpec(1, "binary")),
        CompressionSpec("net", weights=QuantSpec(4, granularity="tensor")),
        CompressionSpec("net", PruneSpec(threshold=0.1)),
        CompressionSpec("net", PruneSpec(structure="n:m")),
        CompressionSpec("net", PruneSpec(sparsity=0.5, scope=Scope.LAYER)),
        CompressionSpec("net", weights=QuantSpec(4), fold_bn=True),
    ],
)
def test_a_spec_with_other_settings_has_no_cell(other):
    assert cell_of(other) is None
    assert position_in(arrange(points(landscape_specs("net"))), other) is None


@pytest.mark.parametrize(
    ("bits", "sparsity", "expected"),
    [
        (None, 0.0, (0, 0)),
        (8, 0.5, (2, 1)),
        (2, 0.9, (6, 6)),
        (7, 0.0, (0, 1.5)),
        (4, 0.4, (1.5, 4)),
        (16, 0.0, (0, 16 / 24)),
        (4, 0.95, None),
    ],
)
def test_settings_lie_on_a_cell_or_between_cells(bits, sparsity, expected):
    position = position_in(arrange(points(landscape_specs("net"))), spec(bits, sparsity))
    assert position == (expected if expected is None else pytest.approx(expected))


def test_without_points_the_table_is_empty():
    assert position_in(arrange([]), CompressionSpec("net")) is None


def test_plotly_finds_nothing_wrong_with_the_charts():
    some = points(landscape_specs("net"))
    table = arrange(some)
    ink, own, one = style.ink("light"), group_by_way(some), some[0]
    rings = dict.fromkeys(marks.RINGS, one)
    limits = front.Limits(0.4, 4)
    for drawing in (
        front.scatter(some, {"float": one}, rings, limits, 0.0, ink),
        front.scatter(some * 30, {}, {}, None, 0.0, ink),
        drops.bits_by_sparsity(table, 0.5, (1.5, 2), ink),
        equal_bytes.ways(own, best_of_each_way(some, 4), 4, ink),
    ):
        assert go.Figure(drawing.to_dict()).data
