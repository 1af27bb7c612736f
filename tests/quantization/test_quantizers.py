"""Quantizers: examples on paper, comparisons with torch, and laws that hold for all of them."""

import itertools
import math
from collections.abc import Callable
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from torch import Tensor

from compression.core.record import sqnr_db
from compression.networks.bundled import load_bundled
from compression.quantization.codebooks import Codebook
from compression.quantization.groups import to_groups
from compression.quantization.kl import least_divergent_fraction
from compression.quantization.quantizers import (
    QPARAMS,
    WEIGHT_FRACTIONS,
    QParams,
    choose_qparams,
    code_bits,
    dequantize,
    levels,
    quantize,
)
from compression.quantization.ranges import best_gaussian, best_laplace
from compression.spec import AUTOMATIC_SCHEMES, Clip, Granularity, QuantSpec, Scheme
from tests.support.pairs import Pairs

WAYS = list(itertools.product(AUTOMATIC_SCHEMES, Granularity))
BITS = (1, 2, 3, 4, 5, 6, 7, 8, 12, 16)
ABLE = [(scheme, bits) for scheme in AUTOMATIC_SCHEMES for bits in BITS if bits in scheme.bits]
INTEGER = (Scheme.SYMMETRIC, Scheme.AFFINE)  # with an integer zero point, as torch has them
INEXACT = (Scheme.MIN_MAX, Scheme.K_MEANS, Scheme.BINARY)  # no code stands for zero
every_way = pytest.mark.parametrize(("scheme", "granularity"), WAYS)
every_scheme = pytest.mark.parametrize("scheme", AUTOMATIC_SCHEMES)
every_granularity = pytest.mark.parametrize("granularity", Granularity)


def weights(kind: str = "conv") -> Tensor:
    """Returns weights like those of a layer, but skewed, with channels of very different size and one of zeros."""
    shape = {"conv": (8, 4, 3, 3), "linear": (10, 64), "kernel last": (8, 4, 3, 3)}[kind]
    generator = torch.Generator().manual_seed(3)
    weight = torch.randn(shape, generator=generator) * 0.1 + 0.02
    weight *= (2.0 ** -torch.arange(shape[0])).view(-1, *[1] * (len(shape) - 1))
    weight[-1] = 0
    return weight.to(memory_format=torch.channels_last) if kind == "kernel last" else weight


def some_bits(scheme: Scheme) -> int:
    return 5 if 5 in scheme.bits else scheme.bits[0]


def way(bits: int, scheme: Scheme, granularity: Granularity, clip: Clip = Clip.FULL) -> QuantSpec:
    """Returns a spec with groups of 16, or of the number of codebook values: a channel has two of 16 and one of 4."""
    size = max(16, 2**bits * (scheme is Scheme.K_MEANS)) if granularity is Granularity.GROUP else None
    return QuantSpec(bits, scheme, granularity, clip, group_size=size)


def ways(scheme: Scheme) -> list[QuantSpec]:
    """Returns a spec for each number of bits that `scheme` takes, with each granularity."""
    return [way(bits, scheme, granularity) for able, bits in ABLE if able is scheme for granularity in Granularity]


def snap(weight: Tensor, spec: QuantSpec) -> Tensor:
    qparams = choose_qparams(weight, spec)
    return dequantize(quantize(weight, qparams), qparams)


# ---- on paper


def test_symmetric_four_bits_on_paper() -> None:
    weight = torch.tensor([-7.0, -3.4, -0.4, 0.0, 0.6, 3.5])
    qparams = choose_qparams(weight, QuantSpec(4, Scheme.SYMMETRIC, Granularity.TENSOR))
    assert (qparams.scale.item(), qparams.zero_point.item(), qparams.low, qparams.high) == (1.0, 0, -7, 7)
    assert quantize(weight, qparams).tolist() == [-7, -3, 0, 0, 1, 4]


def test_affine_two_bits_on_paper() -> None:
    weight = torch.tensor([-1.0, -0.4, 0.0, 0.9, 2.0])
    qparams = choose_qparams(weight, QuantSpec(2, Scheme.AFFINE, Granularity.TENSOR))
    assert (qparams.scale.item(), qparams.zero_point.item(), qparams.low, qparams.high) == (1.0, 1, 0, 3)
    assert quantize(weight, qparams).tolist() == [0, 1, 1, 2, 3]
    assert dequantize(quantize(weight, qparams), qparams).tolist() == [-1, 0, 0, 1, 2]


