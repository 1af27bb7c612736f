"""Neural-network compression: quantizers, pruners, honest sizes and accuracies, usable from Python alone."""

import sys

if sys.version_info >= (3, 14):
    raise ImportError(
        "Squeezelab needs Python 3.11 to 3.13: from 3.14 on the standard library itself owns the name "
        f"'compression', and this is Python {sys.version_info[0]}.{sys.version_info[1]}"
    )
