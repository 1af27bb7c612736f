"""From an uploaded file to a network with its normalisation: seconds, cold, with nothing told about the file.

    python -m benchmarks.recognition [FILE ...]

Without a file, the public ResNet-20 in ../shared/checkpoints. Imports and the reading of CIFAR-10 are not counted:
a server has done both long before.
"""

import sys
import time
from itertools import pairwise
from pathlib import Path

from benchmarks.figures import PUBLIC
from benchmarks.setting import conditions, table
from compression.evaluation.normalization_trial import trial_images, try_normalizations
from compression.networks.checkpoints.reading import read_tensors
from compression.networks.checkpoints.recognition import recognise


def main() -> None:
    images = trial_images()
    rows = []
    for path in [Path(name) for name in sys.argv[1:]] or [PUBLIC]:
        times = [time.perf_counter()]
        tensors = read_tensors(path)
        times.append(time.perf_counter())
        recognised = recognise(tensors)
        times.append(time.perf_counter())
        choice = try_normalizations(recognised.module, images)
        times.append(time.perf_counter())
        parts = [f"{after - before:.2f}" for before, after in pairwise(times)]
        name = f"{choice.best.normalization}{'' if choice.is_certain else ' (uncertain)'}"
        rows.append((path.name, recognised.architecture.name, name, *parts, f"{times[-1] - times[0]:.2f}"))
    print(f"{conditions()}\n")
    print(table(("file", "network", "normalisation", "read", "recognise", "try", "seconds in all"), rows))


if __name__ == "__main__":
    main()