def codes_and_values(weight: Tensor, spec: QuantSpec) -> tuple[list, list]:
    qparams = choose_qparams(weight, spec)
    codes = quantize(weight, qparams)
    return codes.tolist(), dequantize(codes, qparams).tolist()


def test_min_max_on_paper_has_exact_ends_and_no_exact_zero() -> None:
    weight = torch.tensor([-1.0, -0.4, 0.0, 0.9, 5.0])
    codes = codes_and_values(weight, QuantSpec(2, Scheme.MIN_MAX, Granularity.TENSOR))
    assert codes == ([0, 0, 0, 1, 3], [-1, -1, -1, 1, 5])


def test_powers_of_two_on_paper() -> None:
    """Three bits have the exponent of the largest weight, two below it, and zero. 1.41 rounds to 1, and 1.42 to 2."""
    weight = torch.tensor([-3.0, 1.41, 1.42, 0.71, 0.70, 0.0, -0.9])
    codes = codes_and_values(weight, QuantSpec(3, Scheme.POWER_OF_TWO, Granularity.TENSOR))
    assert codes == ([0, 4, 5, 4, 3, 3, 2], [-4, 1, 2, 1, 0, 0, -1])


def test_ternary_weights_on_paper() -> None:
    """mean|w| is 2, the threshold is 1.4, and the mean of the magnitudes above it is 3."""
    weight = torch.tensor([-4.0, 2.0, -1.0, 1.0, 0.0])
    codes = codes_and_values(weight, QuantSpec(2, Scheme.TERNARY, Granularity.TENSOR))
    assert codes == ([0, 2, 1, 1, 1], [-3, 3, 0, 0, 0])


def test_binary_weights_on_paper() -> None:
    weight = torch.tensor([[-4.0, 2.0], [0.5, 0.0]])
    codes = codes_and_values(weight, QuantSpec(1, Scheme.BINARY, Granularity.CHANNEL))
    assert codes == ([[0, 1], [1, 0]], [[-3, 3], [0.5, -0.5]])


def test_two_means_on_paper() -> None:
    """The bound is between 3 and 8, and the means are 2 and 9."""
    weight = torch.tensor([1.0, 2.0, 3.0, 8.0, 10.0])
    codes = codes_and_values(weight, QuantSpec(1, Scheme.K_MEANS, Granularity.TENSOR))
    assert codes == ([0, 0, 0, 1, 1], [2, 2, 2, 9, 9])


@pytest.mark.parametrize(("sign", "zero_point"), [(1, 0), (-1, 15)])
def test_an_affine_range_is_widened_to_contain_zero(sign: int, zero_point: int) -> None:
    qparams = choose_qparams(sign * torch.tensor([5.0, 15.0]), QuantSpec(4, Scheme.AFFINE, Granularity.TENSOR))
    assert (qparams.scale.item(), qparams.zero_point.item()) == (1.0, zero_point)


def test_each_output_channel_has_a_scale_of_its_own() -> None:
    weight = torch.tensor([[7.0, -3.0], [0.7, -0.3], [0.0, 0.0]])
    qparams = choose_qparams(weight, QuantSpec(4))
    torch.testing.assert_close(qparams.scale, torch.tensor([[1.0], [0.1], [1.0]]))
    assert quantize(weight, qparams).tolist() == [[7, -3], [7, -3], [0, 0]]


@pytest.mark.parametrize(
    ("kind", "granularity", "shape"),
    [
        ("conv", "tensor", ()),
        ("conv", "channel", (8, 1, 1, 1)),
        ("linear", "tensor", ()),
        ("linear", "channel", (10, 1)),
    ],
)
def test_qparams_have_the_shape_of_their_groups(kind: str, granularity: Granularity, shape: tuple) -> None:
    qparams = choose_qparams(weights(kind), QuantSpec(4, granularity=granularity))
    assert qparams.scale.shape == qparams.zero_point.shape == shape


def test_levels_are_all_values_that_a_quantizer_gives() -> None:
    two_groups = QParams(torch.tensor([1.0, 0.5]), torch.tensor([0, 0], dtype=torch.int32), -1, 1)
    assert levels(two_groups).tolist() == [-1, -0.5, 0, 0.5, 1]
    one_group = QParams(torch.tensor(2.0), torch.tensor(1, dtype=torch.int32), 0, 3)
    assert levels(one_group).tolist() == [-2, 0, 2, 4]


