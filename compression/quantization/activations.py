"""Quantization of layer inputs during the forward pass: float32 inputs take the values that integers would have.

A layer gets an `InputQuantizer` as a forward pre-hook. The hook is a plain value: it is copied, pickled and moved with
its layer, and the names of the layers do not change.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from compression.quantization.calibration import InputStats, LayerInputs, input_range
from compression.quantization.quantizers import affine_qparams
from compression.spec import FLOAT_BITS, ActivationSpec, CompressionSpec


@dataclass(frozen=True)
class InputQuantizer:
    """Quantizes the first input of a layer: (clamp(round(x / scale) + zero_point, 0, 2^bits - 1) - zero_point) * scale.

    Rounds half to even; `scale` is a float32 number. torch's `fake_quantize_per_tensor_affine` returns the same numbers
    and takes eight times as long.
    """

    bits: int
    scale: float
    zero_point: int

    def __call__(self, layer: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """Returns the quantized inputs, as `layer.register_forward_pre_hook` expects; does not change `inputs`."""
        x, *others = inputs
        inverse_scale = float(1 / np.float32(self.scale))
        low, high = -self.zero_point, 2**self.bits - 1 - self.zero_point
        return x.mul(inverse_scale).round_().clamp_(low, high).mul_(self.scale), *others


def input_quantizer(stats: InputStats, spec: ActivationSpec) -> InputQuantizer:
    """Returns the quantizer of `spec` for inputs with these statistics.

    Raises ValueError if the range exceeds float32's.
    """
    low, high = (torch.tensor(end) for end in input_range(stats, spec))
    if not (high - low).isfinite():
        raise ValueError("cannot quantize inputs that span more than float32 holds")
    qparams = affine_qparams(low, high, spec.bits)
    return InputQuantizer(spec.bits, float(qparams.scale), int(qparams.zero_point))


def input_quantizers(
    layers: Iterable[str], spec: CompressionSpec, calibration: LayerInputs | None
) -> dict[str, InputQuantizer]:
    """Returns an input quantizer for each of `layers` whose inputs `spec` quantizes: all but those that stay float.

    Empty if `spec` does not quantize activations. Raises ValueError if the statistics of such a layer are not known.
    """
    if spec.activations is None:
        return {}
    if calibration is None:
        raise ValueError(
            f"quantized activations need a calibration of {spec.model or 'the network'}, and none was given"
        )
    float_layers = {layer.name for layer in spec.layers if layer.bits == FLOAT_BITS}
    quantized_layers = [name for name in layers if name not in float_layers]
    for name in quantized_layers:
        if name not in calibration:
            raise ValueError(
                f"the calibration of {spec.model or 'the network'} has no inputs of layer {name}; "
                "give that layer 32 bits to keep it in float"
            )
    return {name: input_quantizer(calibration[name], spec.activations) for name in quantized_layers}
