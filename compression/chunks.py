"""What a worker does: a chunk of images through a compressed network. Workers import this before they begin.

A worker keeps the networks that it compressed lately, because requests of many people come interleaved.
"""

from functools import cache, partial

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from compression import data
from compression.arithmetic import check
from compression.compress import compress
from compression.evaluate import Evaluation, evaluate_batch
from compression.folding import folded
from compression.models.zoo import FloatModel
from compression.recent import Recent
from compression.sensitivity import Change, Staged, Walk
from compression.spec import CompressionSpec
from compression.training import evidence_for

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


def evaluate_alone(
    model: FloatModel,
    layer: str,
    specs: tuple[CompressionSpec, ...],
    rows: npt.NDArray[np.uint16],
    version: str,
    images: data.ImageSet | None = None,
) -> list[Evaluation]:
    """The test images `rows` through `model`, in which `layer` alone is compressed, as each of `specs` says.

    All else as in `evaluate_rows`.
    """
    images = _checked(version, images)
    staged = _staged.get(model.digest, lambda: Staged(model))
    changes = [_changes.get((model.digest, layer, spec), partial(staged.change, layer, spec)) for spec in specs]
    walk = _walks.get(
        (model.digest, rows.tobytes()), lambda: Walk(staged, images[torch.from_numpy(rows.astype(np.int64))])
    )
    return walk.evaluate(layer, changes)


def _checked(version: str, images: data.ImageSet | None) -> data.ImageSet:
    check(version)
    return _own_images() if images is None else images


@cache
def _own_images() -> data.ImageSet:
    return data.load()


def _ready(model: FloatModel, spec: CompressionSpec) -> nn.Module:
    """The compressed network, folded for speed, where it computes."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cudnn.allow_tf32 = False  # or a GPU rounds to ten bits, and many images fall otherwise
    return folded(compress(model.module, spec, evidence_for(model, spec)).module).to(device)


def _nbytes(module: nn.Module) -> int:
    return sum(tensor.nbytes for tensor in module.state_dict().values())


_networks: Recent[tuple[str, CompressionSpec], nn.Module] = Recent(MOST_BYTES, _nbytes)
_staged: Recent[str, Staged] = Recent(MOST_BYTES, lambda staged: staged.nbytes)
_changes: Recent[tuple[str, str, CompressionSpec], Change] = Recent(MOST_BYTES, lambda change: change.weight.nbytes)
_walks: Recent[tuple[str, bytes], Walk] = Recent(2 * MOST_BYTES, lambda walk: walk.nbytes)