# ---- beside torch


@pytest.mark.parametrize("scheme", INTEGER)
@pytest.mark.parametrize("granularity", [Granularity.TENSOR, Granularity.CHANNEL])
@pytest.mark.parametrize("kind", ["conv", "linear", "kernel last"])
def test_values_are_those_of_torchs_fake_quantize_to_the_bit(
    kind: str, scheme: Scheme, granularity: Granularity
) -> None:
    weight = weights(kind)
    for bits in BITS[1:]:
        q = choose_qparams(weight, QuantSpec(bits, scheme, granularity))
        if granularity is Granularity.TENSOR:
            theirs = torch.fake_quantize_per_tensor_affine(weight, q.scale, q.zero_point, q.low, q.high)
        else:
            theirs = torch.fake_quantize_per_channel_affine(
                weight, q.scale.flatten(), q.zero_point.flatten(), 0, q.low, q.high
            )
        assert (dequantize(quantize(weight, q), q) - theirs).abs().max() == 0, bits


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_affine_parameters_are_those_of_torchs_observer(bits: int) -> None:
    observer = torch.ao.quantization.MinMaxObserver(
        torch.quint8, torch.per_tensor_affine, quant_min=0, quant_max=2**bits - 1, eps=0
    )
    observer(weights())
    scale, zero_point = observer.calculate_qparams()
    ours = choose_qparams(weights(), QuantSpec(bits, Scheme.AFFINE, Granularity.TENSOR))
    assert (ours.scale, ours.zero_point) == (scale, zero_point)


def k_means_error(weight: Tensor, bits: int) -> float:
    values = snap(weight, QuantSpec(bits, Scheme.K_MEANS, Granularity.TENSOR))
    return float((values - weight).double().square().sum())


@pytest.mark.parametrize(
    ("count", "bits"),
    [(27, 3), (27, 4), (64, 5), (144, 4), (144, 6), (432, 5), (432, 6), (576, 8), (2000, 1), (2000, 4), (2000, 7)],
)
@pytest.mark.parametrize("distribution", [torch.distributions.Normal, torch.distributions.Laplace])
def test_k_means_is_no_worse_than_scikit_learns_best_of_ten(count: int, bits: int, distribution: type) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        weight = distribution(0.0, 0.1).sample((count,))
    theirs = KMeans(2**bits, n_init=10, random_state=0).fit(weight.double().numpy().reshape(-1, 1)).inertia_
    assert k_means_error(weight, bits) <= (1 + 1e-6) * theirs


@pytest.mark.parametrize("bits", [1, 2])
def test_the_k_means_of_a_short_row_are_the_best_there_are(bits: int) -> None:
    for seed in range(20):
        weight = torch.randn(8, generator=torch.Generator().manual_seed(seed)) ** 3 + 5 * (seed % 2)
        order = weight.sort().values.double()
        cuts = itertools.combinations(range(1, 8), 2**bits - 1)
        parts = [order.tensor_split(cut) for cut in cuts]
        least = min(sum(float((part - part.mean()).square().sum()) for part in stretch) for stretch in parts)
        assert k_means_error(weight, bits) == pytest.approx(least, rel=1e-5), seed


@pytest.mark.parametrize("count", [1, 3, 16, 17])
def test_with_a_value_for_each_weight_k_means_loses_nothing(count: int) -> None:
    weight = torch.randn(count, generator=torch.Generator().manual_seed(count))
    assert torch.equal(snap(weight, QuantSpec(5, Scheme.K_MEANS, Granularity.TENSOR)), weight)


@pytest.mark.parametrize("bits", [2, 4])
def test_the_k_means_of_many_long_rows_are_hardly_worse_than_scikit_learns(bits: int) -> None:
    """The rows have so many weights together that only a few moves are allowed."""
    weight = torch.randn(20, 1500, generator=torch.Generator().manual_seed(0))
    for row, values in zip(weight, snap(weight, QuantSpec(bits, Scheme.K_MEANS)), strict=True):
        theirs = KMeans(2**bits, n_init=1, random_state=0).fit(row.double().numpy().reshape(-1, 1)).inertia_
        assert float((values - row).double().square().sum()) <= 1.02 * theirs


