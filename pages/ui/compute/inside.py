"""What a compressed network does with single images, beside the float network."""

from typing import Any

import streamlit as st

from compression.core.record import CompressedModel
from compression.engine.cluster import engine
from compression.errors import DataError
from compression.inside.answers import Answer, answers
from compression.inside.bits.report import Storage, StorageReport, report_storages, storages
from compression.inside.calibration import Calibration, CurvePoint, curve_specs
from compression.inside.calls import (
    bit_flip_calls,
    calibrate_results,
    corruption_calls,
    curve_calls,
    layer_calls,
    logit_calls,
    read_curve_point,
    right_by_condition,
)
from compression.inside.flips import Comparison, OftenLost, compare, often_lost
from compression.inside.inspector import Call, InspectionReading, Inspector
from compression.inside.layers import LAYER_IMAGES
from compression.inside.pictures import to_data_uri
from compression.inside.robustness import CorruptionReport, report_corruptions
from compression.results.known import KnownResults
from compression.spec import CompressionSpec
from pages.ui.compute import accuracy, compressed, experiments, images, networks, recovery
from pages.ui.compute.caching import shared


def comparison(spec: CompressionSpec) -> Comparison | None:
    """Returns the predictions of the float network and of `spec` for all test images; None until all are counted.

    Without test images they are those that were measured beforehand, or None.
    """
    reading = accuracy.look_beforehand(spec) if isinstance(images.test_images(), DataError) else accuracy.look(spec)
    whole = getattr(reading, "whole", None)
    return compare(reading.before, whole) if reading and reading.before and whole else None


def often(name: str) -> OftenLost | None:
    """Returns how often each image is lost, over all measured specs of a network; None if the float one is unknown."""
    known = experiments.known_results(name)
    return _often(name, len(known.points), known) if known.before else None


@shared(16)
def _often(name: str, count: int, _known: KnownResults) -> OftenLost:
    """The number of results is part of the key, so that a new one is counted."""
    as_float = CompressionSpec(name)
    assert _known.before
    return often_lost(_known.before, [each.evaluation for spec, each in _known.results.items() if spec != as_float])


@shared(256)
def answers_to(spec: CompressionSpec, rows: tuple[int, ...]) -> tuple[Answer, ...]:
    """Returns the predictions of a network, compressed as `spec` says, for the test images with these numbers."""
    pixels = images.load_once().pixels[list(rows)]
    return answers(compressed.model(spec).module, pixels, networks.float_model(spec.model).normalization)


def pictures(rows: tuple[int, ...]) -> tuple[str, ...] | None:
    """Returns the test images with these numbers as addresses that a browser shows; None where there are no images."""
    dataset = images.test_images()
    return None if isinstance(dataset, DataError) else tuple(to_data_uri(dataset.pixels[row]) for row in rows)


def is_pending(spec: CompressionSpec) -> bool:
    """Returns whether the network of `spec` still takes seconds to make."""
    return not recovery.is_there(spec)


@st.cache_resource(show_spinner=False)
def inspector() -> Inspector:
    """Returns the looks of all sessions."""
    return Inspector(engine())


def logits(spec: CompressionSpec, go: bool) -> InspectionReading:
    """Returns how far the logits of all test images are, of the float network and then of `spec`."""
    return inspector().look_in_turn([_logit_calls(CompressionSpec(spec.model)), _logit_calls(spec)], go)


def _logit_calls(spec: CompressionSpec) -> list[Call]:
    return logit_calls(engine(), networks.float_model(spec.model), spec, images.load_once(), _module(spec))


def _module(spec: CompressionSpec) -> Any:
    """Returns the module of a network that takes seconds to make, or None: workers make the others themselves."""
    return compressed.model(spec).module if spec.takes_seconds else None


def calibration_curve(spec: CompressionSpec, count: int, go: bool) -> InspectionReading:
    """Returns how far the points of the curves of calibration are, on `count` test images."""
    model, some = networks.float_model(spec.model), images.load_once()[:count]
    return inspector().look_in_turn([curve_calls(engine(), model, each, some) for each in curve_specs(spec)], go)


def curve_points(spec: CompressionSpec, count: int, reading: InspectionReading) -> tuple[CurvePoint, ...]:
    """Returns the points, from the results of `calibration_curve`."""
    ats = curve_specs(spec)
    size, labels = len(reading.results) // len(ats), images.load_once().labels[:count]
    return tuple(
        read_curve_point(each, reading.results[number * size : (number + 1) * size], labels)
        for number, each in enumerate(ats)
    )


def corrupted(spec: CompressionSpec, count: int, go: bool) -> InspectionReading:
    """Returns how far the predictions for `count` corrupted images are, of the float network and then of `spec`."""
    parts = [
        corruption_calls(engine(), networks.float_model(spec.model), each, images.load_once(), count, _module(each))
        for each in (CompressionSpec(spec.model), spec)
    ]
    return inspector().look_in_turn(parts, go)


def layer_signals(spec: CompressionSpec, go: bool) -> InspectionReading:
    """Returns how far the signals of all layers are measured, on LAYER_IMAGES test images."""
    model = networks.float_model(spec.model)
    return inspector().look(
        layer_calls(engine(), model, spec, images.load_once(), LAYER_IMAGES, _ready_network(spec)), go
    )


def bit_flip_storages(spec: CompressionSpec) -> tuple[Storage, ...]:
    """Returns the ways to store the weights in which bits are flipped."""
    return storages(networks.float_model(spec.model), spec, compressed.model(spec))


def bit_flips(spec: CompressionSpec, count: int, go: bool) -> InspectionReading:
    """Returns how far the flips of bits are counted on `count` images, one storage after the other."""
    model = networks.float_model(spec.model)
    parts = [
        bit_flip_calls(engine(), model, each.spec, each.bits, images.load_once(), count, _ready_network(each.spec))
        for each in bit_flip_storages(spec)
    ]
    return inspector().look_in_turn(parts, go)


def bit_flip_reports(spec: CompressionSpec, count: int, reading: InspectionReading) -> tuple[StorageReport, ...]:
    """Returns the reports of all storages, from the results of `bit_flips`."""
    return report_storages(bit_flip_storages(spec), count, reading.results)


def _ready_network(spec: CompressionSpec) -> CompressedModel | None:
    """Returns a compressed network that takes seconds to make, or None: workers make the others themselves."""
    return compressed.model(spec) if spec.takes_seconds else None


def corruption_report(spec: CompressionSpec, count: int, reading: InspectionReading) -> CorruptionReport:
    """Returns what corruptions cost, from the predictions of both networks for `count` images."""
    return _corruption_report(spec, count, reading.results)


@shared(64)
def _corruption_report(spec: CompressionSpec, count: int, _results: tuple[Any, ...]) -> CorruptionReport:
    dataset, half = images.load_once(), len(_results) // 2
    before, after = (right_by_condition(each, count) for each in (_results[:half], _results[half:]))
    return report_corruptions(before, after, dataset.labels[:count], dataset.classes)


def calibrations(spec: CompressionSpec, reading: InspectionReading) -> tuple[Calibration, Calibration]:
    """Returns the calibration of the float network and of `spec`, from the logits of both."""
    half = len(reading.results) // 2
    before = _calibration(CompressionSpec(spec.model), reading.results[:half])
    return before, _calibration(spec, reading.results[half:])


@shared(64)
def _calibration(spec: CompressionSpec, _parts: tuple[Any, ...]) -> Calibration:
    return calibrate_results(_parts, images.load_once().labels)
