"""Statistics of layer inputs and the ranges chosen from them, compared with torch's observers and exhaustive search."""

import math

import numpy as np
import pytest
import torch
from scipy.special import rel_entr
from torch import Tensor, nn
from torch.ao.quantization.observer import MinMaxObserver, MovingAverageMinMaxObserver

from compression.core.observe import BATCH, observe
from compression.quantization.calibration import BINS, INPUT_FRACTIONS, InputStats, input_range
from compression.spec import ActivationSpec, Calibration

each_calibration = pytest.mark.parametrize("calibration", Calibration)


def seen_by_linear(inputs: Tensor) -> InputStats:
    return observe(nn.Sequential(nn.Linear(inputs.shape[1], 1)), inputs)["0"]


def random(shape: tuple[int, ...]) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def range_of(stats: InputStats, calibration: str, bits: int = 8) -> tuple[float, float]:
    return input_range(stats, ActivationSpec(bits, Calibration(calibration)))


GAUSSIAN, RECTIFIED = random((1000, 40)), random((1000, 40)).relu()
LONG_TAILED = GAUSSIAN.sinh() * GAUSSIAN.abs()
ALL = {"gaussian": GAUSSIAN, "rectified": RECTIFIED, "long-tailed": LONG_TAILED}
each_input = pytest.mark.parametrize("inputs", ALL.values(), ids=ALL)


# ---- what is seen


@each_input
def test_extremes_and_their_averages_are_those_of_torchs_observers(inputs: Tensor) -> None:
    inputs = inputs.clone()
    inputs[::BATCH, 0] = 0
    whole, moving = MinMaxObserver(), MovingAverageMinMaxObserver(averaging_constant=0.1)
    for batch in inputs.split(BATCH):
        whole(batch)
        moving(batch)
    stats = seen_by_linear(inputs)
    assert range_of(stats, "min-max") == (float(whole.min_val), float(whole.max_val))
    assert range_of(stats, "moving-average") == pytest.approx((float(moving.min_val), float(moving.max_val)))


@each_input
def test_every_input_is_counted_once_as_numpy_counts(inputs: Tensor) -> None:
    stats = seen_by_linear(inputs)
    expected, edges = np.histogram(inputs.double().numpy(), BINS, (stats.low, stats.high))
    np.testing.assert_allclose(stats.edges, edges, atol=1e-12)
    assert int(stats.counts.sum()) == inputs.numel()
    assert np.abs(np.cumsum(stats.counts.numpy() - expected)).max() <= 2  # on an edge, float32 may fall on either side


def test_each_layer_sees_what_comes_before_it() -> None:
    module = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(4, 2), nn.Linear(2, 1))
    nn.init.constant_(module[0].weight, 2.0)
    stats = observe(module, torch.tensor([[[[-3.0, 1.0], [2.0, 0.5]]]]))
    assert list(stats) == ["0", "3", "4"]
    assert (stats["0"].low, stats["0"].high) == (-3, 2)
    assert (stats["3"].low, stats["3"].high) == (0, 4)


def test_zero_is_in_the_range_even_where_no_input_is() -> None:
    stats = seen_by_linear(torch.tensor([[5.0], [7.0]]))
    assert (stats.low, stats.high, stats.average_low) == (0, 7, 0)


def test_a_layer_that_is_used_twice_sees_both() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(1, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(x) + self.fc(-3 * x)

    stats = observe(Twice(), torch.tensor([[1.0], [2.0]]))["fc"]
    assert (stats.low, stats.high, int(stats.counts.sum())) == (-6, 2, 4)


def test_a_layer_without_inputs_has_no_statistics() -> None:
    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.idle = nn.Linear(1, 1), nn.Linear(1, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.used(x)

    assert list(observe(Idle(), torch.ones(1, 1))) == ["used"]


def test_the_network_is_left_as_it_was() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Dropout(), nn.Linear(2, 1)).train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    observe(module, random((60, 2)))
    assert module.training
    assert not any(part._forward_pre_hooks for part in module.modules())
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 3e38])
def test_inputs_that_are_no_numbers_are_refused_by_the_name_of_the_layer(bad: float) -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    with torch.no_grad():
        module[0].bias.fill_(bad)
    with pytest.raises(ValueError, match="the inputs of layer 1 include NaN, infinity or values too large"):
        observe(module, torch.ones(1, 2))


# ---- the ranges


