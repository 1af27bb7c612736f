"""Evidence from training images: the first ones in canonical order, which is independent of their classes."""

from dataclasses import dataclass, field, replace
from functools import lru_cache

from torch import Tensor, nn

from compression.core import bundled_calibrations
from compression.core.evidence import Evidence, Sample
from compression.core.gradients import loss_gradients
from compression.core.observe import observe
from compression.core.output_gradients import output_gradients
from compression.data.cifar10 import TRAIN
from compression.data.images import load
from compression.errors import DataError, DataMissing
from compression.networks.bundled import bundled_names
from compression.networks.folding import fold_batch_norm
from compression.networks.model import FloatModel
from compression.networks.normalization import Normalization
from compression.pruning.merging import merge_filters
from compression.quantization.calibration import LayerInputs
from compression.reconstruction.equalization import equalize
from compression.spec import SAMPLE_IMAGES, Also, CompressionSpec, Criterion, PruneSpec, Structure

MAX_CALIBRATIONS = 32

_calibrations: dict[str, LayerInputs] = {}


@dataclass(frozen=True)
class _Network:
    """Key of cached gradients. Networks with equal digests are equal, so a network loaded twice is found again."""

    digest: str
    fold: bool
    merge: float | None
    equalize: bool
    also: tuple[Also, ...]
    model: FloatModel = field(compare=False)


def evidence_for(model: FloatModel, spec: CompressionSpec) -> Evidence:
    """Returns the evidence that `compress` needs for `spec`, and no more. `model` is as loaded, not folded.

    Raises DataError if training images are needed and missing, ValueError if a calibration file is damaged.
    """
    network = _Network(model.digest, spec.folds_first, spec.merge, spec.equalize, spec.also, model)
    return Evidence(
        sample=training_sample(model.normalization, spec.sample_images) if spec.needs_sample else None,
        calibration=_calibration(network) if spec.needs_calibration else None,
        gradients=_gradients(network, spec.prune) if spec.prune and spec.needs_gradients else None,
    )


@lru_cache(maxsize=2)
def training_sample(normalization: Normalization, count: int = SAMPLE_IMAGES) -> Sample:
    """Returns the first `count` training images.

    Raises DataMissing if there are none, DataError if they are damaged or fewer than `count`.
    """
    images = load(TRAIN)[:count]
    if len(images) < count:
        raise DataError(f"the settings ask for {count:,} training images, and there are {len(images):,}")
    return Sample(normalization(images.pixels), images.labels)


def network_calibration(model: FloatModel) -> LayerInputs:
    """Returns statistics of each layer's inputs on the training sample: from the bundled file, else observed.

    A bundled file counts only if it was made with the same weights. Results are cached for the process.
    """
    calibration = _calibrations.get(model.digest)
    if calibration is None:
        calibration = _bundled_calibration(model) or observe_training_sample(model)
        while len(_calibrations) >= MAX_CALIBRATIONS:
            _calibrations.pop(next(iter(_calibrations)), None)
        _calibrations[model.digest] = calibration
    return calibration


def _bundled_calibration(model: FloatModel) -> LayerInputs | None:
    path = bundled_calibrations.calibration_path(model.name)
    if model.name not in bundled_names() or not path.exists():
        return None
    return bundled_calibrations.load_calibration(path, model)


def observe_training_sample(model: FloatModel) -> LayerInputs:
    """Returns statistics of each layer's inputs on the training sample. Raises DataMissing if there are no images."""
    try:
        sample = training_sample(model.normalization)
    except DataMissing as error:
        raise DataMissing(
            f"quantizing activations needs the input ranges of {model.name} on training images, and {error}"
        ) from error
    return observe(model.module, sample.inputs)


def _calibration(network: _Network) -> LayerInputs:
    """Statistics of the inputs of each layer of the float network or, if equalized, of the equalized one."""
    return _equalized_calibration(network) if network.equalize else network_calibration(network.model)


@lru_cache(maxsize=4)
def _equalized_calibration(network: _Network) -> LayerInputs:
    return observe_training_sample(replace(network.model, module=_prepared(network)))


def _prepared(network: _Network) -> nn.Module:
    """The float network as `compress` prunes and quantizes it: folded, merged and equalized."""
    module = fold_batch_norm(network.model.module) if network.fold else network.model.module
    if network.merge is not None:
        module = merge_filters(module, network.merge).module
    return equalize(module) if network.equalize else module


def _gradients(network: _Network, spec: PruneSpec) -> dict[str, Tensor]:
    if spec.criterion is Criterion.OBS:
        return _output_gradients(network, spec.structure is Structure.FILTER)
    return _loss_gradients(network)


@lru_cache(maxsize=4)
def _loss_gradients(network: _Network) -> dict[str, Tensor]:
    """Gradients on the training sample; computing them takes seconds."""
    return loss_gradients(_prepared(network), training_sample(network.model.normalization), network.also)


@lru_cache(maxsize=4)
def _output_gradients(network: _Network, whole_filters: bool) -> dict[str, Tensor]:
    """Gradients on the training sample; computing them takes seconds."""
    images = training_sample(network.model.normalization).inputs
    return output_gradients(_prepared(network), images, network.also, whole_filters)
