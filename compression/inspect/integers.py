r"""One output pixel of a convolution, worked out in integers alone, as hardware without floating point does it.

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
    """Codes, int32 of any shape: each stands for (code - zero_point) * scale."""

    codes: Tensor
    scale: float
    zero_point: int


@dataclass(frozen=True)
class Multiplier:
    """A real number above 0 as mantissa * 2^-31 * 2^-shift: the mantissa, of 31 bits, stands for one in [0.5, 1)."""

    mantissa: int
    shift: int

    @classmethod
    def of(cls, real: float) -> "Multiplier":
        fraction, exponent = math.frexp(real)
        mantissa = math.floor(math.ldexp(fraction, MANTISSA_BITS) + 0.5)
        if mantissa == 1 << MANTISSA_BITS:  # rounded up to 1
            return cls(mantissa >> 1, -exponent - 1)
        return cls(mantissa, -exponent)

    def times(self, value: int) -> int:
        """round(value * real) as gemmlowp rounds: the high half of a doubled product, half up; then the shift, half
        away from zero (SaturatingRoundingDoublingHighMul and RoundingDivideByPOT of its fixedpoint.h).
        """
        left, right = max(-self.shift, 0), max(self.shift, 0)
        high = ((value << left) * self.mantissa + (1 << (MANTISSA_BITS - 1))) >> MANTISSA_BITS
        magnitude = (abs(high) + (1 << right >> 1)) >> right
        return magnitude if high >= 0 else -magnitude


@dataclass(frozen=True, eq=False)
class Pixel:
    """One output pixel of one channel, with every integer on the way to it.

    `weights` are those of its filter, `inputs` what they are multiplied with, both (C_in / groups, kH, kW); beyond the
    edge of the image an input is its zero point. `bias` is an int32 of scale s_w s_x. `expected` is the same output
    from the fake-quantized weights and inputs and the float bias, in float64.
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
        """sum q_w q_x: all that the inner loop does."""
        return int(self.products.sum(dtype=torch.int64))

    @property
    def input_correction(self) -> int:
        """z_x sum q_w, which does not depend on the image and is known beforehand."""
        return self.inputs.zero_point * int(self.weights.codes.sum())

    @property
    def weight_correction(self) -> int:
        """z_w sum q_x: 0 for symmetric weights, which is why they are liked."""
        return self.weights.zero_point * int(self.inputs.codes.sum())

    @property
    def constant(self) -> int:
        """n z_w z_x."""
        return self.weights.codes.numel() * self.weights.zero_point * self.inputs.zero_point

    @property
    def accumulator(self) -> int:
        """The int32 sum of (q_w - z_w)(q_x - z_x); the bias is not yet in it."""
        return self.product_sum - self.input_correction - self.weight_correction + self.constant

    @property
    def accumulator_scale(self) -> float:
        """s_w s_x: what one in the accumulator, and in the bias, stands for."""
        return self.weights.scale * self.inputs.scale

    @property
    def multiplier(self) -> Multiplier:
        """M = s_w s_x / s_y."""
        return Multiplier.of(self.accumulator_scale / self.output_scale)

    @property
    def code(self) -> int:
        """The output's code, 0..255. What lies beyond saturates: an output range that begins at 0 makes it a ReLU."""
        code = self.output_zero_point + self.multiplier.times(self.accumulator + self.bias)
        return min(max(code, 0), 2**BITS - 1)

    @property
    def value(self) -> float:
        """What the output's code stands for."""
        return (self.code - self.output_zero_point) * self.output_scale

    @property
    def difference(self) -> float:
        """Integers minus floats: half an output step or less, plus what was lost on the bias, unless it saturates."""
        return self.value - self.expected


