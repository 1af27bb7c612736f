"""What a worker does: a chunk of images through a compressed network. Workers import this before they begin.

A worker keeps the networks that it compressed lately, because requests of many people come interleaved.
"""

from collections import OrderedDict
from functools import cache

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from compression import data
from compression.arithmetic import arithmetic
from compression.compress import compress
from compression.evaluate import Evaluation, evaluate_batch
from compression.folding import folded
from compression.models.zoo import FloatModel
from compression.spec import CompressionSpec
from compression.training import evidence_for

MOST_BYTES = 64_000_000  # of compressed networks, kept by a worker

_kept: OrderedDict[tuple[str, CompressionSpec], nn.Module] = OrderedDict()


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
    if version != arithmetic():
        raise RuntimeError("a worker of the cluster runs another version of this laboratory; update it and start again")
    images = _own_images() if images is None else images
    return evaluate_batch(_ready(model, spec), images[torch.from_numpy(rows.astype(np.int64))], model.normalization)


@cache
def _own_images() -> data.ImageSet:
    return data.load()


def _ready(model: FloatModel, spec: CompressionSpec) -> nn.Module:
    """The compressed network, folded for speed, where it computes; the one used longest ago goes first."""
    key = model.digest, spec
    if key not in _kept:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        torch.backends.cudnn.allow_tf32 = False  # or a GPU rounds to ten bits, and many images fall otherwise
        _kept[key] = folded(compress(model.module, spec, evidence_for(model, spec)).module).to(device)
        while sum(map(_nbytes, _kept.values())) > MOST_BYTES and len(_kept) > 1:
            _kept.popitem(last=False)
    _kept.move_to_end(key)
    return _kept[key]


def _nbytes(module: nn.Module) -> int:
    return sum(tensor.nbytes for tensor in module.state_dict().values())
