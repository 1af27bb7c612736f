"""How weights are rounded to the values of their quantizer: `Rounding`."""

from enum import StrEnum

RATE_PENALTY = 0.3  # the default of `CompressionSpec.rate_penalty`


class Rounding(StrEnum):
    """How weights become values of their quantizer; see `reconstruction`. All but nearest need training images."""

    NEAREST = "nearest"
    COMPENSATED = "compensated"
    LEARNED = "learned"
    RATE_AWARE = "rate-aware"
