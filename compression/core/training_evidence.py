"""What training images say, for compression that asks: the first thousand in canonical order, which is a random one."""

from dataclasses import dataclass, field
from functools import lru_cache

from torch import Tensor

from compression.core import bundled_calibrations
from compression.core.evidence import Evidence, Sample
from compression.core.gradients import loss_gradients
from compression.core.observe import observe
from compression.data.cifar10 import TRAIN
from compression.data.images import load
from compression.errors import DataMissing
from compression.networks.bundled import bundled_names
from compression.networks.folding import fold_batch_norm
from compression.networks.model import FloatModel
from compression.networks.normalization import Normalization
from compression.pruning.merging import merge_filters
from compression.quantization.calibration import LayerInputs
from compression.spec import Also, CompressionSpec

SAMPLE_IMAGES = 1000

MAX_CALIBRATIONS = 32

_calibrations: dict[str, LayerInputs] = {}


@dataclass(frozen=True)
class _Network:
    """Equal where digests are: a network that comes again, as another object, is the same one."""

    digest: str
    fold: bool
    merge: float | None
    also: tuple[Also, ...]
    model: FloatModel = field(compare=False)


def evidence_for(model: FloatModel, spec: CompressionSpec) -> Evidence:
    """What `compress` needs to know for `spec`, and no more. `model`: as it was loaded, not folded.

    Raises DataError where images for it are missing, ValueError where a file of the project is damaged.
    """
    network = _Network(model.digest, spec.folds_first, spec.merge, spec.also, model)
    return Evidence(
        sample=training_sample(model.normalization) if spec.needs_sample else None,
        calibration=network_calibration(model) if spec.needs_calibration else None,
        gradients=_gradients(network) if spec.needs_gradients else None,
    )


@lru_cache(maxsize=2)
def training_sample(normalization: Normalization) -> Sample:
    """Raises DataMissing where there are no training images, DataError where they are damaged."""
    images = load(TRAIN)[:SAMPLE_IMAGES]
    return Sample(normalization(images.pixels), images.labels)


def network_calibration(model: FloatModel) -> LayerInputs:
    """What each layer of `model` sees of the training sample: from the file that came along with its weights, else seen
    anew, once in a process. A file that was made with other weights does not count.
    """
    seen = _calibrations.get(model.digest)
    if seen is None:
        path = bundled_calibrations.calibration_path(model.name)
        along = (
            bundled_calibrations.load_calibration(path, model)
            if model.name in bundled_names() and path.exists()
            else None
        )
        seen = along or observe_training_sample(model)
        while len(_calibrations) >= MAX_CALIBRATIONS:
            _calibrations.pop(next(iter(_calibrations)), None)
        _calibrations[model.digest] = seen
    return seen


def observe_training_sample(model: FloatModel) -> LayerInputs:
    """The same, seen anew. Raises DataMissing, saying what for, where there are no training images."""
    try:
        sample = training_sample(model.normalization)
    except DataMissing as error:
        raise DataMissing(
            f"to quantize activations, the ranges of {model.name} have to be seen on training images, and {error}"
        ) from error
    return observe(model.module, sample.inputs)


@lru_cache(maxsize=4)
def _gradients(network: _Network) -> dict[str, Tensor]:
    """On the training sample; seconds, the first time."""
    module = fold_batch_norm(network.model.module) if network.fold else network.model.module
    if network.merge is not None:
        module = merge_filters(module, network.merge).module
    return loss_gradients(module, training_sample(network.model.normalization), network.also)
