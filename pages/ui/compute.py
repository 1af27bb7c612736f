"""What the pages compute, each answer kept by its spec. The only file that caches for Streamlit.

Nothing that is kept is ever mutated.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from compression.core import compress as core
from compression.core import training_evidence as training
from compression.core.record import CompressedModel, LayerFacts, LayerTotals, bit_operations
from compression.data import images as data
from compression.data.cifar10 import TEST
from compression.deploy import deployer as deployment
from compression.deploy import state_dict, stopwatch
from compression.engine import cluster as engine
from compression.engine import evaluator as live
from compression.errors import CodecError, DataError
from compression.evaluation.reading import Reading
from compression.experiments import scan as scanning
from compression.experiments import sweep
from compression.experiments import sweep as pace
from compression.experiments.search.goal import Goal
from compression.experiments.search.reading import SearchReading
from compression.experiments.search.searcher import Searcher
from compression.files import ledger as waterfall
from compression.files import size
from compression.inspect import card, histogram, integers, mosaic, ranking, staircase
from compression.inspect import scores as pruning_view
from compression.inspect import threshold_curve as cumulative
from compression.networks import library, public
from compression.networks import macs as operations
from compression.networks.folding import fold_batch_norm
from compression.networks.model import FloatModel
from compression.networks.weights import weighted_layers
from compression.pruning import proof as smaller
from compression.pruning import removal
from compression.results import known, landscape, neighbours, store
from compression.results import table as tables
from compression.spec import CompressionSpec, Order
from pages.ui import format

LEAST_POLL_SECONDS = 0.25  # more often, and painting takes the browser more than counting takes the server
SECONDS_A_LOOKER = 0.06


@dataclass(frozen=True)
class Answer(LayerTotals):
    """What is known of a spec at once; a thousand of these take less room than one network."""

    size: size.Size
    bit_operations: int
    layers: tuple[LayerFacts, ...]


def mine() -> dict[str, FloatModel]:
    """The networks that were brought along in this browser session, by name. No other session sees them."""
    return st.session_state.setdefault("mine", {})


def networks() -> list[str]:
    """Every network that this session can pick."""
    return [*library.network_names(), *mine()]


def float_model(name: str) -> FloatModel:
    return mine().get(name) or _shared_model(name)


@st.cache_resource(max_entries=16, show_spinner=False)
def _shared_model(name: str) -> FloatModel:
    return library.load_network(name)


def float_accuracy(name: str) -> tuple[float | None, str]:
    """The accuracy (0..1) of the float network as its origin states it, else as counted so far; and on what."""
    model = float_model(name)
    if model.accuracy is not None:
        return model.accuracy, "as published" if name in public.PUBLIC else "on all 10,000 test images"
    images = test_images()
    found = None if isinstance(images, DataError) else _evaluator().known(model, CompressionSpec(name))
    return (found.accuracy, f"on all {found.total:,} test images") if found else (None, "not counted yet")


@st.cache_data(ttl=60, show_spinner=False)
def public_unreachable() -> str | None:
    return public.why_unreachable(timeout_seconds=2)


@st.cache_data(max_entries=256, show_spinner=False)
def layer_macs(name: str) -> dict[str, int]:
    return operations.layer_macs(float_model(name).module, float_model(name).example)


@st.cache_resource(max_entries=16, show_spinner=False)
def _folded_model(name: str) -> FloatModel:
    return replace(float_model(name), module=fold_batch_norm(float_model(name).module))


def _model(name: str, fold: bool) -> FloatModel:
    return _folded_model(name) if fold else float_model(name)


def has_batch_norm(name: str) -> bool:
    return _folded_model(name).module is not float_model(name).module


@st.cache_data(max_entries=256, show_spinner=False)
def layer_cards(name: str, fold: bool) -> tuple[card.LayerCard, ...]:
    return card.layer_cards(_model(name, fold).module, layer_macs(name))


@st.cache_data(max_entries=256, show_spinner=False)
def channel_ranges(name: str, layer: str, bits: int, fold: bool) -> card.ChannelRanges:
    return card.channel_ranges(weighted_layers(_model(name, fold).module)[layer], bits)


@st.cache_data(max_entries=256, show_spinner=False)
def largest_useful_threshold(name: str, fold: bool) -> float:
    return histogram.largest_useful_threshold(_model(name, fold).module)


@st.cache_resource(max_entries=12, show_spinner=False)  # a VGG-19 and its copy take 160 MB
def compressed(spec: CompressionSpec) -> CompressedModel:
    model = float_model(spec.model)
    given = _model(spec.model, spec.fold_bn and spec.order is Order.FOLD_FIRST)
    return core.compress(given.module, spec, training.evidence_for(model, spec))


@st.cache_resource(max_entries=1024, show_spinner=False)
def answer(spec: CompressionSpec) -> Answer:
    made = compressed(spec)
    return Answer(
        size=size.measure(made),
        bit_operations=bit_operations(made, layer_macs(spec.model)),
        layers=tuple(layer.facts for layer in made.layers),
    )


def problem(spec: CompressionSpec) -> str | None:
    """Why a network cannot be compressed so, in a sentence; None where it can."""
    try:
        answer(spec)
    except (DataError, ValueError) as error:
        return why(error)
    return None


def why(error: DataError | ValueError) -> str:
    """What stands in the way, in a sentence."""
    wants = "This needs training images. " if isinstance(error, DataError) else ""
    return f"{wants}{format.capital(str(error))}."


def levels(spec: CompressionSpec) -> tuple[int, int]:
    """The fewest and the most values that the quantizer of a layer has."""
    found = [layer.qparams.codes for layer in compressed(spec).layers if layer.qparams]
    return min(found, default=0), max(found, default=0)


@st.cache_resource(max_entries=1024, show_spinner=False)
def weight_view(spec: CompressionSpec, layer: str | None) -> histogram.WeightView:
    return histogram.weight_view(compressed(spec), layer)


@st.cache_resource(max_entries=1024, show_spinner=False)
def stairs(spec: CompressionSpec, layer: str, channel: int | None) -> staircase.Staircase:
    return staircase.staircase(next(record for record in compressed(spec).layers if record.name == layer), channel)


@st.cache_resource(max_entries=8, show_spinner=False)
def scores(spec: CompressionSpec) -> pruning_view.Scores:
    """What pruning goes by; `spec` is that of `pruning_view.scoring`, so that no move of a slider asks anew."""
    model = _model(spec.model, spec.fold_bn)
    return pruning_view.scores(model.module, spec, training.evidence_for(model, spec))


@st.cache_resource(max_entries=256, show_spinner=False)
def curve(spec: CompressionSpec, layer: str | None) -> cumulative.Curve:
    return cumulative.cumulative([part for name, part in scores(spec).items() if layer in (None, name)])


@st.cache_resource(max_entries=1024, show_spinner=False)
def cut(spec: CompressionSpec, by: CompressionSpec, layer: str | None) -> pruning_view.Cut | None:
    """What `spec` takes by the scores of `by`."""
    return pruning_view.cut(spec.prune, scores(by), layer) if spec.prune else None


def _weights_left(spec: CompressionSpec, layer: str | None) -> pruning_view.Scores:
    return {record.name: record.weight for record in compressed(spec).layers if layer in (None, record.name)}


@st.cache_resource(max_entries=256, show_spinner=False)
def left(spec: CompressionSpec, layer: str | None) -> mosaic.Mosaic:
    return mosaic.mosaic(list(_weights_left(spec, layer).values()))


@st.cache_resource(max_entries=256, show_spinner=False)
def overlap(spec: CompressionSpec, other: CompressionSpec, layer: str | None) -> mosaic.Overlap:
    return mosaic.overlap(*(list(_weights_left(one, layer).values()) for one in (spec, other)))


@st.cache_resource(max_entries=256, show_spinner=False)
def ranked(spec: CompressionSpec, by: CompressionSpec, layer: str | None) -> ranking.Ranking:
    """The filters of `spec` in the order of the scores of `by`."""
    weights = _weights_left(spec, layer)
    found = {name: part for name, part in scores(by).items() if name in weights}
    return ranking.ranking(list(found.values()), [weights[name] for name in found])


@st.cache_resource(max_entries=64, show_spinner=False)
def without_zeros(spec: CompressionSpec) -> smaller.SmallerNetwork:
    """A network as small as its zero filters allow. Takes seconds."""
    return removal.remove_zeroed(compressed(spec).module, float_model(spec.model).example)


@st.cache_resource(show_spinner="Reading CIFAR-10")
def _loaded() -> data.ImageSet:
    return data.load()


@st.cache_resource(ttl=60, show_spinner=False)
def test_images() -> data.ImageSet | DataError:
    """The images, or what is wrong with them; that is looked at again after a minute."""
    try:
        return _loaded()
    except DataError as error:
        return error


@st.cache_resource(show_spinner=False)
def _store() -> store.Store:
    return store.Store()


@st.cache_resource(show_spinner=False)
def _evaluator() -> live.Evaluator:
    """Of all sessions: what one of them asks for, the others need not."""
    return live.Evaluator(engine.engine(), _store(), _loaded(), beforehand=True)


@st.cache_resource(max_entries=256, show_spinner=False)
def _layer_input(name: str, fold: bool, layer: str) -> Any:
    """What the first test image is when it comes into `layer` of the float network."""
    model = _model(name, fold)
    return integers.layer_input(model.module, layer, model.normalization(_loaded()[:1].pixels))


@st.cache_resource(max_entries=1024, show_spinner=False)
def filter_codes(spec: CompressionSpec, layer: str, channel: int) -> integers.Integers:
    return integers.filter_codes(next(record for record in compressed(spec).layers if record.name == layer), channel)


@st.cache_resource(max_entries=1024, show_spinner=False)
def pixel(spec: CompressionSpec, layer: str, channel: int) -> integers.Pixel:
    """That in the middle of the output of `layer`, for the first test image."""
    inputs = _layer_input(spec.model, spec.fold_bn, layer)
    middle = (size // 2 for size in compressed(spec).original.get_submodule(layer)(inputs).shape[2:])
    ends = float(inputs.min()), float(inputs.max())
    return integers.pixel(compressed(spec), layer, inputs, ends, (channel, *middle))


def look(spec: CompressionSpec, go: bool = True, side: str = "") -> Reading:
    """What is known about the accuracy of `spec` now; with `go`, workers see to it that more will be.

    A page looks at one spec at a time, or at one on each `side`.
    """
    who = st.session_state.setdefault("who", uuid.uuid4().hex) + side
    return _evaluator().look(who, float_model(spec.model), spec, go)


def look_beforehand(spec: CompressionSpec) -> Reading | neighbours.Neighbours | None:
    """What is known of `spec` without any image."""

    def pruned() -> float:
        layers = answer(spec).layers
        return sum(layer.pruned for layer in layers) / sum(layer.weights for layer in layers)

    return neighbours.committed_reading(float_model(spec.model), spec, pruned)


def is_measured(name: str) -> bool:
    """Whether some of what one can ask of a network was measured beforehand."""
    return bool(landscape.read_landscape(float_model(name)).rows)


@st.cache_resource(show_spinner=False)
def _scanner() -> scanning.Scanner:
    """Of all sessions, as the evaluator is."""
    return scanning.Scanner(engine.engine(), _store(), _loaded())


def scan(specs: tuple[CompressionSpec, ...], go: bool) -> scanning.ScanReading:
    """What is known about each layer alone, compressed as each of `specs` says."""
    return _scanner().look(float_model(specs[0].model), specs, go=go)


def measured_of(name: str) -> known.KnownResults:
    """All that is known of a network on all test images, beforehand and here, by now."""
    return _measured(name, _store().count(float_model(name)), not isinstance(test_images(), DataError))


@st.cache_resource(max_entries=16, show_spinner=False)
def _measured(name: str, kept: int, counts: bool) -> known.KnownResults:
    """`kept`: how many rows the store has of it."""
    return known.known_results(float_model(name), _store(), _loaded() if counts else None)


def found_table(names: Sequence[str], suffix: str) -> bytes:
    """All that is known of these networks, as a file."""
    results = {name: measured_of(name) for name in names}
    rows = tables.results_table(
        [result for each in results.values() for result in each.results.values()],
        {name: each.before for name, each in results.items() if each.before},
    )
    return tables.table_bytes(rows, suffix)


@st.cache_resource(show_spinner=False)
def _sweeper() -> sweep.Sweeper:
    """Of all sessions, as the evaluator is."""
    return sweep.Sweeper(engine.engine(), _store(), _evaluator())


def swept(specs: tuple[CompressionSpec, ...], go: bool) -> sweep.SweepReading:
    """What is known of `specs`; with `go`, workers see to it that more will be."""
    models = {name: float_model(name) for name in {spec.model for spec in specs}}
    return _sweeper().look(models, specs, go)


@st.cache_resource(max_entries=16, show_spinner=False)
def seconds_a_spec(name: str) -> float:
    """About how long one evaluation on all test images takes here. Takes a moment."""
    return pace.seconds_an_image(float_model(name)) * TEST.images


@st.cache_resource(show_spinner=False)
def _searcher() -> Searcher:
    """Of all sessions, as the evaluator is."""
    return Searcher(engine.engine(), _store(), _loaded(), _evaluator())


def search(model: str, goal: Goal, go: bool) -> SearchReading:
    """What is known of the search for `goal`."""
    return _searcher().look(float_model(model), goal, go=go)


@st.cache_resource(show_spinner=False)
def _deployer(counts: bool) -> deployment.Deployer:
    """Of all sessions, as the evaluator is."""
    return deployment.Deployer(engine.engine(), _loaded() if counts else None)


@st.cache_resource(show_spinner=False)
def _stopwatch() -> stopwatch.Stopwatch:
    """Of all sessions: two that measure at once would measure each other."""
    return stopwatch.Stopwatch()


def deployed(spec: CompressionSpec, go: bool) -> tuple[deployment.Deployed, ...]:
    """What is known of the files of `spec`; with `go`, workers see to it that more will be."""
    return _deployer(not isinstance(test_images(), DataError)).look(float_model(spec.model), spec, go)


def timing(spec: CompressionSpec, threads: int, go: bool) -> stopwatch.Timing:
    """What is known of how long the files of `spec` take here; with `go`, those that there are are measured."""
    graphs = {each.variant.kind: each.built.graph for each in deployed(spec, False) if each.built}
    return _stopwatch().look((float_model(spec.model).digest, spec), graphs, threads, go)


def undeploy(spec: CompressionSpec, threads: int) -> None:
    """Nothing more is asked for: what went wrong, and what was timed, is tried again when it is asked for."""
    _deployer(not isinstance(test_images(), DataError)).rest(float_model(spec.model), spec)
    _stopwatch().forget((float_model(spec.model).digest, spec), threads)


@st.cache_resource(max_entries=16, show_spinner=False)
def packed_file(spec: CompressionSpec) -> tuple[bytes, waterfall.FileLedger] | CodecError | ValueError:
    """The packed file, read again and compared, and where its bytes go; or why there is none. Takes a second or two."""
    try:
        return waterfall.proved(compressed(spec), float_model(spec.model))
    except (CodecError, ValueError) as error:
        return error


@st.cache_resource(max_entries=4, show_spinner=False)
def state_file(spec: CompressionSpec) -> tuple[bytes, bool]:
    """The state dict as a file, and whether it holds what was evaluated."""
    module = compressed(spec).module
    file = state_dict.state_file(module)
    return file, state_dict.holds(file, module)


def poll_seconds() -> float:
    """How long to wait between two looks: the longer, the more people look."""
    return max(LEAST_POLL_SECONDS, SECONDS_A_LOOKER * _evaluator().lookers)
