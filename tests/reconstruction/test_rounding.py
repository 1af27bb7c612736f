"""Rounding and moving of weights beside dense references: normal equations, all codes tried, the textbook's OBQ."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from compression.quantization.quantizers import choose_qparams, dequantize, fake_quantize, quantize
from compression.reconstruction.factor import DAMPING, damped, factor_inverse
from compression.reconstruction.grids import EvenGrid, grid_of
from compression.reconstruction.learned import learned
from compression.reconstruction.rounding import compensated, importance_order, rate_steps, reorder
from compression.reconstruction.solve import LayerPlan, Steps, has_channel_scales, scale_channels, solve_layer
from compression.reconstruction.survivors import move_survivors, obs_gradients
from compression.spec import QuantSpec
from compression.spec.rounding import Rounding
from tests.reconstruction.layers import correlated, layer_moments, numbers

QUANTS = [
    QuantSpec(3),
    QuantSpec(2, granularity="tensor"),
    QuantSpec(3, "affine"),
    QuantSpec(3, "affine", "group", group_size=16),
    QuantSpec(2, "k-means", "group", group_size=16),
    QuantSpec(3, "min-max"),
    QuantSpec(4, "power-of-two"),
    QuantSpec(2, "k-means"),
    QuantSpec(2, "ternary"),
    QuantSpec(1, "binary"),
    QuantSpec(16, "step", step=0.2),
]


RATE_QUANT = QuantSpec(12, granularity="tensor")


def positive_definite(columns: int = 12) -> Tensor:
    return damped(layer_moments(numbers(1, 1, columns), correlated(80, columns)).second, DAMPING)


def in_order(rows: Tensor, second: Tensor, grid, keep: Tensor | None = None) -> Tensor:
    order = torch.arange(rows.shape[2])[None]
    return compensated(rows, factor_inverse(second, 80, share=0), order, grid, keep)


def obq(row: np.ndarray, second: np.ndarray, nearest) -> np.ndarray:
    """The textbook's way, one row and one column after another: the inverse is updated after each (float64)."""
    row, inverse = row.copy(), np.linalg.inv(second)
    for column in range(len(row)):
        error = (row[column] - nearest(row[column], column)) / inverse[column, column]
        row[column:] -= error * inverse[column, column:]
        row[column] = nearest(row[column], column)
        inverse -= np.outer(inverse[:, column], inverse[column]) / inverse[column, column]
    return row


def test_the_factor_gives_the_inverse() -> None:
    second = positive_definite()
    upper = factor_inverse(second, 80, share=0).upper
    torch.testing.assert_close(upper.transpose(1, 2) @ upper, torch.linalg.inv(second))
    assert torch.equal(upper, upper.triu())


def test_blocks_and_factors_round_as_the_textbook_does() -> None:
    second, rows = positive_definite(100), numbers(1, 3, 100).double()
    qparams = choose_qparams(rows[0].float(), QuantSpec(3, granularity="tensor"))
    grid = grid_of(qparams, rows[0].float(), 1)
    scale = float(qparams.scale)
    expected = [
        obq(row, second[0].numpy(), lambda w, _: np.clip(np.rint(w / scale), -3, 3) * scale) for row in rows[0].numpy()
    ]
    np.testing.assert_allclose(in_order(rows, second, grid)[0].numpy(), np.stack(expected), rtol=0, atol=1e-9)


def test_two_weights_on_paper() -> None:
    """Of H = [[2, 1], [1, 1]] the inverse is [[1, -1], [-1, 2]]: 0.4 becomes 0, so 1.4 becomes 1.8, and that 2."""
    second = torch.tensor([[[2.0, 1.0], [1.0, 1.0]]], dtype=torch.float64)
    weight = torch.tensor([[0.4, 1.4], [0.0, 3.0]])
    grid = grid_of(choose_qparams(weight, QuantSpec(16, "step", step=1.0)), weight, 1)
    rounded = in_order(weight[None].double(), second, grid)
    assert rounded.tolist() == [[[0.0, 2.0], [0.0, 3.0]]]


def test_columns_with_the_most_energy_come_first() -> None:
    second = torch.diag_embed(torch.tensor([[1.0, 5.0, 5.0, 2.0]]))
    order = importance_order(second)
    assert order.tolist() == [[1, 2, 3, 0]]
    assert reorder(second, order).diagonal(dim1=1, dim2=2).tolist() == [[5, 5, 2, 1]]


