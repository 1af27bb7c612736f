"""Scans the layers of networks in the background; shared by all sessions, readable while running, stored when complete.

A scan is split into small tasks of one layer and one batch of images each, which come after all evaluations. It is in
one of three states:

    resting     nothing more is asked for, though tasks that were asked for are still taken
    running     up to TASKS_AHEAD tasks are asked for
    done        the float network and all layers are evaluated

    resting -> running    a look has `go`
    running -> running    batches come back; a layer with all of its batches goes into the store
    running -> resting    a look has `go=False`, or a task fails: then its tasks are dropped
    any     -> done       the last batch comes back, or the store has everything

The evaluations are stored under the keys that whole networks have, so a stopped scan continues where it was, also in
another process.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from weakref import ref

from compression.data.cifar10 import TEST
from compression.data.images import ImageSet
from compression.engine.cluster import Engine, Shared
from compression.engine.lru_cache import LruCache
from compression.engine.priorities import scan_priority
from compression.engine.progress import Pace, follow
from compression.errors import EngineError
from compression.evaluation.evaluation import BATCH
from compression.evaluation.subsets import ALL, first_of
from compression.evaluation.subsets import rows as rows_of
from compression.experiments.scan import IMAGES, Scan, ScanReading
from compression.experiments.scan_state import LayerState, ScanState, batches_to_ask, layers_to_scan
from compression.experiments.tasks import evaluate_layer
from compression.networks.model import FloatModel
from compression.networks.weights import weighted_layers
from compression.results.provenance import arithmetic
from compression.results.store import Key, Store
from compression.spec import CompressionSpec

TASKS_AHEAD = 12  # some seconds of work

MOST_SCANS = 32


class Scanner:
    """The scans of all sessions of this process. Every method may be called from any thread; only `follow` waits."""

    def __init__(self, engine: Engine, store: Store, images: ImageSet, part: slice = ALL) -> None:
        """`images` are all test images. Scans use those of `part` and see no others."""
        self._engine, self._store, self._images, self._part = engine, store, images, part
        self._lock = threading.RLock()
        self._states: LruCache[tuple[str, Scan], ScanState] = LruCache(MOST_SCANS)

    def look(
        self, model: FloatModel, specs: Sequence[CompressionSpec], images: int = IMAGES, go: bool = True
    ) -> ScanReading:
        """Returns what is known now; with `go`, asks workers for more, else lets the scan rest."""
        with self._lock:
            scan = Scan(tuple(specs), tuple(weighted_layers(model.module)), images)
            state = self._states.use((model.digest, scan), lambda: self._new_state(model, scan))
            state.lend(model)
            error = self._advance(state, go)
            return self._reading(state, error)

    def follow(
        self, model: FloatModel, specs: Sequence[CompressionSpec], images: int = IMAGES
    ) -> Iterator[ScanReading]:
        """Yields readings until the scan is done. Raises EngineError if a task fails."""
        return follow(partial(self.look, model, specs, images))

    def _new_state(self, model: FloatModel, scan: Scan) -> ScanState:
        layers = [self._new_layer(model, scan, *each) for each in layers_to_scan(model, scan)]
        return ScanState(ref(model), scan, tuple(layers))

    def _new_layer(
        self, model: FloatModel, scan: Scan, layer: str, specs: Mapping[CompressionSpec, CompressionSpec], work: int
    ) -> LayerState:
        """Returns the state of a layer with what the store has. `specs` maps each spec to that of the whole network."""
        keys = tuple(Key.of(model, spec, first_of(self._part, scan.images)) for spec in specs.values())
        images = self._images[self._part][: scan.images]
        return LayerState(scan, layer, tuple(specs), keys, [self._store.get(key, images) for key in keys], work)

    def _advance(self, state: ScanState, go: bool) -> str | None:
        """Takes what has come back and, with `go`, asks for what comes next; returns the error, or None."""
        try:
            for layer in state.layers:
                self._take(state, layer)
            if go:
                self._ask(state)
            else:
                state.pace = None
        except EngineError as error:
            self._drop(state)
            return str(error)
        return None

    def _take(self, state: ScanState, layer: LayerState) -> None:
        results = self._engine.take(layer.tasks) if layer.pending else {}
        for (_, batch), part in results.items():
            layer.pending.discard(batch)
            layer.parts[batch] = part
        if results and state.pace is None:
            state.pace = Pace.from_now(state.share)
        for key, evaluation in layer.complete(state.batches, keeps_margins=layer is state.layers[0]):
            self._store.put(key, evaluation)

    def _ask(self, state: ScanState) -> None:
        for number, layer, batch in batches_to_ask(state, TASKS_AHEAD):
            self._engine.ask(
                (layer.name, batch),
                evaluate_layer,
                Shared(f"network-{state.model.digest}", state.model),
                layer.layer,
                tuple(layer.specs[index] for index in layer.missing),
                rows_of(self._part)[: state.scan.images][batch * BATCH : (batch + 1) * BATCH],
                arithmetic(),
                None if self._engine.local else Shared(f"images-{TEST.fingerprint}", self._images),
                priority=scan_priority(number, TEST.images, batch),
            )
            layer.pending.add(batch)

    def _drop(self, state: ScanState) -> None:
        for layer in state.layers:
            self._engine.drop(layer.tasks)
            layer.pending.clear()

    def _reading(self, state: ScanState, error: str | None) -> ScanReading:
        return ScanReading(
            scan=state.scan,
            before=state.before,
            cells=state.cells,
            share=state.share,
            seconds_left=state.seconds_left,
            notice=self._engine.notice or self._store.problem,
            error=error,
        )