def test_no_value_of_k_means_lies_in_the_hole_that_pruning_left() -> None:
    weight = torch.randn(4000, generator=torch.Generator().manual_seed(0))
    weight[weight.abs() < 0.5] = 0
    values = choose_qparams(weight, QuantSpec(4, Scheme.K_MEANS, Granularity.TENSOR)).values
    assert values.abs().min() > 0.5


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 8])
@every_granularity
def test_each_value_of_k_means_is_the_mean_of_the_weights_nearest_to_it(bits: int, granularity: Granularity) -> None:
    weight = torch.randn(6, 256, generator=torch.Generator().manual_seed(0))
    qparams = choose_qparams(weight, way(bits, Scheme.K_MEANS, granularity))
    codes, values = quantize(weight, qparams), qparams.values
    rows, codes = weight.view(len(values), -1), codes.view(len(values), -1)
    assert torch.equal((rows[:, :, None] - values[:, None]).abs().argmin(2), codes.long())
    for row, own, means in zip(rows, codes, values, strict=True):
        for code in own.unique().tolist():
            torch.testing.assert_close(row[own == code].mean(), means[code], rtol=1e-5, atol=1e-6)


# ---- laws


@every_scheme
def test_quantizing_twice_gives_the_same_codes(scheme: Scheme) -> None:
    for spec in ways(scheme):
        qparams = choose_qparams(weights(), spec)
        codes = quantize(weights(), qparams)
        assert torch.equal(quantize(dequantize(codes, qparams), qparams), codes), spec


@pytest.mark.parametrize("scheme", [scheme for scheme in AUTOMATIC_SCHEMES if scheme is not Scheme.K_MEANS])
def test_choosing_the_range_again_gives_the_same_codes(scheme: Scheme) -> None:
    """Except for k-means, whose search then starts from other values."""
    for spec in ways(scheme):
        qparams = choose_qparams(weights(), spec)
        codes = quantize(weights(), qparams)
        values = dequantize(codes, qparams)
        again = choose_qparams(values, spec)
        assert torch.equal(quantize(values, again), codes), spec
        limit = 1e-6 * float(values.max())
        torch.testing.assert_close(dequantize(codes, again), values, rtol=1e-6, atol=limit, msg=str(spec))


@every_scheme
def test_zero_stays_exactly_zero_if_a_code_stands_for_it(scheme: Scheme) -> None:
    weight = weights()
    weight[:, ::2] = 0
    for spec in ways(scheme):
        zeros = snap(weight, spec)[:, ::2] == 0
        assert zeros.all() != (scheme in INEXACT), spec


@pytest.mark.parametrize("scheme", [scheme for scheme in AUTOMATIC_SCHEMES if scheme in QPARAMS])
def test_no_weight_is_further_off_than_one_step(scheme: Scheme) -> None:
    """The limit is half a step, plus up to half a step at the ends if the zero point was rounded."""
    for spec in ways(scheme):
        qparams = choose_qparams(weights(), spec)
        error = (dequantize(quantize(weights(), qparams), qparams) - weights()).abs()
        error = (to_groups(error, qparams.group_size) if qparams.group_size else error) / qparams.scale
        assert error.max() <= (1.0 if scheme is Scheme.AFFINE else 0.5) + 1e-3, spec


@every_way
def test_more_bits_never_lower_the_sqnr(scheme: Scheme, granularity: Granularity) -> None:
    sqnrs = [sqnr_db(weights(), snap(weights(), way(b, scheme, granularity))) for b in scheme.bits]
    assert sqnrs == sorted(sqnrs) or scheme is Scheme.MIN_MAX  # two bits happen to hit the many zeros better than three
    assert scheme not in INTEGER or sqnrs[-1] > sqnrs[0] + 60


@every_scheme
def test_per_channel_never_has_more_error_than_per_tensor(scheme: Scheme) -> None:
    for bits in (bits for able, bits in ABLE if able is scheme):
        per_channel, per_tensor = (
            (snap(weights(), way(bits, scheme, granularity)) - weights()).square().sum()
            for granularity in (Granularity.CHANNEL, Granularity.TENSOR)
        )
        assert per_channel <= per_tensor, bits


@every_way
def test_the_scale_of_the_weights_does_not_matter(scheme: Scheme, granularity: Granularity) -> None:
    spec = way(some_bits(scheme), scheme, granularity)
    assert torch.equal(snap(weights() * 1024, spec), snap(weights(), spec) * 1024)