@pytest.mark.parametrize("quant", QUANTS, ids=str)
@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
@pytest.mark.parametrize("rounding", [Rounding.COMPENSATED, Rounding.LEARNED])
def test_codes_are_those_of_the_layer_s_own_quantizer(quant: QuantSpec, sparse: bool, rounding: Rounding) -> None:
    weight = numbers(6, 5, 2, 2)
    keep = weight.abs() > 0.5 if sparse else None
    moments = layer_moments(weight.view(1, 6, 20), correlated(90, 20))
    solution = solve_layer("a", weight, 1, moments, LayerPlan(keep, quant), Steps(rounding))
    own = choose_qparams(weight if keep is None else weight * keep, quant)
    codes = quantize(solution.weight, own)
    values = dequantize(codes, own) if keep is None else dequantize(codes, own) * keep
    assert torch.equal(values, solution.weight)
    if keep is not None:
        assert not solution.weight[~keep].any()


@pytest.mark.parametrize("quant", QUANTS, ids=str)
def test_the_error_on_the_sample_is_never_above_that_of_nearest(quant: QuantSpec) -> None:
    for seed in range(5):
        weight = numbers(6, 20, seed=seed)
        moments = layer_moments(weight[None], correlated(90, 20, seed))
        simple = fake_quantize(weight, choose_qparams(weight, quant))
        solution = solve_layer("a", weight, 1, moments, LayerPlan(None, quant), Steps(Rounding.COMPENSATED))
        errors = moments.error(solution.weight[None]), moments.error(simple[None])
        assert (errors[0] <= errors[1]).all()
        assert solution.simple_error == pytest.approx(float(errors[1].sum() / moments.energy.sum()))
        assert solution.error == pytest.approx(float(errors[0].sum() / moments.energy.sum()))


def test_compensation_halves_the_error_of_nearest_where_inputs_depend_on_each_other() -> None:
    weight = numbers(20, 40)
    moments = layer_moments(weight[None], correlated(400, 40))
    solution = solve_layer("a", weight, 1, moments, LayerPlan(None, QuantSpec(3)), Steps(Rounding.COMPENSATED))
    assert solution.error < solution.simple_error / 2


def test_learned_rounding_finds_nearly_the_best_of_all_choices() -> None:
    """Eight weights have 256 ways to be rounded up or down, and all of them are tried."""
    weight = numbers(1, 8, seed=4)
    second = positive_definite(8)
    grid = grid_of(choose_qparams(weight, QuantSpec(4)), weight, 1)
    below, above = grid.neighbours(weight[None].double())
    pairs = zip(below.flatten().tolist(), above.flatten().tolist(), strict=True)
    every = torch.tensor(list(itertools.product(*pairs)), dtype=torch.float64) - weight.double()
    errors = (every @ second[0] * every).sum(1)
    found = learned(weight[None].double(), second, grid, None)[0] - weight.double()
    assert float((found @ second[0] * found).sum()) <= float(errors.sort().values[3])


@pytest.mark.parametrize(
    "quant", [QuantSpec(3), QuantSpec(2, "k-means"), QuantSpec(3, "affine", "group", group_size=16)]
)
def test_neighbours_lie_on_both_sides_of_a_weight(quant: QuantSpec) -> None:
    weight = numbers(6, 20)
    qparams = choose_qparams(weight, quant)
    below, above = grid_of(qparams, weight, 1).neighbours(weight[None].double() * 1.2)
    for values in (below, above):
        again = fake_quantize(values[0].float(), qparams)
        torch.testing.assert_close(again, values[0].float())
    assert (below <= above).all()
    inside = (below < weight * 1.2) & (above > weight * 1.2)
    assert inside.float().mean() > 0.5


# ---- rate-aware


def rate_solution(bit_error: float, quant: QuantSpec = RATE_QUANT, **plan):
    weight = numbers(20, 40)
    moments = layer_moments(weight[None], correlated(400, 40))
    steps = Steps(Rounding.RATE_AWARE, bit_error=bit_error)
    return solve_layer("a", weight, 1, moments, LayerPlan(quant=quant, **plan), steps)


def entropy(weight: Tensor) -> float:
    share = torch.unique(weight, return_counts=True)[1] / weight.numel()
    return float(-(share * share.log2()).sum())


