"""Quantizers: on paper, beside torch's own, and the laws that hold for all of them."""

import itertools
import math

import pytest
import torch
from sklearn.cluster import KMeans
from torch import Tensor

from compression.clips import best_gaussian, best_laplace
from compression.codebooks import Codebook
from compression.compress import sqnr_db
from compression.quantizers import QPARAMS, TRIED, QParams, choose_qparams, dequantize, levels, quantize
from compression.spec import Clip, Granularity, QuantSpec, Scheme

WAYS = list(itertools.product(Scheme, Granularity))
BITS = (1, 2, 3, 4, 5, 6, 7, 8, 12, 16)
ABLE = [(scheme, bits) for scheme in Scheme for bits in BITS if bits in scheme.bits]
INTEGER = (Scheme.SYMMETRIC, Scheme.AFFINE)  # with an integer zero point, as torch has them
INEXACT = (Scheme.MIN_MAX, Scheme.K_MEANS, Scheme.BINARY)  # no code stands for zero
every_way = pytest.mark.parametrize(("scheme", "granularity"), WAYS, ids="-".join)
every_width = pytest.mark.parametrize(("scheme", "bits"), ABLE)
every_granularity = pytest.mark.parametrize("granularity", Granularity)


def weights(kind: str = "conv") -> Tensor:
    """Weights like those of a layer, but skewed, with channels of very different size and one of zeros."""
    shape = {"conv": (8, 4, 3, 3), "linear": (10, 64), "kernel last": (8, 4, 3, 3)}[kind]
    generator = torch.Generator().manual_seed(3)
    weight = torch.randn(shape, generator=generator) * 0.1 + 0.02
    weight *= (2.0 ** -torch.arange(shape[0])).view(-1, *[1] * (len(shape) - 1))
    weight[-1] = 0
    return weight.to(memory_format=torch.channels_last) if kind == "kernel last" else weight


def some_bits(scheme: Scheme) -> int:
    return 5 if 5 in scheme.bits else scheme.bits[0]


def rounded(weight: Tensor, spec: QuantSpec) -> Tensor:
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
    found = codes_and_values(weight, QuantSpec(2, Scheme.MIN_MAX, Granularity.TENSOR))
    assert found == ([0, 0, 0, 1, 3], [-1, -1, -1, 1, 5])


def test_powers_of_two_on_paper() -> None:
    """Three bits: the largest weight's exponent, two below it, and zero. As a power, 1.41 is nearer to 1, 1.42 to 2."""
    weight = torch.tensor([-3.0, 1.41, 1.42, 0.71, 0.70, 0.0, -0.9])
    found = codes_and_values(weight, QuantSpec(3, Scheme.POWER_OF_TWO, Granularity.TENSOR))
    assert found == ([0, 4, 5, 4, 3, 3, 2], [-4, 1, 2, 1, 0, 0, -1])


def test_ternary_weights_on_paper() -> None:
    """mean|w| is 2, the threshold 1.4, and the mean of what is above it 3."""
    weight = torch.tensor([-4.0, 2.0, -1.0, 1.0, 0.0])
    found = codes_and_values(weight, QuantSpec(2, Scheme.TERNARY, Granularity.TENSOR))
    assert found == ([0, 2, 1, 1, 1], [-3, 3, 0, 0, 0])


def test_binary_weights_on_paper() -> None:
    weight = torch.tensor([[-4.0, 2.0], [0.5, 0.0]])
    found = codes_and_values(weight, QuantSpec(1, Scheme.BINARY, Granularity.CHANNEL))
    assert found == ([[0, 1], [1, 0]], [[-3, 3], [0.5, -0.5]])


def test_two_means_on_paper() -> None:
    """The bound comes to lie between 3 and 8; the means are 2 and 9."""
    weight = torch.tensor([1.0, 2.0, 3.0, 8.0, 10.0])
    found = codes_and_values(weight, QuantSpec(1, Scheme.K_MEANS, Granularity.TENSOR))
    assert found == ([0, 0, 0, 1, 1], [2, 2, 2, 9, 9])


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


def test_levels_are_all_values_there_are() -> None:
    two_groups = QParams(torch.tensor([1.0, 0.5]), torch.tensor([0, 0], dtype=torch.int32), -1, 1)
    assert levels(two_groups).tolist() == [-1, -0.5, 0, 0.5, 1]
    one_group = QParams(torch.tensor(2.0), torch.tensor(1, dtype=torch.int32), 0, 3)
    assert levels(one_group).tolist() == [-2, 0, 2, 4]


