"""Accuracy: counted on the engine for all sessions at once, read from the store, or measured beforehand."""

from functools import partial

import streamlit as st

from compression.core.record import CompressedModel
from compression.data.cifar10 import TEST
from compression.engine.cluster import engine
from compression.engine.evaluator import Evaluator
from compression.engine.jobs import JobKind
from compression.errors import DataError, EngineError
from compression.evaluation.reading import Reading
from compression.networks import public
from compression.results import neighbours
from compression.results.landscape import read_landscape
from compression.results.store import Store
from compression.spec import CompressionSpec
from pages.ui.compute import compressed, images, jobs, networks, recovery

LEAST_POLL_SECONDS = 0.25  # more often, and painting takes the browser more than counting takes the server
CROWD = 130  # n sessions that look wait n² / CROWD seconds each between two looks


@st.cache_resource(show_spinner=False)
def store() -> Store:
    """Returns the store of results, which all sessions share."""
    return Store()


@st.cache_resource(show_spinner=False)
def evaluator() -> Evaluator:
    """Returns the evaluator, which all sessions share, so that no spec is counted twice."""
    return Evaluator(engine(), store(), images.load_once(), use_landscape=True)


def look(spec: CompressionSpec, go: bool = True, side: str = "") -> Reading:
    """Returns what is known about the accuracy of `spec` now; with `go`, workers go on counting.

    A session looks at one spec at a time, or at one on each `side` of a page. A network that takes seconds is made once
    for all sessions and workers, and its images are counted as soon as it is there. If the page shows the bytes of its
    file, they are counted after the first images, for which a reader waits.
    """
    source = partial(_network, spec, side) if spec.takes_seconds else None
    model = networks.float_model(spec.model)
    reading = evaluator().look(jobs.session_name() + side, model, spec, go, compressed=source)
    if go and reading.images and reading.whole is None:
        compressed.count_if_shown(spec, side)
    if go and not side:
        jobs.look(JobKind.COUNT, reading.whole is None and reading.error is None, reading.images / reading.total)
    return reading


def is_waiting(spec: CompressionSpec, side: str = "") -> bool:
    """Returns whether the first images of `spec` are still to be counted."""
    if isinstance(images.test_images(), DataError):
        return False
    reading = look(spec, go=False, side=side)
    return not (reading.images or reading.error)


def _network(spec: CompressionSpec, side: str) -> CompressedModel | None:
    """Returns the compressed network, or None until it is there. Raises EngineError if it cannot be made."""
    if not spec.recovers:
        return compressed.model(spec)
    reading = recovery.time(spec, side)
    if reading.error:
        raise EngineError(reading.error)
    return reading.network


def look_beforehand(spec: CompressionSpec) -> Reading | neighbours.Neighbours | None:
    """Returns what is known about the accuracy of `spec` where there are no images; None if nothing is."""

    def pruned_share() -> float:
        layers = compressed.answer(spec).layers
        return sum(layer.pruned for layer in layers) / sum(layer.weights for layer in layers)

    return neighbours.committed_reading(networks.float_model(spec.model), spec, pruned_share)


def landscape_notice(name: str) -> str | None:
    """Returns a sentence on why the committed results of a network are not used, or None."""
    return read_landscape(networks.float_model(name)).stale


def is_measured(name: str) -> bool:
    """Returns whether some specs of a network were measured beforehand."""
    return bool(read_landscape(networks.float_model(name)).rows)


def float_accuracy(name: str) -> tuple[float | None, str]:
    """Returns the accuracy (0..1) of the float network, and a phrase on its origin.

    It is the accuracy that its origin states, or else the one that was counted here, or else None.
    """
    model = networks.float_model(name)
    if model.accuracy is not None:
        return model.accuracy, "as published" if name in public.PUBLIC else f"on all {TEST.images:,} test images"
    if isinstance(images.test_images(), DataError):
        return None, "not counted yet"
    known = evaluator().known(model, CompressionSpec(name))
    return (known.accuracy, f"on all {known.total:,} test images") if known else (None, "not counted yet")


def poll_seconds() -> float:
    """Returns how long to wait between two looks: the more sessions look, the longer, and the fewer looks in all.

    Thirty students who look as often as the server can answer would leave no time for their sliders.
    """
    return max(LEAST_POLL_SECONDS, evaluator().active_watchers ** 2 / CROWD)