def test_a_price_decides_between_codes_on_paper() -> None:
    """0.9 is 0.1 from 1 and 0.9 from 0: squared, 0.8 apart. So it becomes 0 where a 1 costs more than 0.8 above a 0."""
    weight = torch.tensor([[0.9, 3.0, -3.0]])
    grid = grid_of(choose_qparams(weight, QuantSpec(16, "step", step=1.0)), weight, 1)
    assert isinstance(grid, EvenGrid)
    values, column = weight[None, :, 0].double(), torch.tensor([0])
    for price, expected in ((0.79, 1.0), (0.81, 0.0)):
        prices = torch.zeros(1, 1, grid.high - grid.low + 1, dtype=torch.float64)
        prices[:, :, 1 - grid.low] = price
        prices[:, :, 2 - grid.low] = 9.0
        assert grid.cheapest(values, column, prices).tolist() == [[expected]]


def test_without_prices_the_cheapest_value_is_the_nearest() -> None:
    weight = numbers(6, 20)
    for quant in (QuantSpec(3), QuantSpec(3, "affine", "group", group_size=16)):
        grid = grid_of(choose_qparams(weight, quant), weight, 1)
        assert isinstance(grid, EvenGrid)
        free = torch.zeros(1, 6, grid.high - grid.low + 1, dtype=torch.float64)
        for column in range(20):
            values, places = weight[None, :, column].double() * 1.3, torch.tensor([column])
            assert torch.equal(grid.cheapest(values, places, free), grid.nearest(values, places))


@pytest.mark.parametrize("granularity", ["tensor", "channel"])
def test_the_step_is_where_a_bit_saves_as_much_error_as_it_is_worth(granularity: str) -> None:
    """With white inputs U is the identity, and D = step^2 / 12 per weight; so 2 ln 2 D / n is the worth of a bit."""
    rows = numbers(1, 8, 50).double()
    grid = grid_of(choose_qparams(rows[0].float(), QuantSpec(12, granularity=granularity)), rows[0].float(), 1)
    assert isinstance(grid, EvenGrid)
    second = torch.eye(50, dtype=torch.float64)[None]
    worth = torch.full((1, 8), 0.001, dtype=torch.float64)
    order, keep = torch.arange(50)[None], torch.ones(1, 8, 50, dtype=torch.bool)
    steps = rate_steps(factor_inverse(second, 80, share=0), order, grid, keep, worth, granularity == "tensor")
    torch.testing.assert_close(steps, torch.full_like(steps, math.sqrt(0.001 * 12 / (2 * math.log(2)))))


def test_fewer_bits_are_taken_the_more_a_bit_is_worth_and_the_error_grows_as_predicted() -> None:
    errors, bits = [], []
    for bit_error in (2e-6, 8e-6, 32e-6):
        solution = rate_solution(bit_error)
        errors.append(solution.error)
        bits.append(entropy(solution.weight))
        assert solution.error == pytest.approx(bit_error * 800 / (2 * math.log(2)), rel=0.35)
    assert bits == sorted(bits, reverse=True)
    assert errors == sorted(errors)
    for before, after in itertools.pairwise(bits):
        assert before - after == pytest.approx(1, abs=0.2)


def test_at_equal_error_rate_aware_codes_take_fewer_bits_than_compensated_ones() -> None:
    weight = numbers(20, 40)
    moments = layer_moments(weight[None], correlated(400, 40))
    other = solve_layer("a", weight, 1, moments, LayerPlan(quant=QuantSpec(4)), Steps(Rounding.COMPENSATED))
    solution = rate_solution(other.error * 2 * math.log(2) / 800)
    assert solution.error <= other.error
    assert entropy(solution.weight) < entropy(quantize(other.weight, other.qparams)) - 0.1


def test_pruned_weights_stay_zero_and_the_range_is_no_larger_than_the_codes_need() -> None:
    keep = numbers(20, 40, seed=3) > 0.3
    solution = rate_solution(1e-5, keep=keep)
    assert not solution.weight[~keep].any()
    codes = quantize(solution.weight, solution.qparams)
    assert torch.equal(dequantize(codes, solution.qparams), solution.weight)
    assert int(codes.abs().max()) == solution.qparams.high == -solution.qparams.low


def test_the_bits_of_the_spec_limit_the_codes() -> None:
    assert rate_solution(1e-9, QuantSpec(3, granularity="tensor")).qparams.codes == 7
    assert rate_solution(1.0).qparams.codes == 3


# ---- pruning


def solved_directly(second: Tensor, cross: Tensor, keep: Tensor) -> Tensor:
    rows = torch.zeros_like(cross)
    for group, channel in itertools.product(range(cross.shape[0]), range(cross.shape[1])):
        places = keep[group, channel].nonzero().flatten()
        system = second[group][places][:, places]
        rows[group, channel, places] = torch.linalg.solve(system, cross[group, channel, places])
    return rows


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 1.0])
def test_survivors_solve_the_normal_equations(share: float) -> None:
    second = torch.cat([positive_definite(), 3 * positive_definite()])
    cross = numbers(2, 5, 12).double()
    keep = torch.rand(2, 5, 12, generator=torch.Generator().manual_seed(0)) >= share
    moved = move_survivors(second, cross, keep)
    torch.testing.assert_close(moved, solved_directly(second, cross, keep))
    assert not moved[~keep].any()