# ---- beside torch


@pytest.mark.parametrize("bits", BITS[1:])
@pytest.mark.parametrize("scheme", INTEGER)
@every_granularity
@pytest.mark.parametrize("kind", ["conv", "linear", "kernel last"])
def test_values_are_those_of_torchs_fake_quantize_to_the_bit(
    kind: str, scheme: Scheme, granularity: Granularity, bits: int
) -> None:
    weight = weights(kind)
    q = choose_qparams(weight, QuantSpec(bits, scheme, granularity))
    if granularity is Granularity.TENSOR:
        theirs = torch.fake_quantize_per_tensor_affine(weight, q.scale, q.zero_point, q.low, q.high)
    else:
        theirs = torch.fake_quantize_per_channel_affine(
            weight, q.scale.flatten(), q.zero_point.flatten(), 0, q.low, q.high
        )
    assert (dequantize(quantize(weight, q), q) - theirs).abs().max() == 0


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_affine_parameters_are_those_of_torchs_observer(bits: int) -> None:
    observer = torch.ao.quantization.MinMaxObserver(
        torch.quint8, torch.per_tensor_affine, quant_min=0, quant_max=2**bits - 1, eps=0
    )
    observer(weights())
    scale, zero_point = observer.calculate_qparams()
    ours = choose_qparams(weights(), QuantSpec(bits, Scheme.AFFINE, Granularity.TENSOR))
    assert (ours.scale, ours.zero_point) == (scale, zero_point)


@pytest.mark.parametrize("bits", [1, 2, 3, 4])
@pytest.mark.parametrize("spread", [torch.distributions.Normal, torch.distributions.Laplace])
def test_k_means_is_no_worse_than_scikit_learns_best_of_ten(bits: int, spread: type) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        weight = spread(0.0, 0.1).sample((2000,))
    error = float((rounded(weight, QuantSpec(bits, Scheme.K_MEANS, Granularity.TENSOR)) - weight).square().sum())
    theirs = KMeans(2**bits, n_init=10, random_state=0).fit(weight.double().numpy().reshape(-1, 1)).inertia_
    assert error <= 1.01 * theirs


def test_no_value_of_k_means_lies_in_the_hole_that_pruning_left() -> None:
    weight = torch.randn(4000, generator=torch.Generator().manual_seed(0))
    weight[weight.abs() < 0.5] = 0
    values = choose_qparams(weight, QuantSpec(4, Scheme.K_MEANS, Granularity.TENSOR)).values
    assert values.abs().min() > 0.5


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 8])
@every_granularity
def test_each_value_of_k_means_is_the_mean_of_the_weights_nearest_to_it(bits: int, granularity: Granularity) -> None:
    weight = torch.randn(6, 400, generator=torch.Generator().manual_seed(0))
    qparams = choose_qparams(weight, QuantSpec(bits, Scheme.K_MEANS, granularity))
    codes, values = quantize(weight, qparams), qparams.values
    rows, codes = weight.view(len(values), -1), codes.view(len(values), -1)
    assert torch.equal((rows[:, :, None] - values[:, None]).abs().argmin(2), codes.long())
    for row, own, means in zip(rows, codes, values, strict=True):
        for code in own.unique().tolist():
            torch.testing.assert_close(row[own == code].mean(), means[code], rtol=1e-5, atol=1e-6)


# ---- laws


@every_width
@every_granularity
def test_quantizing_twice_changes_nothing(scheme: Scheme, granularity: Granularity, bits: int) -> None:
    qparams = choose_qparams(weights(), QuantSpec(bits, scheme, granularity))
    codes = quantize(weights(), qparams)
    assert torch.equal(quantize(dequantize(codes, qparams), qparams), codes)


