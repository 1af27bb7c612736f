"""What workers compute for a look inside: logits, the signal of layers, what corrupted images and flipped bits cost."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from compression.core.batch_norm import has_statistics
from compression.core.evidence import Sample
from compression.core.record import CompressedModel
from compression.core.training_evidence import training_sample
from compression.data.images import ImageSet
from compression.engine.lru_cache import LruCache
from compression.engine.tasks import CACHE_BYTES, images_for
from compression.errors import DataError
from compression.evaluation.evaluation import BATCH, as_evaluated
from compression.files.packed_file import assemble, pack_layers
from compression.files.stored import compress_network
from compression.inside.bits.packed import FileFlips, flip_file
from compression.inside.bits.words import Trial, count_right, draw, flip_bits
from compression.inside.bits.worst import GRADIENT_IMAGES, WorstBit, worst_candidates, worst_of
from compression.inside.corruptions import Condition, corrupt
from compression.inside.layers import LayerSignal, NetworkPair, measure_layer, spreads
from compression.inside.saliency import MapPair, Method, explain_prediction
from compression.networks.model import FloatModel
from compression.networks.weights import float_bytes
from compression.results.provenance import check_version
from compression.spec import CompressionSpec

Logits = npt.NDArray[np.float32]

Labels = npt.NDArray[np.int64]


def network_for(model: FloatModel, spec: CompressionSpec, compressed: nn.Module | None) -> nn.Module:
    """Returns the network that `spec` makes of `model`, as it is evaluated; the last ones are kept by the worker.

    `compressed` is the module of the compressed network; None means that it is made here.
    """

    def make() -> nn.Module:
        return as_evaluated(compressed or compress_here(model, spec).module)

    return _networks.use((model.digest, spec), make)


def compute_logits(
    model: FloatModel,
    spec: CompressionSpec,
    start: int,
    stop: int,
    version: str,
    images: ImageSet | None = None,
    compressed: nn.Module | None = None,
) -> Logits:
    """Returns the logits (stop - start, classes) of `model`, compressed as `spec` says, for a range of test images.

    `version`, `images` and the exceptions are those of `engine.tasks.evaluate_rows`.
    """
    images = images_for(version, images)
    network = network_for(model, spec, compressed)
    return logits_of(network, model, images.pixels[start:stop])


def compute_training_logits(model: FloatModel, spec: CompressionSpec, version: str) -> tuple[Logits, Labels] | str:
    """Returns the logits for the training images that statistics stand on, and their labels, or why there are none."""
    check_version(version)
    try:
        sample = training_sample(model.normalization)
    except DataError as error:
        return str(error)
    network = network_for(model, spec, None)
    with torch.inference_mode():
        parts = [network(inputs).float() for inputs, _ in sample.batches]
    return torch.cat(parts).numpy(), sample.labels.numpy()


def classify_corrupted(
    model: FloatModel,
    spec: CompressionSpec,
    condition: Condition,
    start: int,
    stop: int,
    version: str,
    images: ImageSet | None = None,
    compressed: nn.Module | None = None,
) -> npt.NDArray[np.bool_]:
    """Returns which images (stop - start,) of a range of test images are classified correctly under `condition`.

    All else is as for `compute_logits`.
    """
    images = images_for(version, images)
    network = network_for(model, spec, compressed)
    logits = logits_of(network, model, corrupt(images.pixels[start:stop], condition, start))
    return logits.argmax(1) == images.labels[start:stop].numpy()


def measure_signal(
    model: FloatModel,
    spec: CompressionSpec,
    layer: str,
    count: int,
    version: str,
    images: ImageSet | None = None,
    compressed: CompressedModel | None = None,
) -> LayerSignal:
    """Returns what compressing `model` as `spec` says does to one layer, over the first `count` test images.

    `compressed` is the compressed network, else as for `compute_logits`.
    """
    images = images_for(version, images)
    pair = NetworkPair.of(compressed or compress_here(model, spec))
    return measure_layer(pair, layer, model.normalization(images.pixels[:count]))


def compress_here(model: FloatModel, spec: CompressionSpec) -> CompressedModel:
    """Returns `model` compressed as `spec` says, with the evidence that it needs; the worker keeps the last ones."""
    return _compressed.use((model.digest, spec), lambda: compress_network(model, spec))


def measure_reestimated(
    model: FloatModel,
    spec: CompressionSpec,
    count: int,
    version: str,
    images: ImageSet | None = None,
    compressed: CompressedModel | None = None,
) -> dict[str, float]:
    """Returns the spread of each layer of the compressed network after batch norm was re-estimated.

    Empty if it has no batch norm, if `spec` re-estimates it already, or without training images. The arguments are
    those of `measure_signal`.
    """
    images = images_for(version, images)
    compressed = compressed or compress_here(model, spec)
    if spec.reestimate_bn or not has_statistics(compressed.original):
        return {}
    try:
        reestimated = replace(compressed, sample=training_sample(model.normalization)).module
    except DataError:
        return {}
    return spreads(reestimated, model.normalization(images.pixels[:count]))


def count_flipped(
    model: FloatModel,
    spec: CompressionSpec,
    trial: Trial,
    count: int,
    version: str,
    images: ImageSet | None = None,
    compressed: CompressedModel | None = None,
) -> int:
    """Returns how many of the first `count` test images are right after bits of the stored weights were flipped.

    The other arguments are those of `measure_signal`.
    """
    images = images_for(version, images)
    compressed = compressed or compress_here(model, spec)
    return _count(flip_bits(compressed, draw(compressed.layers, trial)), model, images[:count])


def find_worst_bit(
    model: FloatModel,
    spec: CompressionSpec,
    count: int,
    version: str,
    images: ImageSet | None = None,
    compressed: CompressedModel | None = None,
) -> WorstBit:
    """Returns the worst of the candidates by the gradient on the last test images, counted on the first `count`.

    The arguments are those of `count_flipped`.
    """
    images = images_for(version, images)
    compressed = compressed or compress_here(model, spec)
    last = images[len(images) - GRADIENT_IMAGES : len(images)]
    candidates = worst_candidates(compressed, Sample(model.normalization(last.pixels), last.labels))
    return worst_of(
        compressed, {each: _count(flip_bits(compressed, [each]), model, images[:count]) for each in candidates}
    )


def _count(network: nn.Module, model: FloatModel, images: ImageSet) -> int:
    return count_right(torch.from_numpy(logits_of(network, model, images.pixels)), images.labels)


def flip_packed_file(
    model: FloatModel, spec: CompressionSpec, version: str, compressed: CompressedModel | None = None
) -> FileFlips | str:
    """Returns what flipped bits of the packed file do, or why the network has none."""
    check_version(version)
    compressed = compressed or compress_here(model, spec)
    try:
        content = assemble(pack_layers(compressed), model)
    except ValueError as error:
        return str(error)
    return flip_file(content, compressed)


def explain_maps(
    model: FloatModel,
    spec: CompressionSpec,
    pixels: torch.Tensor,
    method: Method,
    version: str,
    compressed: nn.Module | None = None,
) -> MapPair:
    """Returns the saliency maps of both networks for the image pixels (3, H, W) uint8; see `explain_prediction`."""
    check_version(version)
    return explain_prediction(model, compressed or compress_here(model, spec).module, pixels, method)


def logits_of(network: nn.Module, model: FloatModel, pixels: torch.Tensor) -> Logits:
    """pixels (N, 3, H, W) uint8 -> the logits (N, classes) of `network`, with the normalisation of `model`."""
    with torch.inference_mode():
        parts = [network(model.normalization(batch)).float() for batch in pixels.split(BATCH)]
    return torch.cat(parts).numpy()


_networks: LruCache[tuple[str, CompressionSpec], nn.Module] = LruCache(most_bytes=CACHE_BYTES, nbytes=float_bytes)

_compressed: LruCache[tuple[str, CompressionSpec], CompressedModel] = LruCache(
    most_bytes=CACHE_BYTES, nbytes=lambda compressed: 2 * float_bytes(compressed.original)
)
