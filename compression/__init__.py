"""Neural-network compression: quantizers, pruners, honest sizes and accuracies, usable from Python alone."""

import os
import sys

if sys.version_info >= (3, 14):
    raise (SystemExit if sys.argv[:1] == ["-m"] else ImportError)(
        "Squeezelab needs Python 3.11 to 3.13: from 3.14 on the standard library itself owns the name "
        f"'compression', and this is Python {sys.version_info[0]}.{sys.version_info[1]}"
    )

# OpenMP's threads spin while they wait for each other. Beside one other busy process on two cores a training step of
# ResNet-20 then takes 3.1 s instead of 0.2 s; with threads that soon go to sleep, 0.4 s, and 0.2 s when alone. Read
# when torch is first imported, by GNU's OpenMP, which torch brings along on Linux.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")
