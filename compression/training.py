"""The training images that compression asks for: the first thousand in canonical order, which is a random one."""

from functools import lru_cache

from compression.cifar10 import TRAIN
from compression.data import load
from compression.evidence import NONE, Evidence, Sample
from compression.models.normalization import Normalization
from compression.models.zoo import FloatModel
from compression.spec import CompressionSpec

SAMPLE_IMAGES = 1000


def evidence_for(model: FloatModel, spec: CompressionSpec) -> Evidence:
    """What `compress` needs to know for `spec`, and no more. Raises DataError where images for it are missing."""
    return Evidence(training_sample(model.normalization)) if spec.needs_sample else NONE


@lru_cache(maxsize=2)
def training_sample(normalization: Normalization) -> Sample:
    """Raises DataMissing where there are no training images, DataError where they are damaged."""
    images = load(TRAIN)[:SAMPLE_IMAGES]
    return Sample(normalization(images.pixels), images.labels)
