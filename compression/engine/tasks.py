"""What a worker does: a chunk of images through a compressed network. Workers import this before they begin.

A worker keeps the networks that it compressed lately, because requests of many people come interleaved.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import cache
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from compression.core.compress import compress
from compression.core.training_evidence import evidence_for
from compression.data import images as data
from compression.data.images import ImageSet
from compression.evaluation.evaluation import BATCH, Evaluation, evaluate_batch
from compression.networks.folding import fold_batch_norm
from compression.networks.model import FloatModel
from compression.results.costs import Costs, costs
from compression.results.provenance import check_version
from compression.spec import CompressionSpec

MOST_BYTES = 64_000_000  # of each kind of what a worker keeps


def evaluate_rows(
    model: FloatModel,
    spec: CompressionSpec,
    rows: npt.NDArray[np.uint16],
    version: str,
    images: data.ImageSet | None = None,
) -> Evaluation:
    """The test images `rows` (N,) through `model`, compressed as `spec` says, on the GPU if there is one.

    `images`: the test images, for a worker that may have none; None: those on this machine's disk.
    Raises RuntimeError where the code here computes otherwise than the code of who asks, DataError without images.
    """
    images = _checked(version, images)
    module = _networks.get((model.digest, spec), lambda: _ready(model, spec))
    return evaluate_batch(module, images[torch.from_numpy(rows.astype(np.int64))], model.normalization)


def _checked(version: str, images: data.ImageSet | None) -> data.ImageSet:
    check_version(version)
    return _own_images() if images is None else images


@cache
def _own_images() -> data.ImageSet:
    return data.load()


def _ready(model: FloatModel, spec: CompressionSpec) -> nn.Module:
    """The compressed network, folded for speed, where it computes."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cudnn.allow_tf32 = False  # or a GPU rounds to ten bits, and many images fall otherwise
    return fold_batch_norm(compress(model.module, spec, evidence_for(model, spec)).module).to(device)


def _nbytes(module: nn.Module) -> int:
    return sum(tensor.nbytes for tensor in module.state_dict().values())


K = TypeVar("K", bound=Hashable)

V = TypeVar("V")


class Recent(Generic[K, V]):
    """Values by key, together of at most `most_bytes`, or one alone; the one used longest ago goes first.

    `nbytes` says how large a value is now: it may change.
    """

    def __init__(self, most_bytes: int, nbytes: Callable[[V], int]) -> None:
        self._most_bytes, self._nbytes = most_bytes, nbytes
        self._values: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K, make: Callable[[], V]) -> V:
        """The value under `key`, made if it is not there."""
        if key not in self._values:
            self._values[key] = make()
        self._values.move_to_end(key)
        while sum(map(self._nbytes, self._values.values())) > self._most_bytes and len(self._values) > 1:
            self._values.popitem(last=False)
        return self._values[key]


_networks: Recent[tuple[str, CompressionSpec], nn.Module] = Recent(MOST_BYTES, _nbytes)


def evaluate_chunks(
    model: FloatModel,
    spec: CompressionSpec,
    rows: npt.NDArray[np.uint16],
    version: str,
    images: ImageSet | None = None,
) -> list[Evaluation]:
    """What a worker does: `evaluate_rows` of one chunk of `rows` after the other."""
    starts = range(0, len(rows), BATCH)
    return [evaluate_rows(model, spec, rows[start : start + BATCH], version, images) for start in starts]


def count_here(model: FloatModel, spec: CompressionSpec, version: str) -> Costs:
    """What a worker counts. Raises RuntimeError where the code here computes otherwise than that of who asks."""
    check_version(version)
    return costs(model, spec)