# ---- clipped ranges


def range_ends(weight: Tensor, spec: QuantSpec) -> tuple[float, float]:
    values = levels(choose_qparams(weight, spec))
    return float(values[0]), float(values[-1])


@pytest.mark.parametrize(
    ("clip", "reach"),
    [
        (Clip.FULL, 16.0),
        (Clip.PERCENTILE, 1.0),  # one of 1,001 goes
        (Clip.MEANS, 5 * 1016 / 1001),
        (Clip.STDS, 16 / 1001 + 3 * math.sqrt((1000 + 256) / 1001 - (16 / 1001) ** 2)),
    ],
)
def test_a_range_on_paper(clip: Clip, reach: float) -> None:
    """A thousand weights, alternately -1 and 1, and an outlier of 16; zeros are ignored."""
    weight = torch.cat([torch.tensor([-1.0, 1.0]).repeat(500), torch.tensor([16.0]), torch.zeros(500)])
    ends = range_ends(weight, QuantSpec(8, granularity=Granularity.TENSOR, clip=clip))
    assert ends == pytest.approx((-reach, reach), rel=1e-5)


@pytest.mark.parametrize(("bits", "gaussian", "laplace"), [(2, 1.71, 2.83), (3, 2.15, 3.89), (4, 2.55, 5.03)])
def test_the_best_ranges_are_those_of_aciqs_authors(bits: int, gaussian: float, laplace: float) -> None:
    assert best_gaussian(bits) == pytest.approx(gaussian, abs=0.01)
    assert best_laplace(bits) == pytest.approx(laplace, abs=0.01)


def decibels_above_the_least(density: Callable[[Tensor], Tensor], half_width: float, bits: int) -> float:
    """Returns by how much the error of symmetric levels up to `half_width` exceeds that of the best half-width."""
    values = torch.linspace(-30, 30, 60_001, dtype=torch.float64)
    chances = density(values) / density(values).sum()
    top = 2 ** (bits - 1) - 1

    def error(reach: float) -> float:
        step = reach / top
        rounded = (values / step).round().clamp(-top, top) * step
        return float(((values - rounded).square() * chances).sum())

    return 10 * math.log10(error(half_width) / min(error(number / 100) for number in range(50, 600, 2)))


@pytest.mark.parametrize(("bits", "gaussian", "laplace"), [(2, 1.27, 0.73), (3, 0.19, 0.15), (4, 0.03, 0.03)])
def test_aciqs_ranges_are_not_the_best_at_few_bits(bits: int, gaussian: float, laplace: float) -> None:
    normal, peaked = lambda x: torch.exp(-x.square() / 2), lambda x: torch.exp(-x.abs())
    assert decibels_above_the_least(normal, best_gaussian(bits), bits) == pytest.approx(gaussian, abs=0.006)
    assert decibels_above_the_least(peaked, best_laplace(bits), bits) == pytest.approx(laplace, abs=0.006)


def test_the_percentile_clips_nothing_of_fewer_than_a_thousand_weights() -> None:
    spec = QuantSpec(8, granularity=Granularity.TENSOR, clip=Clip.PERCENTILE)
    weight = torch.arange(1, 1002).float()
    assert snap(weight[:999], spec).max() == pytest.approx(999)
    assert snap(weight, spec).max() == pytest.approx(1000)


def test_the_least_error_of_a_large_layer_is_judged_on_quantiles_which_count_its_extremes_too_much() -> None:
    weight = load_bundled("vgg").module.get_submodule("features.17").weight.detach()
    least = QuantSpec(6, granularity=Granularity.TENSOR, clip=Clip.LEAST_ERROR)
    ends = weight.min(), weight.max()
    grids = [QPARAMS[Scheme.SYMMETRIC](each * ends[0], each * ends[1], 6) for each in torch.linspace(1, 0.2, 33)]
    errors = [float((dequantize(quantize(weight, q), q) - weight).square().sum()) for q in grids]
    assert float((snap(weight, least) - weight).square().sum()) / min(errors) == pytest.approx(2.46, abs=0.005)


