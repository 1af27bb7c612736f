"""A compressed network: its size and layers, its histograms, its integers."""

from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from compression.core.compress import compress
from compression.core.record import CompressedModel, LayerFacts, LayerRecord, LayerTotals, bit_operations
from compression.core.training_evidence import evidence_for
from compression.engine.cluster import engine
from compression.errors import DataError
from compression.experiments.file_counter import FileCounter
from compression.files.ledger import FileLedger, count_file
from compression.files.size import Size, count_bytes
from compression.files.stored import compress_network, is_as_stored
from compression.inspect import histogram, integers, staircase
from compression.inspect.warnings import find_warnings
from compression.results.landscape import read_landscape
from compression.spec import CompressionSpec, Order
from pages.ui import wording
from pages.ui.compute import images, networks, recovery
from pages.ui.compute.caching import shared
from pages.ui.compute.jobs import session_name

SIZE_SHOWN = "spec whose estimated size is shown"


@dataclass(frozen=True)
class Answer(LayerTotals):
    """The facts of a compressed network, without its weights: a thousand of these take less memory than one network.

    `file_bytes` is the size of its packed file, which is the size of the network, and `file` says where they go. Both
    are an estimate of a few percent until workers have counted, see `count_exactly`; the size of what was measured
    beforehand is known. `memory`: its in-memory size. `warnings`: see `inspect.warnings`.
    """

    spec: CompressionSpec
    file: FileLedger
    file_bytes: int
    file_is_exact: bool
    memory: Size
    bit_operations: int
    layers: tuple[LayerFacts, ...]
    warnings: tuple[str, ...]


@shared(12, quick=True)  # a VGG-19 and its copy take 160 MB
def model(spec: CompressionSpec) -> CompressedModel:
    """Returns the compressed network with the record of each layer. Takes seconds if its steps look at images."""
    reading = recovery.look(spec)
    if reading and reading.network:
        return reading.network
    as_float = networks.float_model(spec.model)
    if is_as_stored(as_float, spec):
        return compress_network(as_float, spec)
    fold_first = spec.fold_bn and spec.order is Order.FOLD_FIRST
    evidence = evidence_for(as_float, spec)
    return compress(networks.model(spec.model, fold_first).module, spec, evidence)


def answer(spec: CompressionSpec) -> Answer:
    """Returns sizes, bit operations and the facts of each layer, without the network itself.

    Its `spec` is the one that can be shown now, see `recovery.present`.
    """
    quick = _answer(recovery.present(spec))
    exact = file_counter().known(networks.float_model(spec.model), quick.spec)
    return replace(quick, file=exact, file_bytes=exact.total, file_is_exact=True) if exact else quick


@shared(1024, quick=True)
def _answer(spec: CompressionSpec) -> Answer:
    network, as_float = model(spec), networks.float_model(spec.model)
    file, measured = count_file(network, as_float, quick=True), read_landscape(as_float).get(spec)
    stored = networks.file_bytes(spec.model) if is_as_stored(as_float, spec) else None
    return Answer(
        spec=spec,
        file=file,
        file_bytes=stored or (measured.costs.file if measured else file.total),
        file_is_exact=file.exact or measured is not None or stored is not None,
        memory=count_bytes(network),
        bit_operations=bit_operations(network, networks.layer_macs(spec.model)),
        layers=tuple(layer.facts for layer in network.layers),
        warnings=find_warnings(network, as_float.example),
    )


@st.cache_resource(show_spinner=False)
def file_counter() -> FileCounter:
    """Returns the counter of exact file sizes, which all sessions share."""
    return FileCounter(engine())


def count_exactly(shown: Answer, side: str = "") -> None:
    """Lets workers count the bytes of the packed file of the network that is `shown`, if these are an estimate.

    A session waits for one file at a time, or for one on each `side` of a page.
    """
    if not shown.file_is_exact:
        network = model(shown.spec) if shown.spec.recovers else None
        file_counter().look(session_name() + side, networks.float_model(shown.spec.model), shown.spec, network)


def count_exactly_later(shown: Answer, side: str = "") -> None:
    """Lets `count_if_shown` know that the page shows an estimate of these bytes until workers may count them."""
    st.session_state[SIZE_SHOWN + side] = shown.spec


def count_if_shown(spec: CompressionSpec, side: str = "") -> None:
    """Lets workers count the bytes of the packed file if the page shows an estimate of them."""
    if st.session_state.get(SIZE_SHOWN + side) == spec:
        count_exactly(answer(spec), side)


def remember_file(spec: CompressionSpec, file: FileLedger) -> None:
    """Shows from now on the bytes of a packed file that was written."""
    file_counter().put(networks.float_model(spec.model), spec, file)


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


@shared(1024, quick=True)
def _weight_view(spec: CompressionSpec, layer: str | None) -> histogram.WeightView:
    return histogram.build_weight_view(model(spec), layer)


@shared(1024, quick=True)
def stairs(spec: CompressionSpec, layer: str, channel: int | None) -> staircase.Staircase:
    """Returns the staircase from float to quantized weights, of one output channel or of the whole layer."""
    return staircase.build_staircase(_record(spec, layer), channel)


@shared(1024, quick=True)
def filter_codes(spec: CompressionSpec, layer: str, channel: int) -> integers.Integers:
    """Returns the integer codes of one filter."""
    return integers.quantize_filter(_record(spec, layer), channel)


@shared(256, quick=True)
def _layer_input(name: str, fold: bool, layer: str) -> Any:
    """Returns the input of `layer` in the float network for the first test image, a tensor."""
    network = networks.model(name, fold)
    return integers.capture_input(network.module, layer, network.normalization(images.load_once()[:1].pixels))


@shared(1024, quick=True)
def pixel(spec: CompressionSpec, layer: str, channel: int) -> integers.Pixel:
    """Returns the pixel in the middle of the output of `layer` for the first test image, computed in integers."""
    inputs = _layer_input(spec.model, spec.fold_bn, layer)
    middle = (size // 2 for size in model(spec).original.get_submodule(layer)(inputs).shape[2:])
    ends = float(inputs.min()), float(inputs.max())
    return integers.compute_pixel(model(spec), layer, inputs, ends, (channel, *middle))
