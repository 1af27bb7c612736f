r"""Computes one output pixel of a convolution in integers only, as hardware without floating point does.

With weights w = s_w (q_w - z_w), inputs x = s_x (q_x - z_x) and the output y = s_y (q_y - z_y), over the n weights of
one filter,

    sum w x = s_w s_x (sum q_w q_x - z_x sum q_w - z_w sum q_x + n z_w z_x)          q_y = z_y + M (that sum + bias)

Jacob et al. 2018 (arXiv:1712.05877), section 2.3, equation 7; the bias is an integer of scale s_w s_x (section 2.4) and
M = s_w s_x / s_y an integer and a shift (section 2.2). Codes have at most 8 bits, sums 32.
"""

import copy
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from compression.core.record import CompressedModel, LayerRecord
from compression.quantization.quantizers import QParams, affine_qparams, dequantize, quantize

BITS = 8  # of inputs and outputs, and at most of weights

MANTISSA_BITS = 31


@dataclass(frozen=True, eq=False)
class Integers:
    """Integer codes, int32 of any shape. A code stands for the value (code - zero_point) * scale."""

    codes: Tensor
    scale: float
    zero_point: int


@dataclass(frozen=True)
class Multiplier:
    """A real number above 0 as mantissa * 2^-31 * 2^-shift, where mantissa * 2^-31 is in [0.5, 1)."""

    mantissa: int
    shift: int

    @classmethod
    def of(cls, real: float) -> "Multiplier":
        """Returns the multiplier closest to `real`."""
        fraction, exponent = math.frexp(real)
        mantissa = math.floor(math.ldexp(fraction, MANTISSA_BITS) + 0.5)
        if mantissa == 1 << MANTISSA_BITS:  # rounded up to 1
            return cls(mantissa >> 1, -exponent - 1)
        return cls(mantissa, -exponent)

    def times(self, value: int) -> int:
        """Returns round(value * real), rounded as gemmlowp does.

        First the high half of a doubled product, where halves round up; then the shift, where halves round away from
        zero (SaturatingRoundingDoublingHighMul and RoundingDivideByPOT of its fixedpoint.h).
        """
        left, right = max(-self.shift, 0), max(self.shift, 0)
        high = ((value << left) * self.mantissa + (1 << (MANTISSA_BITS - 1))) >> MANTISSA_BITS
        magnitude = (abs(high) + (1 << right >> 1)) >> right
        return magnitude if high >= 0 else -magnitude


@dataclass(frozen=True, eq=False)
class Pixel:
    """One output pixel of one channel, with all integers that it is computed from.

    `weights` are those of its filter and `inputs` the ones that they are multiplied with; both are (C_in / groups, kH,
    kW). Inputs in the padding are the zero point. `bias` is an int32 of scale s_w s_x. `expected` is the same output,
    computed in float64 from the fake-quantized weights and inputs and the float bias.
    """

    weights: Integers
    inputs: Integers
    bias: int
    output_scale: float
    output_zero_point: int
    expected: float

    @property
    def products(self) -> Tensor:
        """q_w q_x, int32 (C_in / groups, kH, kW)."""
        return self.weights.codes * self.inputs.codes

    @property
    def product_sum(self) -> int:
        """sum q_w q_x, which the inner loop computes."""
        return int(self.products.sum(dtype=torch.int64))

    @property
    def input_correction(self) -> int:
        """z_x sum q_w, which does not depend on the image and can be computed in advance."""
        return self.inputs.zero_point * int(self.weights.codes.sum())

    @property
    def weight_correction(self) -> int:
        """z_w sum q_x, which is 0 for symmetric weights; this is their advantage."""
        return self.weights.zero_point * int(self.inputs.codes.sum())

    @property
    def constant(self) -> int:
        """n z_w z_x."""
        return self.weights.codes.numel() * self.weights.zero_point * self.inputs.zero_point

    @property
    def accumulator(self) -> int:
        """The int32 sum of (q_w - z_w)(q_x - z_x), without the bias."""
        return self.product_sum - self.input_correction - self.weight_correction + self.constant

    @property
    def accumulator_scale(self) -> float:
        """s_w s_x: the value of one unit of the accumulator and of the bias."""
        return self.weights.scale * self.inputs.scale

    @property
    def multiplier(self) -> Multiplier:
        """M = s_w s_x / s_y."""
        return Multiplier.of(self.accumulator_scale / self.output_scale)

    @property
    def code(self) -> int:
        """The code of the output, 0..255; it saturates. With an output range that begins at 0, this computes a ReLU."""
        code = self.output_zero_point + self.multiplier.times(self.accumulator + self.bias)
        return min(max(code, 0), 2**BITS - 1)

    @property
    def value(self) -> float:
        """The value that the code of the output stands for."""
        return (self.code - self.output_zero_point) * self.output_scale

    @property
    def difference(self) -> float:
        """`value` minus `expected`: at most half an output step plus the error of the bias, unless it saturates."""
        return self.value - self.expected