@pytest.mark.parametrize(("scheme", "bits"), [able for able in ABLE if able[0] is not Scheme.K_MEANS])
@every_granularity
def test_choosing_the_range_again_gives_the_same_codes(scheme: Scheme, granularity: Granularity, bits: int) -> None:
    """But for k-means, whose start is then another one."""
    spec = QuantSpec(bits, scheme, granularity)
    qparams = choose_qparams(weights(), spec)
    codes = quantize(weights(), qparams)
    again = choose_qparams(dequantize(codes, qparams), spec)
    assert torch.equal(quantize(dequantize(codes, qparams), again), codes)
    values, same = dequantize(codes, qparams), dequantize(codes, again)
    torch.testing.assert_close(same, values, rtol=1e-6, atol=1e-6 * float(values.max()))


@every_width
@every_granularity
def test_zero_stays_exactly_zero_if_a_code_stands_for_it(scheme: Scheme, granularity: Granularity, bits: int) -> None:
    weight = weights()
    weight[:, ::2] = 0
    zeros = rounded(weight, QuantSpec(bits, scheme, granularity))[:, ::2] == 0
    assert zeros.all() != (scheme in INEXACT)


@every_width
@every_granularity
def test_codes_stay_within_their_bits(scheme: Scheme, granularity: Granularity, bits: int) -> None:
    qparams = choose_qparams(weights(), QuantSpec(bits, scheme, granularity))
    codes = quantize(weights(), qparams)
    low = 0 if isinstance(qparams, Codebook) else qparams.low
    assert low <= codes.min()
    assert codes.max() < low + qparams.codes
    assert qparams.codes <= 2**bits
    assert len(dequantize(codes, qparams).unique()) <= len(levels(qparams))
    assert torch.isin(dequantize(codes, qparams), levels(qparams)).all()


@pytest.mark.parametrize(("scheme", "bits"), [able for able in ABLE if able[0] in QPARAMS])
@every_granularity
def test_no_weight_is_further_off_than_one_step(scheme: Scheme, granularity: Granularity, bits: int) -> None:
    """Half a step where the zero point is exact, and up to half a step more at the ends where it was rounded."""
    qparams = choose_qparams(weights(), QuantSpec(bits, scheme, granularity))
    error = (dequantize(quantize(weights(), qparams), qparams) - weights()).abs() / qparams.scale
    assert error.max() <= (1.0 if scheme is Scheme.AFFINE else 0.5) + 1e-3


@every_way
def test_more_bits_never_lower_the_sqnr(scheme: Scheme, granularity: Granularity) -> None:
    sqnrs = [sqnr_db(weights(), rounded(weights(), QuantSpec(b, scheme, granularity))) for b in scheme.bits]
    assert sqnrs == sorted(sqnrs) or scheme is Scheme.MIN_MAX  # two bits happen to hit the many zeros better than three
    assert scheme not in INTEGER or sqnrs[-1] > sqnrs[0] + 60


@every_width
def test_per_channel_never_has_more_error_than_per_tensor(scheme: Scheme, bits: int) -> None:
    error = {
        granularity: (rounded(weights(), QuantSpec(bits, scheme, granularity)) - weights()).square().sum()
        for granularity in Granularity
    }
    assert error[Granularity.CHANNEL] <= error[Granularity.TENSOR]


@every_way
def test_the_scale_of_the_weights_does_not_matter(scheme: Scheme, granularity: Granularity) -> None:
    spec = QuantSpec(some_bits(scheme), scheme, granularity)
    assert torch.equal(rounded(weights() * 1024, spec), rounded(weights(), spec) * 1024)


@every_way
def test_the_weights_themselves_are_left_alone(scheme: Scheme, granularity: Granularity) -> None:
    weight = weights()
    rounded(weight, QuantSpec(some_bits(scheme), scheme, granularity))
    assert torch.equal(weight, weights())


# ---- clipped ranges


def covered(weight: Tensor, spec: QuantSpec) -> tuple[float, float]:
    found = levels(choose_qparams(weight, spec))
    return float(found[0]), float(found[-1])


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
    """A thousand weights of -1 and 1 in turn, and an outlier of 16; zeros have no say."""
    weight = torch.cat([torch.tensor([-1.0, 1.0]).repeat(500), torch.tensor([16.0]), torch.zeros(500)])
    found = covered(weight, QuantSpec(8, granularity=Granularity.TENSOR, clip=clip))
    assert found == pytest.approx((-reach, reach), rel=1e-5)