@pytest.mark.parametrize("unit", [2.0**-100, 2.0**-40, 2.0**62, 2.0**123])  # squares of the last two overflow
def test_the_least_error_does_not_depend_on_the_unit_of_the_weights(unit: float) -> None:
    weight, spec = weights(), QuantSpec(3, granularity=Granularity.TENSOR, clip=Clip.LEAST_ERROR)
    expected = snap(weight, spec)
    assert not torch.equal(expected, snap(weight, QuantSpec(3, granularity=Granularity.TENSOR)))
    assert torch.equal(snap(weight * unit, spec) / unit, expected)


@pytest.mark.parametrize("scheme", [scheme for scheme in Scheme if scheme.clippable])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_the_least_error_is_that_of_an_exhaustive_search(scheme: Scheme, bits: int) -> None:
    weight = torch.randn(300, generator=torch.Generator().manual_seed(1)) ** 3
    values = snap(weight, QuantSpec(bits, scheme, Granularity.TENSOR, Clip.LEAST_ERROR))
    errors = []
    for fraction in torch.linspace(1, 0.2, WEIGHT_FRACTIONS):
        q = QPARAMS[scheme](fraction * weight.min(), fraction * weight.max(), bits)
        errors.append(float((dequantize(quantize(weight, q), q) - weight).square().sum()))
    assert float((values - weight).square().sum()) == pytest.approx(min(errors), rel=1e-6)


@pytest.mark.parametrize("scheme", [scheme for scheme in Scheme if scheme.clippable])
@every_granularity
def test_every_range_stays_within_the_weights_and_leaves_zeros_alone(scheme: Scheme, granularity: Granularity) -> None:
    full = range_ends(weights(), way(4, scheme, granularity))
    step = (full[1] - full[0]) / 15
    for clip in Clip:
        spec = way(4, scheme, granularity, clip)
        low, high = range_ends(weights(), spec)
        assert full[0] - step <= low < high <= full[1] + step, clip
        values = snap(weights(), spec)
        assert torch.isfinite(values).all(), clip
        assert (values[-1] == 0).all() or granularity is Granularity.TENSOR, clip


@pytest.mark.parametrize("clip", Clip)
def test_a_single_weight_has_a_range(clip: Clip) -> None:
    assert snap(torch.tensor([[-3.0]]), QuantSpec(4, clip=clip)).item() == pytest.approx(-3)


def test_the_least_error_clips_where_clipping_pays() -> None:
    weight = weights()
    error = {
        clip: float((snap(weight, QuantSpec(3, granularity=Granularity.TENSOR, clip=clip)) - weight).square().sum())
        for clip in (Clip.FULL, Clip.LEAST_ERROR)
    }
    assert error[Clip.LEAST_ERROR] < 0.9 * error[Clip.FULL]


@pytest.mark.parametrize(
    ("clip", "at", "reach"),
    [
        (Clip.PERCENTILE, 100, 16.0),
        (Clip.PERCENTILE, 99.0, 1.0),
        (Clip.MEANS, 1.5, 1.5 * 1016 / 1001),
        (Clip.STDS, 2, 16 / 1001 + 2 * math.sqrt((1000 + 256) / 1001 - (16 / 1001) ** 2)),
    ],
)
def test_a_range_ends_at_the_given_position(clip: Clip, at: float, reach: float) -> None:
    weight = torch.cat([torch.tensor([-1.0, 1.0]).repeat(500), torch.tensor([16.0]), torch.zeros(500)])
    ends = range_ends(weight, QuantSpec(8, granularity=Granularity.TENSOR, clip=clip, clip_at=at))
    assert ends == pytest.approx((-reach, reach), rel=1e-5)


# ---- Kullback and Leibler's divergence


