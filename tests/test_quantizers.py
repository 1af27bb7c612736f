"""Quantizers: on paper, beside torch's own, and the laws that hold for all of them."""

import itertools

import pytest
import torch
from torch import Tensor

from compression.compress import sqnr_db
from compression.quantizers import QParams, choose_qparams, dequantize, levels, quantize
from compression.spec import Granularity, QuantSpec, Scheme

WAYS = list(itertools.product(Scheme, Granularity))
BITS = (2, 3, 4, 5, 6, 7, 8, 12, 16)
every_way = pytest.mark.parametrize(("scheme", "granularity"), WAYS, ids="-".join)
every_width = pytest.mark.parametrize("bits", BITS)


def weights(kind: str = "conv") -> Tensor:
    """Weights like those of a layer, but skewed, with channels of very different size and one of zeros."""
    shape = {"conv": (8, 4, 3, 3), "linear": (10, 64), "kernel last": (8, 4, 3, 3)}[kind]
    generator = torch.Generator().manual_seed(3)
    weight = torch.randn(shape, generator=generator) * 0.1 + 0.02
    weight *= (2.0 ** -torch.arange(shape[0])).view(-1, *[1] * (len(shape) - 1))
    weight[-1] = 0
    return weight.to(memory_format=torch.channels_last) if kind == "kernel last" else weight


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


@every_width
@every_way
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


# ---- laws


@every_width
@every_way
def test_quantizing_twice_changes_nothing(scheme: Scheme, granularity: Granularity, bits: int) -> None:
    qparams = choose_qparams(weights(), QuantSpec(bits, scheme, granularity))
    codes = quantize(weights(), qparams)
    assert torch.equal(quantize(dequantize(codes, qparams), qparams), codes)


@every_width
@every_way
def test_choosing_the_range_again_gives_the_same_codes(scheme: Scheme, granularity: Granularity, bits: int) -> None:
    spec = QuantSpec(bits, scheme, granularity)
    qparams = choose_qparams(weights(), spec)
    codes = quantize(weights(), qparams)
    again = choose_qparams(dequantize(codes, qparams), spec)
    assert torch.equal(quantize(dequantize(codes, qparams), again), codes)
    torch.testing.assert_close(again.scale, qparams.scale, rtol=1e-6, atol=0)


@every_width
@every_way
def test_zero_stays_exactly_zero(scheme: Scheme, granularity: Granularity, bits: int) -> None:
    weight = weights()
    weight[:, ::2] = 0
    assert (rounded(weight, QuantSpec(bits, scheme, granularity))[:, ::2] == 0).all()


@every_width
@every_way
def test_codes_stay_within_their_bits(scheme: Scheme, granularity: Granularity, bits: int) -> None:
    qparams = choose_qparams(weights(), QuantSpec(bits, scheme, granularity))
    codes = quantize(weights(), qparams)
    assert qparams.low <= codes.min()
    assert codes.max() <= qparams.high
    assert qparams.high - qparams.low + 1 <= 2**bits
    assert ((qparams.low <= qparams.zero_point) & (qparams.zero_point <= qparams.high)).all()


@every_width
@every_way
def test_no_weight_is_further_off_than_one_step(scheme: Scheme, granularity: Granularity, bits: int) -> None:
    """Half a step where the zero point is exact, and up to half a step more at the ends where it was rounded."""
    qparams = choose_qparams(weights(), QuantSpec(bits, scheme, granularity))
    error = (dequantize(quantize(weights(), qparams), qparams) - weights()).abs() / qparams.scale
    assert error.max() <= (0.5 if scheme is Scheme.SYMMETRIC else 1.0) + 1e-3


@every_way
def test_more_bits_never_lower_the_sqnr(scheme: Scheme, granularity: Granularity) -> None:
    sqnrs = [sqnr_db(weights(), rounded(weights(), QuantSpec(b, scheme, granularity))) for b in range(2, 17)]
    assert sqnrs == sorted(sqnrs)
    assert sqnrs[-1] > sqnrs[0] + 60


@every_width
@pytest.mark.parametrize("scheme", Scheme)
def test_per_channel_never_has_more_error_than_per_tensor(scheme: Scheme, bits: int) -> None:
    error = {
        granularity: (rounded(weights(), QuantSpec(bits, scheme, granularity)) - weights()).square().sum()
        for granularity in Granularity
    }
    assert error[Granularity.CHANNEL] <= error[Granularity.TENSOR]


@every_way
def test_the_scale_of_the_weights_does_not_matter(scheme: Scheme, granularity: Granularity) -> None:
    spec = QuantSpec(5, scheme, granularity)
    assert torch.equal(rounded(weights() * 1024, spec), rounded(weights(), spec) * 1024)


@every_way
def test_the_weights_themselves_are_left_alone(scheme: Scheme, granularity: Granularity) -> None:
    weight = weights()
    rounded(weight, QuantSpec(4, scheme, granularity))
    assert torch.equal(weight, weights())


# ---- what cannot be quantized, and what hardly can


@every_way
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_no_numbers_are_refused(scheme: Scheme, granularity: Granularity, value: float) -> None:
    weight = weights()
    weight[2, 1, 0, 0] = value
    with pytest.raises(ValueError, match="NaN, infinite"):
        choose_qparams(weight, QuantSpec(4, scheme, granularity))


@every_way
@pytest.mark.parametrize("value", [0.0, 1e-45])
def test_a_group_of_zeros_or_subnormals_becomes_zeros(scheme: Scheme, granularity: Granularity, value: float) -> None:
    weight = torch.full((2, 3), value)
    assert rounded(weight, QuantSpec(8, scheme, granularity)).tolist() == [[0] * 3] * 2


@every_way
def test_a_group_of_equal_weights_keeps_its_value(scheme: Scheme, granularity: Granularity) -> None:
    weight = torch.full((2, 3), -0.75)
    torch.testing.assert_close(rounded(weight, QuantSpec(2, scheme, granularity)), weight)
