"""A compressed network: its size and layers, its histograms, its integers."""

from dataclasses import dataclass
from typing import Any

from compression.core.compress import compress
from compression.core.record import CompressedModel, LayerFacts, LayerRecord, LayerTotals, bit_operations
from compression.core.training_evidence import evidence_for
from compression.errors import DataError
from compression.files.ledger import FileLedger, count_file
from compression.files.size import Size, count_bytes
from compression.inspect import histogram, integers, staircase
from compression.inspect.warnings import find_warnings
from compression.spec import CompressionSpec, Order
from pages.ui import wording
from pages.ui.compute import images, networks, recovery
from pages.ui.compute.caching import shared


@dataclass(frozen=True)
class Answer(LayerTotals):
    """The facts of a compressed network, without its weights: a thousand of these take less memory than one network.

    `file`: where the bytes of its packed file go, whose total is the size of the network. `memory`: its in-memory size.
    `warnings`: see `inspect.warnings`.
    """

    spec: CompressionSpec
    file: FileLedger
    memory: Size
    bit_operations: int
    layers: tuple[LayerFacts, ...]
    warnings: tuple[str, ...]


@shared(12)  # a VGG-19 and its copy take 160 MB
def model(spec: CompressionSpec) -> CompressedModel:
    """Returns the compressed network with the record of each layer. Takes seconds if its steps look at images."""
    reading = recovery.look(spec)
    if reading and reading.network:
        return reading.network
    fold_first = spec.fold_bn and spec.order is Order.FOLD_FIRST
    evidence = evidence_for(networks.float_model(spec.model), spec)
    return compress(networks.model(spec.model, fold_first).module, spec, evidence)


def answer(spec: CompressionSpec) -> Answer:
    """Returns sizes, bit operations and the facts of each layer, without the network itself.

    Its `spec` is the one that can be shown now, see `recovery.present`.
    """
    return _answer(recovery.present(spec))


@shared(1024)
def _answer(spec: CompressionSpec) -> Answer:
    network = model(spec)
    return Answer(
        spec=spec,
        file=count_file(network, networks.float_model(spec.model)),
        memory=count_bytes(network),
        bit_operations=bit_operations(network, networks.layer_macs(spec.model)),
        layers=tuple(layer.facts for layer in network.layers),
        warnings=find_warnings(network, networks.float_model(spec.model).example),
    )


def problem(spec: CompressionSpec) -> str | None:
    """Returns a sentence on why a network cannot be compressed as `spec` says, or None if it can."""
    try:
        answer(spec)
    except (DataError, ValueError) as error:
        return explain(error)
    reason = recovery.problem(spec)
    return f"{wording.capital(reason)}." if reason else None


def explain(error: DataError | ValueError) -> str:
    """Returns a sentence on what `error` says."""
    need = "This needs training images. " if isinstance(error, DataError) else ""
    return f"{need}{wording.capital(str(error))}."


def levels(spec: CompressionSpec) -> tuple[int, int]:
    """Returns the smallest and the largest number of levels that the quantizer of a layer has."""
    counts = [layer.qparams.codes for layer in model(recovery.present(spec)).layers if layer.qparams]
    return min(counts, default=0), max(counts, default=0)


def _record(spec: CompressionSpec, layer: str) -> LayerRecord:
    return next(record for record in model(spec).layers if record.name == layer)


def weight_view(spec: CompressionSpec, layer: str | None) -> histogram.WeightView:
    """Returns the histograms of the weights before and after, of one layer or of the whole network."""
    return _weight_view(recovery.present(spec), layer)


@shared(1024)
def _weight_view(spec: CompressionSpec, layer: str | None) -> histogram.WeightView:
    return histogram.build_weight_view(model(spec), layer)


@shared(1024)
def stairs(spec: CompressionSpec, layer: str, channel: int | None) -> staircase.Staircase:
    """Returns the staircase from float to quantized weights, of one output channel or of the whole layer."""
    return staircase.build_staircase(_record(spec, layer), channel)


@shared(1024)
def filter_codes(spec: CompressionSpec, layer: str, channel: int) -> integers.Integers:
    """Returns the integer codes of one filter."""
    return integers.quantize_filter(_record(spec, layer), channel)


@shared(256)
def _layer_input(name: str, fold: bool, layer: str) -> Any:
    """Returns the input of `layer` in the float network for the first test image, a tensor."""
    network = networks.model(name, fold)
    return integers.capture_input(network.module, layer, network.normalization(images.load_once()[:1].pixels))


@shared(1024)
def pixel(spec: CompressionSpec, layer: str, channel: int) -> integers.Pixel:
    """Returns the pixel in the middle of the output of `layer` for the first test image, computed in integers."""
    inputs = _layer_input(spec.model, spec.fold_bn, layer)
    middle = (size // 2 for size in model(spec).original.get_submodule(layer)(inputs).shape[2:])
    ends = float(inputs.min()), float(inputs.max())
    return integers.compute_pixel(model(spec), layer, inputs, ends, (channel, *middle))
