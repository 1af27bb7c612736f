"""The cliff: networks that differ in bits or in sparsity alone, compressed, recovered and trained."""

from dataclasses import replace

import plotly.graph_objects as go
import pytest

from compression.experiments.cliff import Axis, Cliff, Step, axis_of, cliff_of
from compression.results.costs import Costs
from compression.results.pareto import Point
from compression.spec import ActivationSpec, CompressionSpec, LayerSpec, PruneSpec, QuantSpec, Scope
from compression.spec.grid import GRID_BITS, GRID_SPARSITIES, RECOVERED_BITS, RECOVERED_SPARSITIES, landscape_specs
from pages.ui.charts.recover import cliff as cliff_charts

FOUR = CompressionSpec("net", weights=QuantSpec(4))
SPARSE = CompressionSpec("net", PruneSpec(sparsity=0.8))


def point(spec: CompressionSpec, correct: int = 50) -> Point:
    return Point(spec, Costs(1, 1, 4, 4, 4, 4, 4, 1, 1), correct, 100)


LANDSCAPE = [point(spec) for spec in landscape_specs("net")]


def trained(spec: CompressionSpec, correct: int) -> tuple[Point, CompressionSpec]:
    return point(CompressionSpec(f"net-{correct}"), correct), spec


def places(steps: tuple[Step, ...]) -> list[tuple[float, int]]:
    return [(step.x, step.point.correct) for step in steps]


def cliff(spec: CompressionSpec, *learned: tuple[Point, CompressionSpec]) -> Cliff:
    found = cliff_of(spec, LANDSCAPE, learned)
    assert found
    return found


def test_bits_fall_with_all_other_settings_as_they_are() -> None:
    found = cliff(FOUR)
    assert (found.axis, found.x) == (Axis.BITS, 4)
    assert [step.x for step in found.compressed] == sorted(bits for bits in GRID_BITS if bits)
    assert [step.point.spec for step in found.compressed] == [
        replace(FOUR, weights=QuantSpec(bits)) for bits in sorted(bits for bits in GRID_BITS if bits)
    ]
    assert [step.x for step in found.recovered] == sorted(RECOVERED_BITS)
    affine = cliff(replace(FOUR, weights=QuantSpec(4, "affine", "tensor")))
    assert {step.point.spec.weights.scheme for step in affine.compressed if step.point.spec.weights} == {"affine"}
    assert not affine.recovered


def test_sparsity_rises_from_the_network_that_is_not_pruned() -> None:
    found = cliff(SPARSE)
    assert (found.axis, found.x) == (Axis.SPARSITY, 0.8)
    assert [step.x for step in found.compressed] == list(GRID_SPARSITIES)
    assert found.compressed[0].point.spec == CompressionSpec("net")
    assert [step.x for step in found.recovered] == list(RECOVERED_SPARSITIES)
    with_bits = cliff(replace(SPARSE, weights=QuantSpec(8)))
    assert {step.point.spec.weights for step in with_bits.compressed} == {QuantSpec(8)}
    assert [step.x for step in with_bits.recovered] == list(RECOVERED_SPARSITIES)
    assert not cliff(replace(SPARSE, prune=PruneSpec(sparsity=0.8, scope=Scope.LAYER))).recovered


def test_settings_with_recovery_stand_on_the_same_cliff() -> None:
    assert cliff(replace(FOUR, rounding="compensated", correct_bias=True)) == cliff(FOUR)
    assert cliff(replace(SPARSE, reconstruct=True, reestimate_bn=True)) == cliff(SPARSE)


def test_trained_networks_are_those_with_the_same_settings_however_they_were_recovered() -> None:
    two = replace(FOUR, weights=QuantSpec(2))
    found = cliff(
        FOUR,
        trained(two, 80),
        trained(replace(two, rounding="compensated"), 90),
        trained(FOUR, 91),
        trained(replace(FOUR, activations=ActivationSpec(4)), 92),
        trained(replace(FOUR, layers=(LayerSpec("conv1", bits=8),)), 93),
        trained(replace(FOUR, fold_bn=True), 94),
        trained(SPARSE, 95),
    )
    assert places(found.trained) == [(2, 80), (2, 90), (4, 91)]
    assert places(found.best_trained) == [(2, 90), (4, 91)]


def test_beside_sparsity_eight_bits_count_as_float_weights_and_four_do_not() -> None:
    learned = [trained(replace(SPARSE, weights=QuantSpec(bits) if bits else None), bits) for bits in (0, 4, 8)]
    assert places(cliff(SPARSE, *learned).trained) == [(0.8, 0), (0.8, 8)]
    assert places(cliff(replace(SPARSE, weights=QuantSpec(8)), *learned).trained) == [(0.8, 0), (0.8, 8)]
    few = cliff(replace(SPARSE, weights=QuantSpec(4)), *learned)
    assert (few.axis, places(few.trained)) == (Axis.BITS, [(4, 4), (8, 8)])


@pytest.mark.parametrize(
    "spec",
    [
        CompressionSpec("net"),
        CompressionSpec("net", weights=QuantSpec(1, "binary")),
        CompressionSpec("net", weights=QuantSpec(2, "ternary")),
        CompressionSpec("net", PruneSpec(threshold=0.1)),
        CompressionSpec("net", PruneSpec(structure="n:m")),
    ],
)
def test_what_has_neither_bits_nor_a_sparsity_to_choose_has_no_cliff(spec: CompressionSpec) -> None:
    assert axis_of(spec) is None
    assert cliff_of(spec, LANDSCAPE, []) is None


def test_the_chart_has_compression_growing_to_the_right_and_every_trained_network() -> None:
    two = replace(FOUR, weights=QuantSpec(2))
    words = {"net-90": "2 bits, trained 1 epoch"}
    drawn = cliff_charts.chart(cliff(FOUR, trained(two, 80), trained(two, 90)), 0.924, words, "#555962").to_dict()
    assert len(go.Figure(drawn).data) == len(drawn["data"])
    left, right = drawn["layout"]["xaxis"]["range"]
    assert left > 8 > 2 > right
    lines = {trace["name"]: trace for trace in drawn["data"]}
    assert list(lines["float"]["y"]) == [0.924, 0.924]
    assert list(lines["trained"]["y"]) == [0.9]
    assert lines["trained"]["customdata"][0].startswith("2 bits, trained 1 epoch: 90.00")
    assert list(lines["trained, not the best"]["y"]) == [0.8]
    assert [shape["x0"] for shape in drawn["layout"]["shapes"]] == [4]
    sparse = cliff_charts.chart(cliff(SPARSE), 0.924, {}, "#555962").to_dict()
    assert sparse["layout"]["xaxis"]["range"][0] < 0 < 0.9 < sparse["layout"]["xaxis"]["range"][1]
    assert not {trace["name"] for trace in sparse["data"]} & {"trained, not the best"}
