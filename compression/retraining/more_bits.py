"""More bits first: the quantizers of a network with finer steps in the same range."""

from dataclasses import replace

from compression.quantization.activations import InputQuantizer
from compression.quantization.quantizers import QPARAMS, QParams
from compression.quantization.straight_through import Quantizer
from compression.retraining.recipe import GROWING
from compression.spec import FLOAT_BITS, Scheme


def weights_with_bits(quantizer: Quantizer, scheme: Scheme, bits: int | None) -> Quantizer | None:
    """Returns a quantizer of weights with `bits`, or None for FLOAT_BITS.

    It is `quantizer` itself if that has as many, if `bits` is None, and for schemes that have no finer steps.
    """
    if bits == FLOAT_BITS:
        return None
    if bits is None or scheme not in GROWING or not isinstance(quantizer, QParams) or 2**bits <= quantizer.codes:
        return quantizer
    low, high = ((end - quantizer.zero_point) * quantizer.scale for end in (quantizer.low, quantizer.high))
    return replace(QPARAMS[scheme](low, high, bits), group_size=quantizer.group_size)


def inputs_with_bits(quantizer: InputQuantizer, bits: int | None) -> InputQuantizer | None:
    """As `weights_with_bits`, for inputs of a layer. A zero inside of the range moves to the nearest step."""
    if bits == FLOAT_BITS:
        return None
    if bits is None or bits <= quantizer.bits:
        return quantizer
    share = (2**quantizer.bits - 1) / (2**bits - 1)  # of the step
    return InputQuantizer(bits, quantizer.scale * share, round(quantizer.zero_point / share))