@pytest.mark.parametrize(("bits", "gaussian", "laplace"), [(2, 1.71, 2.83), (3, 2.15, 3.89), (4, 2.55, 5.03)])
def test_the_best_ranges_are_those_of_aciqs_authors(bits: int, gaussian: float, laplace: float) -> None:
    assert best_gaussian(bits) == pytest.approx(gaussian, abs=0.01)
    assert best_laplace(bits) == pytest.approx(laplace, abs=0.01)


@pytest.mark.parametrize("scheme", [scheme for scheme in Scheme if scheme.clips])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_the_least_error_is_that_of_an_exhaustive_search(scheme: Scheme, bits: int) -> None:
    weight = torch.randn(300, generator=torch.Generator().manual_seed(1)) ** 3
    found = rounded(weight, QuantSpec(bits, scheme, Granularity.TENSOR, Clip.LEAST_ERROR))
    errors = []
    for fraction in torch.linspace(1, 0.2, TRIED):
        q = QPARAMS[scheme](fraction * weight.min(), fraction * weight.max(), bits)
        errors.append(float((dequantize(quantize(weight, q), q) - weight).square().sum()))
    assert float((found - weight).square().sum()) == pytest.approx(min(errors), rel=1e-6)


@pytest.mark.parametrize("scheme", [scheme for scheme in Scheme if scheme.clips])
@pytest.mark.parametrize("clip", Clip)
@every_granularity
def test_every_range_stays_within_the_weights_and_leaves_zeros_alone(
    scheme: Scheme, clip: Clip, granularity: Granularity
) -> None:
    spec = QuantSpec(4, scheme, granularity, clip)
    full = covered(weights(), QuantSpec(4, scheme, granularity))
    step = (full[1] - full[0]) / 15
    low, high = covered(weights(), spec)
    assert full[0] - step <= low < high <= full[1] + step
    assert torch.isfinite(rounded(weights(), spec)).all()
    assert (rounded(weights(), spec)[-1] == 0).all() or granularity is Granularity.TENSOR


@pytest.mark.parametrize("clip", Clip)
def test_one_weight_is_a_range_too(clip: Clip) -> None:
    assert rounded(torch.tensor([[-3.0]]), QuantSpec(4, clip=clip)).item() == pytest.approx(-3)


def test_the_least_error_clips_where_clipping_pays() -> None:
    weight = weights()
    error = {
        clip: float((rounded(weight, QuantSpec(3, granularity=Granularity.TENSOR, clip=clip)) - weight).square().sum())
        for clip in (Clip.FULL, Clip.LEAST_ERROR)
    }
    assert error[Clip.LEAST_ERROR] < 0.9 * error[Clip.FULL]


# ---- what cannot be quantized, and what hardly can


@every_way
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_no_numbers_are_refused(scheme: Scheme, granularity: Granularity, value: float) -> None:
    weight = weights()
    weight[2, 1, 0, 0] = value
    with pytest.raises(ValueError, match="NaN, infinite"):
        choose_qparams(weight, QuantSpec(some_bits(scheme), scheme, granularity))


@every_way
@pytest.mark.parametrize("value", [0.0, 1e-45])
def test_a_group_of_zeros_or_subnormals_becomes_zeros(scheme: Scheme, granularity: Granularity, value: float) -> None:
    weight = torch.full((2, 3), value)
    assert rounded(weight, QuantSpec(some_bits(scheme), scheme, granularity)).tolist() == [[0] * 3] * 2


@every_way
def test_a_group_of_equal_weights_keeps_its_value(scheme: Scheme, granularity: Granularity) -> None:
    value = -0.5 if scheme is Scheme.POWER_OF_TWO else -0.75  # which is none
    weight = torch.full((2, 3), value)
    torch.testing.assert_close(rounded(weight, QuantSpec(some_bits(scheme), scheme, granularity)), weight)


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
def test_every_combination_runs_or_is_refused_in_words(weight: Tensor, bits: int) -> None:
    for scheme, granularity, clip in itertools.product(Scheme, Granularity, Clip):
        if bits in scheme.bits and (scheme.clips or clip is Clip.FULL):
            spec = QuantSpec(bits, scheme, granularity, clip)
            values = rounded(weight, spec)
            assert values.isfinite().all(), spec
            assert values.abs().max() <= 2 * weight.abs().max(), spec
        else:
            with pytest.raises(ValueError, match=r"bits|range to clip"):
                QuantSpec(bits, scheme, granularity, clip)
