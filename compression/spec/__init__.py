"""What to do to a network, as frozen values. Their names and options are the glossary of the project.

This package re-exports the specs and their options. Recipes and links (`recipe`), titles (`title`) and sets of specs
(`grid`) are imported by their full path. It imports the standard library only.
"""

from compression.spec.checks import FLOAT_BITS, MAX_BITS, MIN_BITS
from compression.spec.compression import SAMPLE_IMAGES, Also, CompressionSpec, LayerSpec, Order
from compression.spec.prune import Criterion, PruneSpec, Scope, Structure, Unit, structure_from
from compression.spec.quantize import (
    AUTOMATIC_SCHEMES,
    DEFAULT_CLIP_AT,
    GROUP_SIZE,
    GROUP_SIZES,
    LARGEST_STEP,
    SMALLEST_STEP,
    ActivationSpec,
    Calibration,
    Clip,
    Granularity,
    Only,
    QuantSpec,
    Scheme,
)
from compression.spec.rounding import RATE_PENALTY, Rounding
from compression.spec.vectors import VectorFormat

__all__ = [
    "AUTOMATIC_SCHEMES",
    "DEFAULT_CLIP_AT",
    "FLOAT_BITS",
    "GROUP_SIZE",
    "GROUP_SIZES",
    "LARGEST_STEP",
    "MAX_BITS",
    "MIN_BITS",
    "RATE_PENALTY",
    "SAMPLE_IMAGES",
    "SMALLEST_STEP",
    "ActivationSpec",
    "Also",
    "Calibration",
    "Clip",
    "CompressionSpec",
    "Criterion",
    "Granularity",
    "LayerSpec",
    "Only",
    "Order",
    "PruneSpec",
    "QuantSpec",
    "Rounding",
    "Scheme",
    "Scope",
    "Structure",
    "Unit",
    "VectorFormat",
    "structure_from",
]
