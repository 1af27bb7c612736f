"""Neural-network compression: prune, quantize, count bytes, evaluate, export.

    import compression as sq

    net = sq.load("resnet20")
    small = sq.compress(net, sq.CompressionSpec(prune=sq.PruneSpec(sparsity=0.5), weights=sq.QuantSpec(4)))
    sq.size(small).best.total, sq.evaluate(small, sq.load_images()).accuracy

The names of `__all__` come from `compression.api`, which imports torch and is loaded when one of them is first used.
"""

import os
import sys

TYPE_CHECKING = False  # without `typing`: from Python 3.14 on gzip and shutil run this file, see below
if TYPE_CHECKING:
    from compression.api import *

__all__ = [
    "NORMALIZATIONS",
    "ActivationSpec",
    "Also",
    "Calibration",
    "CheckpointError",
    "Clip",
    "CompressedNetwork",
    "CompressionError",
    "CompressionSpec",
    "Criterion",
    "DataError",
    "Evaluation",
    "Evidence",
    "FloatModel",
    "Granularity",
    "ImageSet",
    "LayerSpec",
    "Lineage",
    "Normalization",
    "Only",
    "Order",
    "PruneSpec",
    "QuantSpec",
    "Recipe",
    "Rounding",
    "Sample",
    "Scheme",
    "Scope",
    "Structure",
    "Unit",
    "VectorFormat",
    "compress",
    "evaluate",
    "flips",
    "inspect_bitflips",
    "inspect_calibration",
    "inspect_corruptions",
    "inspect_flips",
    "inspect_image",
    "inspect_layers",
    "ledger",
    "load",
    "load_checkpoint",
    "load_compressed",
    "load_images",
    "names",
    "recover",
    "save",
    "size",
    "to_int8",
    "to_onnx",
]

# From Python 3.14 on the standard library has a package of this name too, which gzip, bz2, lzma and shutil import from.
# Its modules (zstd, gzip, ...) remain importable beside the ones here: no two have the same name. Where the standard
# package was imported first, the module `squeezelab` puts this one into its place.
if "compression" in sys.stdlib_module_names:
    __path__.append(os.path.join(os.path.dirname(os.__file__), "compression"))

# OpenMP's threads spin while they wait for each other. Beside one other busy process on two cores a training step of
# ResNet-20 then takes 3.1 s instead of 0.2 s; with threads that soon go to sleep, 0.4 s, and 0.2 s when alone. Read
# when torch is first imported, by GNU's OpenMP, which torch brings along on Linux.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")


def __getattr__(name: str) -> object:
    """Loads a public name when it is first used (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from compression import api

    globals().update({each: getattr(api, each) for each in __all__})
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
