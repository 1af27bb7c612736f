"""One output pixel in integers: the same number as torch's convolution of the fake-quantized tensors."""

import copy
import math
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from compression.core.compress import compress
from compression.core.record import CompressedModel
from compression.inspect.integers import Integers, Multiplier, Pixel, capture_input, compute_pixel, quantize_filter
from compression.spec import CompressionSpec, PruneSpec, QuantSpec, Scheme
from tests.support.networks import images, network

RANGE = (-2.0, 3.0)
CONVOLUTIONS = {
    "plain": {},
    "padded": {"padding": 1},
    "strided": {"stride": 2, "padding": 1},
    "uneven": {"stride": (1, 2), "padding": (2, 0), "dilation": (2, 1)},
    "same": {"padding": "same"},
    "groups": {"groups": 2, "padding": 1},
    "depthwise": {"groups": 4, "padding": 1, "bias": False},
}
SCHEMES = (Scheme.SYMMETRIC, Scheme.AFFINE)
each_convolution = pytest.mark.parametrize("arguments", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
each_quantizer = pytest.mark.parametrize(
    "weights",
    [QuantSpec(bits, s, g) for bits in (2, 8) for s in ("symmetric", "affine") for g in ("tensor", "channel")],
)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def compressed_conv(weights: QuantSpec, prune: PruneSpec | None = None, **arguments) -> CompressedModel:
    conv = nn.Conv2d(4, 8, 3, **arguments)
    conv.weight.data = random(*conv.weight.shape) + 0.2
    if conv.bias is not None:
        conv.bias.data = random(8, seed=1)
    return compress(nn.Sequential(conv), CompressionSpec("m", prune, weights))


def pixels(
    compressed: CompressedModel, inputs: Tensor, input_range: tuple[float, float] = RANGE
) -> dict[tuple[int, int, int], Pixel]:
    """Returns pixels in corners, which read padding, and in the middle, of the first and the last channel."""
    height, width = compressed.module(inputs).shape[2:]
    places = [(c, y, x) for c in (0, 7) for y in (0, height // 2, height - 1) for x in (0, width - 1)]
    return {place: compute_pixel(compressed, "0", inputs, input_range, place) for place in places}


def fake_quantized(inputs: Tensor) -> Tensor:
    scale = torch.tensor((RANGE[1] - RANGE[0]) / 255)
    return torch.fake_quantize_per_tensor_affine(inputs, scale, torch.tensor(round(2 / float(scale))), 0, 255)


# ---- beside torch


@each_quantizer
@each_convolution
def test_the_accumulator_is_the_convolution_of_the_fake_quantized_tensors(weights: QuantSpec, arguments: dict) -> None:
    compressed, inputs = compressed_conv(weights, **arguments), random(1, 4, 9, 8, seed=2)
    conv = copy.deepcopy(compressed.module[0]).double()
    with torch.no_grad():
        outputs = conv(fake_quantized(inputs).double())
    for place, pixel in pixels(compressed, inputs).items():
        bias = 0.0 if conv.bias is None else conv.bias[place[0]].item()
        expected = float(outputs[0][place])
        assert pixel.expected == pytest.approx(expected, rel=1e-6, abs=1e-6)  # torch's quantizer is float32
        assert pixel.accumulator * pixel.accumulator_scale + bias == pytest.approx(expected, rel=1e-6, abs=1e-5)


@each_convolution
def test_with_scales_that_floats_hold_exactly_the_accumulator_is_equal_to_the_last_bit(arguments: dict) -> None:
    compressed = compressed_conv(QuantSpec(8, "affine", "tensor"), **{**arguments, "bias": False})
    weight = compressed.original[0].weight.data
    weight.copy_(weight.mul(64).round().clamp(-100, 155) / 64)
    weight[0, 0, 0, :2] = torch.tensor([-100, 155]) / 64  # a range of 255 steps of 1/64
    compressed = compress(compressed.original, compressed.spec)
    inputs = random(1, 4, 9, 8, seed=2).mul(32).round().clamp(-64, 191) / 32
    with torch.no_grad():
        outputs = copy.deepcopy(compressed.original).double()(inputs.double())
    for place, pixel in pixels(compressed, inputs, (-2, 191 / 32)).items():
        assert (pixel.weights.scale, pixel.inputs.scale) == (1 / 64, 1 / 32)
        assert pixel.accumulator / 64 / 32 == pixel.expected == float(outputs[0][place])


@each_quantizer
@each_convolution
def test_the_code_is_within_one_of_the_rounded_float(weights: QuantSpec, arguments: dict) -> None:
    compressed = compressed_conv(weights, **arguments)
    for pixel in pixels(compressed, random(1, 4, 9, 8, seed=2)).values():
        exact = round(pixel.expected / pixel.output_scale) + pixel.output_zero_point
        assert abs(pixel.code - min(max(exact, 0), 255)) <= 1
        assert abs(pixel.difference) <= 1.01 * pixel.output_scale
        assert pixel.value == pixel.expected + pixel.difference


@each_quantizer
def test_equation_7_equals_the_sum_of_codes_minus_zero_points(weights: QuantSpec) -> None:
    for pixel in pixels(compressed_conv(weights, padding=1), random(1, 4, 9, 8, seed=2)).values():
        w, x = (part.codes.double() - part.zero_point for part in (pixel.weights, pixel.inputs))
        assert pixel.accumulator == float((w * x).sum())
        assert pixel.product_sum == float((pixel.weights.codes.double() * pixel.inputs.codes.double()).sum())
        if weights.scheme == "symmetric":
            assert pixel.weight_correction == pixel.constant == 0


# ---- on paper


def on_paper(bias: float = 0.5) -> CompressedModel:
    """Weights 1, -1, 2, 0.5 at 3 bits: scale 2/3, codes 2, -2, 3, 1."""
    conv = nn.Conv2d(1, 1, 2, padding=1)
    conv.weight.data = torch.tensor([[[[1, -1], [2, 0.5]]]])
    conv.bias.data.fill_(bias)
    return compress(nn.Sequential(conv), CompressionSpec("m", weights=QuantSpec(3)))


def test_a_corner_on_paper() -> None:
    """The input, 3 in 0..255, has padding above and left of it: the last weight multiplies it. Outputs are in 0..51."""
    pixel = compute_pixel(on_paper(), "0", torch.full((1, 1, 1, 1), 3.0), (0, 255), (0, 0, 0), (0, 51))
    assert pixel.inputs.codes.tolist() == [[[0, 0], [0, 3]]]
    assert pixel.weights.codes.tolist() == [[[2, -2], [3, 1]]]
    assert (pixel.product_sum, pixel.accumulator, pixel.bias) == (3, 3, 1)  # 0.5 is 0.75 of 2/3
    assert (pixel.code, pixel.value) == (13, pytest.approx(2.6))  # 4 * 2/3 / 0.2 = 13.3
    assert pixel.expected == pytest.approx(2.5)
    assert pixel.difference == pytest.approx(0.1)


def test_padding_is_the_zero_point() -> None:
    pixel = compute_pixel(on_paper(), "0", torch.full((1, 1, 1, 1), 1.0), (-100, 155), (0, 0, 0))
    assert pixel.inputs.codes.tolist() == [[[100, 100], [100, 101]]]
    assert pixel.accumulator == 1


def test_an_output_range_from_zero_is_a_relu() -> None:
    pixel = compute_pixel(on_paper(bias=-9.0), "0", torch.full((1, 1, 1, 1), 3.0), (0, 255), (0, 0, 0), (0, 51))
    assert pixel.expected < 0
    assert (pixel.code, pixel.value) == (0, 0.0)


# ---- the multiplier


def gemmlowp(value: int, mantissa: int, shift: int) -> int:
    """Computes SaturatingRoundingDoublingHighMul and RoundingDivideByPOT of fixedpoint.h."""
    product = value * mantissa
    nudge = 1 << 30 if product >= 0 else 1 - (1 << 30)
    total = product + nudge
    high = total // 2**31 if total >= 0 else -(-total // 2**31)  # C++ divides towards zero
    mask = (1 << shift) - 1
    return (high >> shift) + ((high & mask) > (mask >> 1) + (high < 0))


@pytest.mark.parametrize("real", [0.5, 0.0003, 0.7499, 1 - 2**-40, 1 / 3, 2**-20])
def test_the_multiplier_rounds_as_gemmlowp_does(real: float) -> None:
    multiplier = Multiplier.of(real)
    assert 2**30 <= multiplier.mantissa < 2**31
    assert math.ldexp(multiplier.mantissa, -31 - multiplier.shift) == pytest.approx(real, rel=2**-31)
    near = [sign * (2**k + step) for sign in (1, -1) for k in range(30) for step in (-1, 0, 1)]
    for value in [*near, *range(-50, 50)]:
        if multiplier.shift >= 0:
            assert multiplier.times(value) == gemmlowp(value, multiplier.mantissa, multiplier.shift)


@pytest.mark.parametrize("real", [1e-6, 0.01, 0.9, 1.0, 3.7, 200.0])
def test_a_product_with_the_multiplier_is_within_one_of_the_real_one(real: float) -> None:
    for value in (-100_000, -77, -1, 0, 1, 5, 12_345):
        assert abs(Multiplier.of(real).times(value) - value * real) <= 1


# ---- a whole network


@pytest.fixture(scope="module")
def mobilenet() -> CompressedModel:
    return compress(network("mobilenetv2"), CompressionSpec("m", weights=QuantSpec(8), fold_bn=True))


def test_every_convolution_of_a_network_stays_within_int32_and_an_output_step(mobilenet: CompressedModel) -> None:
    convolutions = {n: m for n, m in mobilenet.original.named_modules() if isinstance(m, nn.Conv2d)}
    for name in list(convolutions)[::4]:
        inputs = capture_input(mobilenet.module, name, images(1))
        pixel = compute_pixel(mobilenet, name, inputs, (float(inputs.min()), float(inputs.max())), (0, 1, 1))
        worst = 255 * 255 * pixel.products.numel()
        assert worst < 2**31
        assert abs(pixel.accumulator) <= worst
        assert abs(pixel.difference) <= pixel.output_scale


def test_the_input_of_a_layer_is_what_the_layers_before_it_give() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Dropout(), nn.ReLU(), nn.Conv2d(4, 2, 3)).train()
    with torch.no_grad():
        assert torch.equal(capture_input(module, "3", images(1)), F.relu(module[0](images(1))))
    assert module.training
    assert not module[3]._forward_pre_hooks


def test_threads_capture_inputs_at_the_same_time() -> None:
    """Eight threads use one network, and each gets the input for its own image."""
    module = network("resnet8")
    several = [image[None] for image in images(8)]
    with ThreadPoolExecutor(8) as pool:
        captured_inputs = list(pool.map(lambda image: capture_input(module, "fc", image), several))
    for image, its in zip(several, captured_inputs, strict=True):
        assert torch.equal(its, capture_input(module, "fc", image))


def test_a_filter_is_its_codes_and_pruned_weights_are_at_the_zero_point() -> None:
    compressed = compressed_conv(QuantSpec(4, "affine", "channel"), PruneSpec(sparsity=0.5))
    record = compressed.layers[0]
    for channel in range(8):
        integers = quantize_filter(record, channel)
        assert isinstance(integers, Integers)
        torch.testing.assert_close((integers.codes - integers.zero_point) * integers.scale, record.weight[channel])
        assert (integers.codes[record.weight[channel] == 0] == integers.zero_point).all()


# ---- refused


@pytest.mark.parametrize(
    ("weights", "change", "words"),
    [
        (QuantSpec(4, "k-means"), {}, "cannot be computed in integers"),
        (QuantSpec(4, granularity="group"), {}, "one scale per tensor or per channel"),
        (QuantSpec(4, "min-max"), {}, "an integer zero point, as the schemes symmetric and affine have"),
        (QuantSpec(9), {}, "its weights need at most 8 bits"),
        (None, {}, "layer 0 cannot be computed in integers"),
        (QuantSpec(8), {"layer": "1"}, "'1' is not a two-dimensional convolution"),
        (QuantSpec(8), {"inputs": torch.zeros(2, 4, 9, 9)}, r"one input of 4 channels, got \(2, 4, 9, 9\)"),
        (QuantSpec(8), {"place": (8, 0, 0)}, r"channel must be in 0\.\.7, got 8"),
        (QuantSpec(8), {"place": (0, 7, 0)}, r"y must be in 0\.\.6, got 7"),
        (QuantSpec(8), {"place": (0, 0, -1)}, r"x must be in 0\.\.6, got -1"),
        (QuantSpec(8), {"input_range": (2.0, 1.0)}, "the smaller one first, got 2.0 to 1.0"),
        (QuantSpec(8), {"input_range": (0.0, 1e-8)}, "the bias of channel 0 is .* does not fit int32"),
    ],
)
def test_a_pixel_that_cannot_be_computed_is_refused_with_the_reason(
    weights: QuantSpec | None, change: dict, words: str
) -> None:
    arguments = {"layer": "0", "inputs": torch.zeros(1, 4, 9, 9), "input_range": RANGE, "place": (0, 0, 0)}
    with pytest.raises(ValueError, match=words):
        compute_pixel(compressed_conv(weights), **(arguments | change))


def test_the_input_of_an_unknown_layer_is_refused() -> None:
    with pytest.raises(ValueError, match="does not run a layer 'head'"):
        capture_input(nn.Sequential(nn.ReLU()), "head", images(1))