def divergence(counts: list[int], width: int, codes: int) -> float:
    """Returns the divergence of TensorRT's calibration, computed bin by bin."""
    reference = counts[:width]
    reference[-1] += sum(counts[width:])
    candidate = [0.0] * width
    for start in range(0, width, width // codes):
        bins = range(start, start + width // codes)
        nonzero = [k for k in bins if reference[k]]
        for k in nonzero:
            candidate[k] = sum(counts[k] for k in bins) / len(nonzero)
    total, inside = sum(reference), sum(candidate)
    if any(p and not q for p, q in zip(reference, candidate, strict=True)):
        return math.inf
    pairs = [(p / total, q / inside) for p, q in zip(reference, candidate, strict=True) if p]
    return sum(p * math.log(p / q) for p, q in pairs)


def least_by_trying(weight: Tensor, bits: int) -> float:
    """Returns the fraction of the largest magnitude with the smallest divergence; of several, the widest."""
    magnitude = [abs(w) for w in weight.tolist() if w]
    bins, codes = min(2048, 2 ** int(math.log2(len(weight)))), 2 ** (bits - 1)
    counts = [0] * bins
    for w in magnitude:
        counts[min(bins - 1, int(w * (bins / max(magnitude))))] += 1
    divergences = {width: divergence(counts, width, codes) for width in range(codes, bins + 1, codes)}
    return max((k for k in divergences if divergences[k] <= min(divergences.values()) + 1e-9), default=bins) / bins


@pytest.mark.parametrize(
    ("count", "widths"), [*((count, (2, 3, 4, 6, 8)) for count in (1, 5, 16, 100, 300)), (700, (4,)), (5000, (8,))]
)
@pytest.mark.parametrize("sparsity", [0.0, 0.6])
def test_the_range_of_least_divergence_is_that_of_trying_all(
    count: int, widths: tuple[int, ...], sparsity: float
) -> None:
    rows = torch.randn(2, count, generator=torch.Generator().manual_seed(count)) ** 3
    rows[:, : int(sparsity * count)] = 0
    for bits in widths:
        expected = [least_by_trying(row, bits) for row in rows]
        assert least_divergent_fraction(rows.abs(), bits).flatten().tolist() == pytest.approx(expected), bits


def test_the_least_divergence_clips_outliers_and_no_range_without() -> None:
    even = torch.linspace(-1, 1, 4096)
    reach = lambda weight: range_ends(weight, QuantSpec(4, granularity=Granularity.TENSOR, clip=Clip.KL))[1]
    assert reach(even) == 1
    assert reach(torch.cat([even, torch.tensor([8.0])])) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("bits", [12, 13, 16])
def test_with_as_many_codes_as_bins_the_least_divergence_clips_nothing(bits: int) -> None:
    assert least_divergent_fraction(weights().flatten(1).abs(), bits).tolist() == [[1.0]] * 8


# ---- groups along the input


@every_scheme
@pytest.mark.parametrize("kind", ["conv", "linear", "kernel last"])
def test_a_group_is_quantized_as_a_tensor_of_its_own(kind: str, scheme: Scheme) -> None:
    """For all bits that the scheme takes, and for every pair of bits, size and clipping that can be."""
    weight = weights(kind)[-3:]  # with the channel of zeros
    options = {
        "bits": [bits for able, bits in ABLE if able is scheme and (scheme is not Scheme.K_MEANS or 2**bits <= 100)],
        "size": (16, 20, 100),
        "clip": tuple(Clip) if scheme.clippable else (Clip.FULL,),
    }
    for row in Pairs(kind).rows(options):
        bits, size, clip = row["bits"], row["size"], row["clip"]
        if scheme is Scheme.K_MEANS and 2**bits > size:
            continue
        spec = QuantSpec(bits, scheme, Granularity.GROUP, clip, group_size=size)
        alone = QuantSpec(bits, scheme, Granularity.TENSOR, clip)
        expected = [snap(part, alone) for channel in weight.flatten(1) for part in channel.split(size)]
        assert torch.equal(snap(weight, spec).flatten(), torch.cat(expected)), spec


@every_scheme
def test_there_is_a_scale_or_a_codebook_for_each_group(scheme: Scheme) -> None:
    qparams = choose_qparams(weights(), QuantSpec(some_bits(scheme), scheme, "group", group_size=32))
    assert len(vars(qparams)["values" if isinstance(qparams, Codebook) else "scale"]) == 8 * 2  # of 32 and of 4


def test_a_group_that_holds_a_channel_is_a_channel() -> None:
    by_group = snap(weights(), QuantSpec(4, granularity="group", group_size=64))
    assert torch.equal(by_group, snap(weights(), QuantSpec(4)))


# ---- a given step


def test_a_step_on_paper() -> None:
    weight = torch.tensor([[-0.6, 0.24], [0.26, 1.3]])
    qparams = choose_qparams(weight, QuantSpec(16, "step", step=0.5))
    assert quantize(weight, qparams).tolist() == [[-1, 0], [1, 3]]
    assert dequantize(quantize(weight, qparams), qparams).tolist() == [[-0.5, 0], [0.5, 1.5]]
    assert (qparams.low, qparams.high, qparams.codes, code_bits(qparams)) == (-1, 3, 5, 3)


@pytest.mark.parametrize("step", [0.5, 0.01, 1e-4, 2.0**-7])
def test_a_step_rounds_as_numpy_does(step: float) -> None:
    codes = quantize(weights(), choose_qparams(weights(), QuantSpec(16, "step", step=step)))
    assert np.array_equal(codes.numpy(), np.round(weights().double().numpy() / step))


@pytest.mark.parametrize(("levels", "bits"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (65536, 16)])
def test_the_bits_of_a_step_are_those_that_its_levels_take(levels: int, bits: int) -> None:
    weight = torch.tensor([-5.0, levels - 6.0])
    assert code_bits(choose_qparams(weight, QuantSpec(16, "step", step=1))) == bits


def test_a_step_that_would_take_more_than_sixteen_bits_is_refused_with_one_that_does_not() -> None:
    weight = torch.tensor([0.0, 3.0])
    with pytest.raises(ValueError, match=r"more than 16 bits per weight; give a step of about 4\.6e-05 or more"):
        choose_qparams(weight, QuantSpec(16, "step", step=1e-5))
    assert code_bits(choose_qparams(weight, QuantSpec(16, "step", step=4.6e-5))) == 16


# ---- what cannot be quantized, and what hardly can


@every_way
def test_nan_and_infinite_weights_are_refused(scheme: Scheme, granularity: Granularity) -> None:
    for value in (math.nan, math.inf, -math.inf):
        weight = weights()
        weight[2, 1, 0, 0] = value
        with pytest.raises(ValueError, match="NaN, infinite"):
            choose_qparams(weight, way(some_bits(scheme), scheme, granularity))


@every_way
@pytest.mark.parametrize("value", [0.0, 1e-45])
def test_a_group_of_zeros_or_subnormals_becomes_zeros(scheme: Scheme, granularity: Granularity, value: float) -> None:
    weight = torch.full((2, 3), value)
    assert snap(weight, way(some_bits(scheme), scheme, granularity)).tolist() == [[0] * 3] * 2


@every_way
def test_a_group_of_equal_weights_keeps_its_value(scheme: Scheme, granularity: Granularity) -> None:
    value = -0.5 if scheme is Scheme.POWER_OF_TWO else -0.75  # which is none
    weight = torch.full((2, 30), value)
    torch.testing.assert_close(snap(weight, way(some_bits(scheme), scheme, granularity)), weight)


ODD = {
    "zeros": torch.zeros(2, 6),
    "constant": torch.full((2, 6), 0.3),
    "one weight": torch.tensor([[-2.5]]),
    "huge": torch.tensor([[3e38, -1e37, 1e30, 0.0]]).reshape(2, 2),
    "subnormal": torch.tensor([[1e-40, -3e-41], [0.0, 2e-42]]),
    "one outlier": torch.tensor([[1e-3] * 50 + [1e3]] * 2),
}


@pytest.mark.parametrize("weight", ODD.values(), ids=ODD)
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_every_combination_runs_or_is_refused_with_the_reason(weight: Tensor, bits: int) -> None:
    for scheme, granularity, clip in itertools.product(AUTOMATIC_SCHEMES, Granularity, Clip):
        if bits in scheme.bits and (scheme.clippable or clip is Clip.FULL):
            spec = way(bits, scheme, granularity, clip)
            values = snap(weight, spec)
            assert values.isfinite().all(), spec
            assert values.abs().max() <= 2 * weight.abs().max(), spec
        else:
            with pytest.raises(ValueError, match=r"bits|range to clip"):
                QuantSpec(bits, scheme, granularity, clip)


@pytest.mark.parametrize("weight", ODD.values(), ids=ODD)
@pytest.mark.parametrize("step", [1e-30, 1e-4, 1.0, 1e30])
def test_every_step_runs_or_is_refused_with_the_reason(weight: Tensor, step: float) -> None:
    fits = weight.abs().max() / step < 2**15
    with nullcontext() if fits else pytest.raises(ValueError, match="more than 16 bits per weight; give a step of"):
        values = snap(weight, QuantSpec(16, "step", step=step))
    if fits:
        assert values.isfinite().all()
        assert (values - weight).abs().max() <= 0.501 * torch.tensor(step)
