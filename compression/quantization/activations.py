"""Inputs of layers to integers and back, as they pass: what integer hardware would compute with, in float32.

A layer gets a forward pre-hook, which is a value: it is copied, pickled and moved with its layer, and the names of the
layers stay as they are.
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
    """x -> (clamp(round(x / scale) + zero_point, 0, 2^bits - 1) - zero_point) * scale, of a layer's first input.

    Ties go to even; `scale` is a float32. torch's `fake_quantize_per_tensor_affine` gives the same numbers in eight
    times the time.
    """

    bits: int
    scale: float
    zero_point: int

    def __call__(self, layer: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """What `layer.register_forward_pre_hook` wants. A copy; `inputs` stay as they are."""
        x, *others = inputs
        per_step = float(1 / np.float32(self.scale))
        low, high = -self.zero_point, 2**self.bits - 1 - self.zero_point
        return x.mul(per_step).round_().clamp_(low, high).mul_(self.scale), *others


def input_quantizer(stats: InputStats, spec: ActivationSpec) -> InputQuantizer:
    """Raises ValueError where the range is beyond float32's."""
    low, high = (torch.tensor(end) for end in input_range(stats, spec))
    if not (high - low).isfinite():
        raise ValueError("cannot quantize inputs that span more than float32 holds")
    qparams = affine_qparams(low, high, spec.bits)
    return InputQuantizer(spec.bits, float(qparams.scale), int(qparams.zero_point))


def input_quantizers(
    layers: Iterable[str], spec: CompressionSpec, seen: LayerInputs | None
) -> dict[str, InputQuantizer]:
    """Those of `layers` that `spec` quantizes the inputs of: none, or all but those that it leaves float.

    Raises ValueError where what they see is not known.
    """
    if spec.activations is None:
        return {}
    if seen is None:
        raise ValueError(f"activations can only be quantized with a calibration, and {spec.model} came without one")
    left_float = {layer.name for layer in spec.layers if layer.bits == FLOAT_BITS}
    wanted = [name for name in layers if name not in left_float]
    for name in wanted:
        if name not in seen:
            raise ValueError(
                f"the calibration of {spec.model} does not say what layer {name} sees; leave it float, with 32 bits"
            )
    return {name: input_quantizer(seen[name], spec.activations) for name in wanted}