@each_input
def test_the_percentiles_are_numpys_to_a_bin(inputs: Tensor) -> None:
    stats = seen_by_linear(inputs)
    bin_width = (stats.high - stats.low) / BINS
    expected = np.percentile(inputs.numpy(), [0.1, 99.9])
    np.testing.assert_allclose(range_of(stats, "percentile"), expected, atol=1.01 * bin_width)


def squared_error(inputs: Tensor, low: float, high: float, bits: int) -> float:
    """Returns the squared error with torch's own quantizer."""
    scale = (high - low) / (2**bits - 1)
    zero_point = min(max(round(-low / scale), 0), 2**bits - 1)
    quantized = torch.fake_quantize_per_tensor_affine(inputs, scale, zero_point, 0, 2**bits - 1)
    return float((quantized - inputs).double().square().sum())


@each_input
@pytest.mark.parametrize("bits", [2, 3, 4, 6, 8])
def test_the_least_error_is_that_of_an_exhaustive_search_over_the_inputs(inputs: Tensor, bits: int) -> None:
    stats = seen_by_linear(inputs)
    errors = [
        squared_error(inputs, stats.low * n / INPUT_FRACTIONS, stats.high * n / INPUT_FRACTIONS, bits)
        for n in range(1, INPUT_FRACTIONS + 1)
    ]
    assert squared_error(inputs, *range_of(stats, "least-error", bits), bits) <= 1.02 * min(errors)


def divergence_on_paper(counts: list[float], size: int, levels: int) -> float:
    """Follows Migacz's pseudocode line by line, for a histogram that begins at 0; scipy computes the divergence."""
    p = [*counts[: size - 1], sum(counts[size - 1 :])]
    q = []
    for level in range(levels):
        bins = [i for i in range(size) if i * levels // size == level]
        full = [i for i in bins if counts[i]]
        q += [sum(counts[i] for i in bins) / len(full) if i in full else 0.0 for i in bins]
    return float(rel_entr(np.array(p) / sum(p), np.array(q) / sum(q)).sum())


@pytest.mark.parametrize("bits", [2, 4, 6, 8])
def test_kl_is_that_of_migaczs_pseudocode(bits: int) -> None:
    stats = seen_by_linear(LONG_TAILED.abs())
    counts = stats.counts.double().tolist()
    counts[0] = counts[1]
    step = BINS // INPUT_FRACTIONS
    by_size = {
        size: divergence_on_paper(counts, size, 2**bits) for size in range(step, BINS + 1, step) if size > 2**bits
    }
    low, high = range_of(stats, "kl", bits)
    assert low == 0
    assert by_size[round(high / stats.high * BINS)] == pytest.approx(min(by_size.values()))
    assert high < stats.high


def test_kl_covers_all_where_each_bin_has_a_level() -> None:
    stats = seen_by_linear(LONG_TAILED)
    assert range_of(stats, "kl", 10) == range_of(stats, "min-max")


@each_input
@each_calibration
@pytest.mark.parametrize("bits", [2, 5, 8, 16])
def test_every_range_lies_within_the_inputs_and_contains_zero(
    calibration: Calibration, bits: int, inputs: Tensor
) -> None:
    stats = seen_by_linear(inputs)
    low, high = range_of(stats, calibration, bits)
    assert stats.low <= low <= 0 <= high <= stats.high
    assert low < high


@each_calibration
def test_one_outlier_widens_no_range_that_clips(calibration: Calibration) -> None:
    """An outlier does not widen the range, except for min-max, so that 4 bits have finer steps."""
    inputs = RECTIFIED.clone()
    inputs[0, 0] = 100
    _, high = range_of(seen_by_linear(inputs), calibration, 4)
    assert (high == 100) == (calibration is Calibration.MIN_MAX)


@each_calibration
def test_a_layer_that_sees_nothing_but_zeros_has_the_range_of_zeros(calibration: Calibration) -> None:
    assert range_of(seen_by_linear(torch.zeros(3, 2)), calibration) == (0, 0)


@each_calibration
@pytest.mark.parametrize("value", [-4.0, 1e-30, 1e35])
def test_a_layer_that_sees_one_value_alone_keeps_it(calibration: Calibration, value: float) -> None:
    low, high = range_of(seen_by_linear(torch.full((3, 2), value)), calibration)
    assert value == pytest.approx(low if value < 0 else high, rel=0.01)
