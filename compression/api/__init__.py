"""The functions that `import compression as sq` offers to notebooks and scripts, each with an example that runs.

The package loads this module when a name of `compression.__all__` is first used, because it imports torch.
"""

from compression.api.files import ledger, load_compressed, save, size, to_int8, to_onnx
from compression.api.inspection import (
    inspect_bitflips,
    inspect_calibration,
    inspect_corruptions,
    inspect_flips,
    inspect_image,
    inspect_layers,
)
from compression.api.loading import load, load_checkpoint, load_images, names
from compression.api.networks import compress, evaluate, flips, recover
from compression.core.evidence import Evidence, Sample
from compression.core.network import CompressedNetwork
from compression.data.images import ImageSet
from compression.errors import CheckpointError, CompressionError, DataError
from compression.evaluation.evaluation import Evaluation
from compression.networks.model import FloatModel
from compression.networks.normalization import NORMALIZATIONS, Normalization
from compression.retraining.lineage import Lineage
from compression.retraining.recipe import Recipe
from compression.spec import (
    ActivationSpec,
    Also,
    Calibration,
    Clip,
    CompressionSpec,
    Criterion,
    Granularity,
    LayerSpec,
    Only,
    Order,
    PruneSpec,
    QuantSpec,
    Rounding,
    Scheme,
    Scope,
    Structure,
    Unit,
    VectorFormat,
)
