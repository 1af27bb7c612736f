"""What a compressed network does with single images, beside the float network."""

from typing import Any

import streamlit as st

from compression.engine.cluster import engine
from compression.errors import DataError
from compression.inside.answers import Answer, answers
from compression.inside.calibration import Calibration
from compression.inside.flips import Comparison, OftenLost, compare, often_lost
from compression.inside.inspector import InspectionReading, Inspector, calibrate_results, logit_calls
from compression.inside.pictures import to_data_uri
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
def _inspector() -> Inspector:
    return Inspector(engine())


def logits(spec: CompressionSpec, go: bool) -> InspectionReading:
    """Returns how far the logits of all test images are, of the float network and then of `spec`."""
    before = _logits(CompressionSpec(spec.model), go)
    after = _logits(spec, go and before.done)
    return InspectionReading(
        before.results + after.results,
        after.seconds_left or before.seconds_left,
        before.notice,
        before.error or after.error,
    )


def _logits(spec: CompressionSpec, go: bool) -> InspectionReading:
    module = compressed.model(spec).module if spec.recovers else None
    model = networks.float_model(spec.model)
    return _inspector().look(logit_calls(engine(), model, spec, images.load_once(), module), go)


def calibrations(spec: CompressionSpec, reading: InspectionReading) -> tuple[Calibration, Calibration]:
    """Returns the calibration of the float network and of `spec`, from the logits of both."""
    half = len(reading.results) // 2
    before = _calibration(CompressionSpec(spec.model), reading.results[:half])
    return before, _calibration(spec, reading.results[half:])


@shared(64)
def _calibration(spec: CompressionSpec, _parts: tuple[Any, ...]) -> Calibration:
    return calibrate_results(_parts, images.load_once().labels)
