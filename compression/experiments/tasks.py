"""What workers compute for experiments: predictions with one layer compressed, and the sizes of compressed networks.

Each worker caches float networks, changed layers and batches of images between calls, because a scan comes as many
small tasks.
"""

from functools import partial

import numpy as np
import numpy.typing as npt
import torch

from compression.data.images import ImageSet
from compression.engine.lru_cache import LruCache
from compression.engine.tasks import CACHE_BYTES, images_for
from compression.evaluation.evaluation import Evaluation
from compression.experiments.layerwise import LayerChange, StagedNetwork, Walk
from compression.networks.model import FloatModel
from compression.results.costs import Costs, costs
from compression.results.provenance import check_version
from compression.spec import CompressionSpec


def evaluate_layer(
    model: FloatModel,
    layer: str,
    specs: tuple[CompressionSpec, ...],
    rows: npt.NDArray[np.uint16],
    version: str,
    images: ImageSet | None = None,
) -> list[Evaluation]:
    """Evaluates `model` on the test images `rows` (N,), with `layer` alone compressed, once for each of `specs`.

    `version`, `images` and the exceptions are those of `engine.tasks.evaluate_rows`.
    """
    images = images_for(version, images)
    network = _networks.use(model.digest, lambda: StagedNetwork(model))
    changes = [_changes.use((model.digest, layer, spec), partial(network.change, layer, spec)) for spec in specs]
    walk = _walks.use(
        (model.digest, rows.tobytes()), lambda: Walk(network, images[torch.from_numpy(rows.astype(np.int64))])
    )
    return walk.evaluate(layer, changes)


def count_costs(model: FloatModel, spec: CompressionSpec, version: str) -> Costs:
    """Compresses `model` as `spec` says, and returns what it costs: bytes, weights and operations.

    Raises RuntimeError if the code here has another `version` than that of the process that asks.
    """
    check_version(version)
    return costs(model, spec)


_networks: LruCache[str, StagedNetwork] = LruCache(most_bytes=CACHE_BYTES, nbytes=lambda network: network.nbytes)

_changes: LruCache[tuple[str, str, CompressionSpec], LayerChange] = LruCache(
    most_bytes=CACHE_BYTES, nbytes=lambda change: change.weight.nbytes
)

_walks: LruCache[tuple[str, bytes], Walk] = LruCache(most_bytes=2 * CACHE_BYTES, nbytes=lambda walk: walk.nbytes)
