"""Many evaluations for one question: scans, sweeps, searches, and tables of all that was measured."""

from collections.abc import Mapping, Sequence

import streamlit as st

from compression.data.cifar10 import TEST
from compression.engine.cluster import engine
from compression.engine.workers import cores
from compression.errors import CheckpointError, DataError
from compression.experiments.duration import seconds_per_image, seconds_per_training_image
from compression.experiments.scan import ScanReading
from compression.experiments.scanner import Scanner
from compression.experiments.search.goal import Goal
from compression.experiments.search.reading import SearchReading
from compression.experiments.search.searcher import Searcher
from compression.experiments.sweep import SweepReading
from compression.experiments.sweeper import Sweeper
from compression.experiments.training.trainer import Trainer
from compression.library import catalog
from compression.library.recovered import Recovered, all_recovered
from compression.results import known
from compression.results.landscape import read_landscape_of_file
from compression.results.pareto import Point
from compression.results.table import results_table, table_bytes
from compression.retraining.recipe import Precision
from compression.spec import CompressionSpec
from pages.ui.compute import accuracy, images, networks


@st.cache_resource(show_spinner=False)
def _scanner() -> Scanner:
    return Scanner(engine(), accuracy.store(), images.load_once())


def scan(specs: tuple[CompressionSpec, ...], go: bool) -> ScanReading:
    """Returns what is known about each layer alone, compressed as each of `specs` says."""
    return _scanner().look(networks.float_model(specs[0].model), specs, go=go)


def known_results(name: str) -> known.KnownResults:
    """Returns all results of a network on all test images, measured beforehand and here."""
    rows = accuracy.store().count(networks.float_model(name))
    return _measured(name, rows, not isinstance(images.test_images(), DataError))


@st.cache_resource(max_entries=16, show_spinner=False)
def _measured(name: str, rows: int, counts: bool) -> known.KnownResults:
    """The number of `rows` in the store is part of the key, so that a new row is read."""
    test_images = images.load_once() if counts else None
    return known.known_results(networks.float_model(name), accuracy.store(), test_images)


def recovered_points(names: Sequence[str]) -> list[Point]:
    """Returns the networks that were trained from one of `names` and counted on all test images, each as it is."""
    from_names = {name for name, each in networks.descents().items() if each.network in names and name not in names}
    counts = not isinstance(images.test_images(), DataError)
    points = [_recovered_point(each, counts) for each in all_recovered() if each.name in from_names]
    return [point for point in points if point]


@st.cache_resource(max_entries=256, show_spinner=False, hash_funcs={Recovered: repr})
def _recovered_point(recovered: Recovered, counts: bool) -> Point | None:
    """Reads what was measured beforehand, or else the network once, and again when its accuracy is in its lineage."""
    try:
        beforehand = read_landscape_of_file(recovered.name, recovered.path.read_bytes()).results
        if beforehand:
            return known.point_of(beforehand[0], precomputed=True)
        if recovered.lineage.accuracy is None:
            return None
        model = catalog.load_network(recovered.name)
    except (OSError, ValueError, CheckpointError):  # its file was deleted or damaged
        return None
    measured = known.known_results(model, accuracy.store(), images.load_once() if counts else None)
    return next((point for point in measured.points if point.spec == CompressionSpec(recovered.name)), None)


def results_file(results_by_network: Mapping[str, known.KnownResults], suffix: str) -> bytes:
    """Returns the table of all results, by name of the network, as the content of a file with this suffix.

    It reads no session, because Streamlit calls it outside of one, when the file is downloaded.
    """
    rows = results_table(
        [result for each in results_by_network.values() for result in each.results.values()],
        {name: each.before for name, each in results_by_network.items() if each.before},
    )
    return table_bytes(rows, suffix)


@st.cache_resource(show_spinner=False)
def _sweeper() -> Sweeper:
    return Sweeper(engine(), accuracy.store(), accuracy.evaluator())


def sweep(specs: tuple[CompressionSpec, ...], go: bool) -> SweepReading:
    """Returns what is known about `specs`; with `go`, workers go on measuring."""
    models = {name: networks.float_model(name) for name in {spec.model for spec in specs}}
    return _sweeper().look(models, specs, go)


@st.cache_resource(max_entries=16, show_spinner=False)
def seconds_per_spec(name: str) -> float:
    """Returns about how long one evaluation on all test images takes here. Takes a moment."""
    return seconds_per_image(networks.float_model(name)) * TEST.images


@st.cache_resource(show_spinner=False)
def _searcher() -> Searcher:
    return Searcher(engine(), accuracy.store(), images.load_once(), accuracy.evaluator())


def search(model: str, goal: Goal, go: bool) -> SearchReading:
    """Returns what is known about the search for `goal`; with `go`, workers go on searching."""
    return _searcher().look(networks.float_model(model), goal, go=go)


@st.cache_resource(show_spinner=False)
def trainer() -> Trainer:
    """Returns what trains, for all sessions. A core stays free for what is live."""
    return Trainer(engine(), at_once=max(1, cores() - 1))


@st.cache_resource(max_entries=64, show_spinner=False)
def seconds_to_train_on_an_image(name: str, precision: Precision) -> float:
    """Returns about how long a worker trains on one image here. Takes a moment."""
    return seconds_per_training_image(networks.float_model(name), precision)