def filter_codes(record: LayerRecord, channel: int) -> Integers:
    """The weights of one output channel of `record` -> codes (C_in / groups, kernel ...).

    Raises ValueError where its weights are no integers of at most 8 bits with a scale, or there is no such channel.
    """
    qparams = record.qparams
    if not isinstance(qparams, QParams) or not qparams.zero_is_exact or qparams.codes > 2**BITS or qparams.group_size:
        raise ValueError(
            f"layer {record.name} has no integers to multiply: that takes weights of at most {BITS} bits, a scale for "
            "a whole channel or more, and an integer zero point, as symmetric and affine ones have"
        )
    weight = record.channels_first
    _within("channel", channel, len(weight))
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
    """The output of the convolution `layer` at `place`: channel, y and x.

    `inputs` (1, C, H, W) are those of the layer. The ranges are those that the 8-bit codes of inputs and outputs
    cover; None: from the smallest to the largest output of this layer for these inputs. Raises ValueError on a layer
    that is no quantized Conv2d, a place outside its output, and sums that outgrow int32.
    """
    records = {record.name: record for record in compressed.layers}
    conv = compressed.original.get_submodule(layer) if layer in records else None
    if not isinstance(conv, nn.Conv2d) or conv.padding_mode != "zeros":
        raise ValueError(f"{layer!r} is no two-dimensional convolution that pads with zeros")
    if inputs.dim() != 4 or inputs.shape[:2] != (1, conv.in_channels):
        raise ValueError(f"layer {layer} takes one input of {conv.in_channels} channels, got {tuple(inputs.shape)}")
    channel, y, x = place
    weights = filter_codes(records[layer], channel)
    bias = torch.zeros(conv.out_channels) if conv.bias is None else conv.bias.detach()
    coded = _range_qparams(*input_range)
    padding = conv._reversed_padding_repeated_twice
    codes = F.pad(quantize(inputs, coded), padding, value=int(coded.zero_point))
    outputs = F.conv2d(
        F.pad(dequantize(quantize(inputs, coded), coded), padding).double(),
        records[layer].weight.double(),
        bias.double(),
        conv.stride,
        dilation=conv.dilation,
        groups=conv.groups,
    )[0]
    _within("y", y, outputs.shape[1])
    _within("x", x, outputs.shape[2])
    out = _range_qparams(*(output_range or (float(outputs.min()), float(outputs.max()))))
    accumulator_scale = weights.scale * float(coded.scale)
    found = Pixel(
        weights=weights,
        inputs=Integers(_patch(codes[0], conv, channel, y, x), float(coded.scale), int(coded.zero_point)),
        bias=round(float(bias[channel]) / accumulator_scale),
        output_scale=float(out.scale),
        output_zero_point=int(out.zero_point),
        expected=float(outputs[channel, y, x]),
    )
    for name, number in {"accumulator": found.accumulator, "bias": found.bias}.items():
        if abs(number) >= 2**MANTISSA_BITS:
            raise ValueError(f"layer {layer}: the {name} of channel {channel} is {number:,} and does not fit int32")
    return found


def layer_input(module: nn.Module, layer: str, image: Tensor) -> Tensor:
    """What comes into `layer` when `image` (1, C, H, W) goes through `module`; the first time, if it comes again.

    On a copy in eval mode, so `module` stays as it is, whoever uses it meanwhile. Raises ValueError where there is no
    such layer or nothing comes into it.
    """
    private = copy.deepcopy(module).eval()
    found: list[Tensor] = []
    seen = dict(private.named_modules()).get(layer)
    if seen is not None:
        seen.register_forward_pre_hook(lambda _, arguments: found.append(arguments[0].clone()))
        with torch.no_grad():
            private(image)
    if not found:
        raise ValueError(f"nothing goes through a layer {layer!r} of this network")
    return found[0]


def _patch(codes: Tensor, conv: nn.Conv2d, channel: int, y: int, x: int) -> Tensor:
    """Padded codes (C_in, H, W) -> what the filter of `channel` meets at (y, x), (C_in / groups, kH, kW)."""
    among = conv.in_channels // conv.groups
    first = channel // (conv.out_channels // conv.groups) * among
    rows, columns = (
        slice(place * stride, place * stride + dilation * (size - 1) + 1, dilation)
        for place, stride, dilation, size in zip((y, x), conv.stride, conv.dilation, conv.kernel_size, strict=True)
    )
    return codes[first : first + among, rows, columns]


def _range_qparams(low: float, high: float) -> QParams:
    if not (low <= high and math.isfinite(high - low)):
        raise ValueError(f"a range goes from its smaller to its larger end, got {low} to {high}")
    return affine_qparams(torch.tensor(low), torch.tensor(high), BITS)


def _within(what: str, place: int, size: int) -> None:
    if not 0 <= place < size:
        raise ValueError(f"{what} must be in 0..{size - 1}, got {place}")