def quantize_filter(record: LayerRecord, channel: int) -> Integers:
    """Returns the codes (C_in / groups, kernel ...) of one output channel of `record`.

    Raises ValueError if the weights do not have at most 8 bits, a scale per tensor or channel, and an integer zero
    point, or if there is no such channel.
    """
    qparams = record.qparams
    if not isinstance(qparams, QParams) or not qparams.zero_is_exact or qparams.codes > 2**BITS or qparams.group_size:
        raise ValueError(
            f"layer {record.name} cannot be computed in integers: its weights need at most {BITS} bits, one scale per "
            "tensor or per channel, and an integer zero point, as the schemes symmetric and affine have"
        )
    weight = record.channels_first
    _check_index("channel", channel, len(weight))
    scale, zero_point = (each.reshape(-1)[channel % each.numel()] for each in (qparams.scale, qparams.zero_point))
    return Integers(quantize(weight, qparams)[channel], float(scale), int(zero_point))


def compute_pixel(
    compressed: CompressedModel,
    layer: str,
    inputs: Tensor,
    input_range: tuple[float, float],
    place: tuple[int, int, int],
    output_range: tuple[float, float] | None = None,
) -> Pixel:
    """Computes the output of the convolution `layer` at `place`: channel, y and x.

    `inputs` (1, C, H, W) are those of the layer. The 8-bit codes of inputs and outputs cover `input_range` and
    `output_range`; None means the range of the outputs of this layer for these inputs. Raises ValueError if the layer
    is no quantized Conv2d, if the place is outside its output, or if a sum does not fit int32.
    """
    records = {record.name: record for record in compressed.layers}
    conv = compressed.original.get_submodule(layer) if layer in records else None
    if not isinstance(conv, nn.Conv2d) or conv.padding_mode != "zeros":
        raise ValueError(f"{layer!r} is not a two-dimensional convolution with zero padding")
    if inputs.dim() != 4 or inputs.shape[:2] != (1, conv.in_channels):
        raise ValueError(f"layer {layer} takes one input of {conv.in_channels} channels, got {tuple(inputs.shape)}")
    channel, y, x = place
    weights = quantize_filter(records[layer], channel)
    bias = torch.zeros(conv.out_channels) if conv.bias is None else conv.bias.detach()
    quantizer = _range_qparams(*input_range)
    padding = conv._reversed_padding_repeated_twice
    codes = F.pad(quantize(inputs, quantizer), padding, value=int(quantizer.zero_point))
    outputs = F.conv2d(
        F.pad(dequantize(quantize(inputs, quantizer), quantizer), padding).double(),
        records[layer].weight.double(),
        bias.double(),
        conv.stride,
        dilation=conv.dilation,
        groups=conv.groups,
    )[0]
    _check_index("y", y, outputs.shape[1])
    _check_index("x", x, outputs.shape[2])
    out = _range_qparams(*(output_range or (float(outputs.min()), float(outputs.max()))))
    accumulator_scale = weights.scale * float(quantizer.scale)
    result = Pixel(
        weights=weights,
        inputs=Integers(_patch(codes[0], conv, channel, y, x), float(quantizer.scale), int(quantizer.zero_point)),
        bias=round(float(bias[channel]) / accumulator_scale),
        output_scale=float(out.scale),
        output_zero_point=int(out.zero_point),
        expected=float(outputs[channel, y, x]),
    )
    for name, number in {"accumulator": result.accumulator, "bias": result.bias}.items():
        if abs(number) >= 2**MANTISSA_BITS:
            raise ValueError(f"layer {layer}: the {name} of channel {channel} is {number:,} and does not fit int32")
    return result


def capture_input(module: nn.Module, layer: str, image: Tensor) -> Tensor:
    """Returns the input of `layer` for `image` (1, C, H, W); the first one if `module` runs the layer several times.

    This runs a copy in eval mode, so that other threads can use `module` at the same time. Raises ValueError if there
    is no such layer, or if it does not run.
    """
    own_copy = copy.deepcopy(module).eval()
    inputs: list[Tensor] = []
    target = dict(own_copy.named_modules()).get(layer)
    if target is not None:
        target.register_forward_pre_hook(lambda _, arguments: inputs.append(arguments[0].clone()))
        with torch.no_grad():
            own_copy(image)
    if not inputs:
        raise ValueError(f"this network does not run a layer {layer!r}")
    return inputs[0]


def _patch(codes: Tensor, conv: nn.Conv2d, channel: int, y: int, x: int) -> Tensor:
    """Returns the part (C_in / groups, kH, kW) of padded codes (C_in, H, W) under the filter of `channel` at (y, x)."""
    channels = conv.in_channels // conv.groups
    first = channel // (conv.out_channels // conv.groups) * channels
    rows, columns = (
        slice(place * stride, place * stride + dilation * (size - 1) + 1, dilation)
        for place, stride, dilation, size in zip((y, x), conv.stride, conv.dilation, conv.kernel_size, strict=True)
    )
    return codes[first : first + channels, rows, columns]


def _range_qparams(low: float, high: float) -> QParams:
    if not (low <= high and math.isfinite(high - low)):
        raise ValueError(f"a range must have finite ends, the smaller one first, got {low} to {high}")
    return affine_qparams(torch.tensor(low), torch.tensor(high), BITS)


def _check_index(name: str, index: int, size: int) -> None:
    if not 0 <= index < size:
        raise ValueError(f"{name} must be in 0..{size - 1}, got {index}")
