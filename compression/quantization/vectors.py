"""Rounds biases and batch norm to fewer bits: float16, bfloat16, or 8-bit codes with a scale per tensor."""

import torch
from torch import Tensor, nn

from compression.spec import VectorFormat

TOP = 127  # the largest code

SCALE_BITS = 16  # of the significand of a scale; with the 7 bits of a code, a product is exact in float32

VARIANCE = "running_var"


def vector_codes(values: Tensor, positive: bool = False) -> tuple[Tensor, float]:
    r"""values (n,) float32 -> int8 codes (n,) and the scale, so that codes * scale are the rounded values, exactly.

    Formula: q = \mathrm{round}(v / s), \quad s \ge \max \lvert v \rvert / 127
    Source: symmetric quantization, Krishnamoorthi 2018 (arXiv:1806.08342), section 2.2; s has a short significand.
    Fails: for variances of batch norm that differ a hundredfold, where small ones become the scale.

    `positive`: values above zero stay above zero. Rounded values have the same codes and the same scale again.
    """
    largest = float(values.abs().max()) if values.numel() else 0.0
    if largest < torch.finfo(torch.float32).tiny * 2**24:
        return torch.zeros(values.shape, dtype=torch.int8), 1.0
    fraction, exponent = torch.frexp(torch.tensor(largest / TOP, dtype=torch.float64))
    scale = float(torch.ldexp(torch.ceil(fraction * 2**SCALE_BITS), exponent - SCALE_BITS))
    codes = (values.double() / scale).round()
    if positive:
        codes = torch.where(values > 0, codes.clamp_min(1), codes)
    return codes.to(torch.int8), scale


def round_vector(values: Tensor, form: VectorFormat, positive: bool = False) -> Tensor:
    """Returns values (n,) float32 rounded to the numbers of `form`, as float32. `positive`: see `vector_codes`.

    Values beyond the largest float16 become that. Rounding again changes nothing.
    """
    if form is VectorFormat.FLOAT32:
        return values
    if form is VectorFormat.INT8:
        codes, scale = vector_codes(values, positive)
        return codes.float() * scale
    if form is VectorFormat.BFLOAT16:
        return values.bfloat16().float()
    most = torch.finfo(torch.float16).max
    return values.clamp(-most, most).half().float()


def is_vector(tensor: Tensor) -> bool:
    """Whether `tensor` is a vector of numbers: biases and batch norm, but neither weights nor counters."""
    return tensor.dim() <= 1 and tensor.is_floating_point()


def round_tensor(key: str, tensor: Tensor, form: VectorFormat) -> Tensor:
    """Returns the tensor called `key` in the state dict, rounded if it is a vector."""
    return round_vector(tensor, form, key.endswith(VARIANCE)) if is_vector(tensor) else tensor


def round_vectors_(module: nn.Module, form: VectorFormat) -> None:
    """Rounds all vectors of `module` to the numbers of `form`. Weights are not touched, and nothing is for float32."""
    if form is VectorFormat.FLOAT32:
        return
    with torch.no_grad():
        for key, tensor in module.state_dict().items():
            if is_vector(tensor):
                tensor.copy_(round_tensor(key, tensor, form))