def test_systems_that_are_solved_in_several_batches_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    second, cross = positive_definite(), numbers(1, 9, 12).double()
    keep = numbers(1, 9, 12, seed=3) > 0.3
    whole = move_survivors(second, cross, keep)
    monkeypatch.setattr("compression.reconstruction.survivors.BATCH_VALUES", 60)
    torch.testing.assert_close(move_survivors(second, cross, keep), whole)


def test_without_a_grid_the_pass_makes_up_for_pruned_weights() -> None:
    """After one pruned weight, in the first place of the order, the pass equals least squares."""
    second, rows = positive_definite(), numbers(1, 4, 12).double()
    keep = torch.ones(1, 4, 12, dtype=torch.bool)
    keep[:, :, 0] = False
    torch.testing.assert_close(in_order(rows, second, None, keep), move_survivors(second, rows @ second, keep))


def test_obs_gradients_times_weights_are_the_least_error_without_the_weight() -> None:
    second, rows = positive_definite(), numbers(1, 3, 12).double()
    scores = rows * obs_gradients(rows, factor_inverse(second, 80, share=0))
    for column in range(12):
        keep = torch.ones(1, 3, 12, dtype=torch.bool)
        keep[:, :, column] = False
        lost = rows - move_survivors(second, rows @ second, keep)
        torch.testing.assert_close(scores[:, :, column], (lost @ second * lost).sum(2))


# ---- unusual inputs


def test_inputs_that_are_always_zero_are_reported_and_leave_their_weights() -> None:
    columns = correlated(50, 6)
    columns[:, :, 2] = 0
    weight = numbers(3, 6)
    keep = torch.ones(3, 6, dtype=torch.bool)
    keep[:, 0] = False
    moments = layer_moments(weight[None], columns)
    solution = solve_layer("a", weight, 1, moments, LayerPlan(keep), Steps(survivors=True))
    assert solution.damping is not None
    assert solution.damping.words == "1 inputs are always zero"
    torch.testing.assert_close(solution.weight[:, 2], weight[:, 2])


def test_fewer_samples_than_inputs_are_reported() -> None:
    second = layer_moments(numbers(1, 3, 20), correlated(8, 20)).second
    assert "fewer samples than inputs" in factor_inverse(second, 8).damping.words


def test_a_matrix_that_cannot_be_factored_is_damped_more() -> None:
    second = torch.tensor([[[1.0, 3.0], [3.0, 1.0]]], dtype=torch.float64)  # one eigenvalue is -2
    damping = factor_inverse(second, 100).damping
    assert damping.share == pytest.approx(10)
    assert "raised to 10" in damping.words


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_inputs_that_are_not_numbers_are_refused(bad: float) -> None:
    columns = correlated(50, 6)
    columns[0, 3, 1] = bad
    moments = layer_moments(numbers(1, 3, 6), columns)
    with pytest.raises(ValueError, match="NaN or infinity"):
        solve_layer("a", numbers(3, 6), 1, moments, LayerPlan(None, QuantSpec(3)), Steps(Rounding.COMPENSATED))


@pytest.mark.parametrize(
    "quant", [QuantSpec(3), QuantSpec(2, "k-means"), QuantSpec(3, "affine", "group", group_size=16)]
)
def test_scales_of_channels_change_and_codes_stay(quant: QuantSpec) -> None:
    weight, gain = numbers(6, 20), torch.arange(1.0, 7.0)
    qparams = choose_qparams(weight, quant)
    scaled = scale_channels(qparams, gain, 6)
    assert torch.equal(quantize(weight * gain[:, None], scaled), quantize(weight, qparams))
    torch.testing.assert_close(
        fake_quantize(weight * gain[:, None], scaled), fake_quantize(weight, qparams) * gain[:, None]
    )


def test_one_scale_for_all_channels_cannot_change_for_one() -> None:
    weight = numbers(6, 20)
    qparams = choose_qparams(weight, QuantSpec(3, granularity="tensor"))
    assert not has_channel_scales(qparams, 6)
    with pytest.raises(ValueError, match="one channel alone"):
        scale_channels(qparams, torch.ones(6), 6)
