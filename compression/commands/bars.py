"""Progress in the terminal."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from tqdm import tqdm

from compression.data import ImageSet
from compression.evaluate import BATCH, Evaluation, evaluate_batch, join
from compression.fetching import Progress
from compression.folding import folded
from compression.models.normalization import Normalization


@contextmanager
def byte_bar(name: str) -> Iterator[Progress]:
    """A bar for a file that is fetched; it appears with the first bytes."""
    with tqdm(unit="B", unit_scale=True, desc=name, delay=0.1) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show


def evaluate_with_bar(module: nn.Module, images: ImageSet, normalization: Normalization, name: str) -> Evaluation:
    module = folded(module)
    starts = tqdm(range(0, len(images), BATCH), desc=name, unit="batch", leave=False)
    return join([evaluate_batch(module, images[start : start + BATCH], normalization) for start in starts])
