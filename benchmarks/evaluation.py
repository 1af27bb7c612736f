"""Our evaluation beside a bare loop of forward passes and beside the usual way with torchvision's transforms.

    python -m benchmarks.evaluation [--model resnet20] [--random] [--images 10000] [--rounds 5]

Prints a markdown table: for each way the median seconds over the rounds, images a second, its speed as a
share of either bare loop's (the median of the ratios within a round), and on how many images its predictions
differ from ours. In a round every way runs once, each round beginning with another one, so that a slow
minute of the machine falls on all of them. The bare loop gets its images as float tensors, normalised and
laid out beforehand at no cost; the other ways begin at the pixels. Ours fold batch norm into the convolutions
first, and so does the second bare loop; the others run the network as it is. The engine is the way of pages and
command line: chunks of images on one worker a core, with nothing kept from the round before.
"""

import argparse
import copy
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from benchmarks.setting import conditions, network, table
from compression.data.images import ImageSet, load
from compression.engine.cluster import engine
from compression.engine.evaluator import Evaluator
from compression.engine.workers import cores
from compression.evaluation.evaluation import BATCH, evaluate
from compression.networks.folding import fold_batch_norm
from compression.networks.model import FloatModel
from compression.networks.normalization import Normalization
from compression.results.store import Store
from compression.spec import CompressionSpec
from tests.support.vision import torchvision

USUAL_BATCH = 128
Way = Callable[[], Tensor]


class PilImages(Dataset):
    """Pixels in memory, as in torchvision.datasets.CIFAR10; an access makes a PIL image and transforms it."""

    def __init__(self, images: ImageSet, transform: Callable[[Image.Image], Tensor]) -> None:
        self.data = np.ascontiguousarray(images.pixels.permute(0, 2, 3, 1).numpy())
        self.targets = images.labels.tolist()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.data[row])), self.targets[row]


def bare_loop(module: nn.Module, ready: Tensor, batch: int) -> Tensor:
    """ready (N, 3, 32, 32) normalised float32 -> predictions (N,)."""
    with torch.inference_mode():
        return torch.cat([module(part).argmax(1) for part in ready.split(batch)])


def usual_way(module: nn.Module, images: ImageSet, normalize: Normalization, workers: int) -> Way:
    """Returns a loop over the batches of a DataLoader of PIL images, with ToTensor and Normalize."""
    transforms = torchvision.transforms
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize(normalize.mean, normalize.std)])
    loader = DataLoader(PilImages(images, transform), USUAL_BATCH, num_workers=workers)
    plain = copy.deepcopy(module).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]

    def run() -> Tensor:
        with torch.no_grad():
            return torch.cat([plain(pixels).argmax(1) for pixels, _ in loader])

    return run


def by_engine(model: FloatModel, images: ImageSet) -> Tensor:
    """Evaluates the float network on the workers, with an empty store, so that each round does the same work."""
    with tempfile.TemporaryDirectory() as folder:
        evaluator = Evaluator(engine(), Store(Path(folder) / "results.sqlite"), images)
        return evaluator.evaluate(model, CompressionSpec(model.name)).predictions


def ways(model: FloatModel, images: ImageSet) -> dict[str, Way]:
    module, normalize = model.module, model.normalization
    ready = normalize(images.pixels)
    return {
        f"bare loop, batch {USUAL_BATCH}": lambda: bare_loop(module, ready, USUAL_BATCH),
        f"bare loop, folded, batch {BATCH}": lambda: bare_loop(fold_batch_norm(module), ready, BATCH),
        f"ours in one process, batch {BATCH}": lambda: evaluate(module, images, normalize).predictions,
        f"ours by the engine, {cores()} workers": lambda: by_engine(model, images),
        "usual way, no workers": usual_way(module, images, normalize, 0),
        "usual way, 2 workers": usual_way(module, images, normalize, 2),
    }


def measure_time(way: Way) -> tuple[float, Tensor]:
    start = time.perf_counter()
    predictions = way()
    return time.perf_counter() - start, predictions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet20")
    parser.add_argument("--random", action="store_true", help="random weights")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    model = network(options.model, options.random)
    images = load()[: options.images]
    contestants = ways(model, images)
    names = list(contestants)
    for way in ways(model, images[: 4 * BATCH]).values():  # warm
        way()
    seconds: dict[str, list[float]] = {name: [] for name in names}
    predictions: dict[str, Tensor] = {}
    for turn in range(options.rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            duration, predictions[name] = measure_time(contestants[name])
            seconds[name].append(duration)
    bare, bare_folded = (np.array(seconds[name]) for name in names[:2])
    rows = [
        (
            name,
            f"{np.median(seconds[name]):.2f}",
            f"{len(images) / np.median(seconds[name]):,.0f}",
            f"{np.median(bare / seconds[name]):.2f}",
            f"{np.median(bare_folded / seconds[name]):.2f}",
            int((predictions[name] != predictions[names[3]]).sum()),
        )
        for name in names
    ]
    print(f"{model.name}, {len(images):,} test images, {options.rounds} rounds; {conditions()}\n")
    header = ("way", "seconds", "images/s", "speed / bare loop", "speed / folded bare loop", "images that differ")
    print(table(header, rows))


if __name__ == "__main__":
    main()
