"""What workers compute: the predictions of a compressed network on chunks of test images.

Workers import this module before they start. Each worker caches the networks that it compressed last, because requests
of many sessions arrive interleaved.
"""

from functools import cache

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from compression.core.compress import compress
from compression.core.training_evidence import evidence_for
from compression.data import images as test_images
from compression.data.images import ImageSet
from compression.engine.lru_cache import LruCache
from compression.evaluation.evaluation import BATCH, Evaluation, as_evaluated, evaluate_batch
from compression.networks.model import FloatModel
from compression.results.provenance import check_version
from compression.spec import CompressionSpec

CACHE_BYTES = 64_000_000  # of each cache of a worker


def evaluate_chunks(
    model: FloatModel,
    spec: CompressionSpec,
    rows: npt.NDArray[np.uint16],
    version: str,
    images: ImageSet | None = None,
    compressed: nn.Module | None = None,
) -> list[Evaluation]:
    """Returns `evaluate_rows` for each chunk of BATCH images of `rows`; the last chunk may be smaller."""
    starts = range(0, len(rows), BATCH)
    return [evaluate_rows(model, spec, rows[start : start + BATCH], version, images, compressed) for start in starts]


def evaluate_rows(
    model: FloatModel,
    spec: CompressionSpec,
    rows: npt.NDArray[np.uint16],
    version: str,
    images: ImageSet | None = None,
    compressed: nn.Module | None = None,
) -> Evaluation:
    """Evaluates `model`, compressed as `spec` says, on the test images `rows` (N,); on the GPU if there is one.

    `version` is the `arithmetic` of the process that asks. `images` are all test images; None means those on the disk
    of this machine. `compressed` is the module of the compressed network; None means that it is made here. Raises
    RuntimeError if the code here has another version, DataError if there are no images.
    """
    images = images_for(version, images)
    network = _networks.use((model.digest, spec), lambda: _prepared(compressed or _compressed_module(model, spec)))
    return evaluate_batch(network, images[torch.from_numpy(rows.astype(np.int64))], model.normalization)


def images_for(version: str, images: ImageSet | None) -> ImageSet:
    """Returns `images`, or those on the disk of this machine, after the check of `version`; raises as above."""
    check_version(version)
    return _images_on_disk() if images is None else images


@cache
def _images_on_disk() -> ImageSet:
    return test_images.load()


def _compressed_module(model: FloatModel, spec: CompressionSpec) -> nn.Module:
    return compress(model.module, spec, evidence_for(model, spec)).module


def _prepared(module: nn.Module) -> nn.Module:
    """Returns `module` on the device that computes; see `as_evaluated`."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cudnn.allow_tf32 = False  # TF32 has 10 bits of mantissa, which changes many predictions
    return as_evaluated(module).to(device)


def _nbytes(module: nn.Module) -> int:
    return sum(tensor.nbytes for tensor in module.state_dict().values())


_networks: LruCache[tuple[str, CompressionSpec], nn.Module] = LruCache(most_bytes=CACHE_BYTES, nbytes=_nbytes)
