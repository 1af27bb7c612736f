"""A scan of sensitivity, asked for by many, measured once, told at any time, kept for good.

Its tasks are small, a layer and a batch of images each, and come after everything else that is asked for. Each
evaluation goes into the store as soon as it is whole, under the same key as if the network had been evaluated by
itself; so a scan that was stopped goes on where it was, and one that nobody looks at comes to rest.
"""

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from compression.data.cifar10 import TEST
from compression.data.images import ImageSet
from compression.engine.cluster import Engine, Shared
from compression.engine.priorities import LAST, POLL_SECONDS
from compression.errors import EngineError
from compression.evaluation.evaluation import BATCH, Evaluation, join
from compression.evaluation.subsets import ALL, first_of
from compression.evaluation.subsets import rows as part_rows
from compression.experiments.layerwise import single_layer_spec
from compression.experiments.tasks import evaluate_layer
from compression.networks.model import FloatModel
from compression.networks.weights import weighted_layers
from compression.results.provenance import arithmetic
from compression.results.store import Key, Store
from compression.spec import CompressionSpec

IMAGES = 1000

AHEAD = 12  # tasks that are asked for at once: some seconds' work

MOST_KEPT = 32

Cells = Mapping[tuple[str, CompressionSpec], Evaluation]


@dataclass(frozen=True)
class Scan:
    """Each layer of `layers` alone, compressed as each of `specs` says of the whole network, on the first `images`."""

    specs: tuple[CompressionSpec, ...]
    layers: tuple[str, ...]
    images: int


@dataclass(frozen=True, eq=False)
class ScanReading:
    """What is known of a scan now: the float network `before`, and those `cells` that are whole.

    `share` (0..1) of the work is done. `notice` and `error` are sentences.
    """

    scan: Scan
    before: Evaluation | None
    cells: Cells
    share: float
    seconds_left: float | None = None
    notice: str | None = None
    error: str | None = None

    @property
    def exact(self) -> bool:
        """Whether nothing is missing."""
        return self.before is not None and len(self.cells) == len(self.scan.specs) * len(self.scan.layers)


@dataclass(eq=False)
class _Row:
    """A layer of `scan`; for each of `specs` the key of its evaluation, and that itself, None as long as it is missing.

    `parts`: batch number -> its evaluations, of the missing ones alone. `asked`: the batches that are asked for.
    `work`: how many layers a batch passes through for one evaluation.
    """

    scan: Scan
    layer: str
    specs: tuple[CompressionSpec, ...]
    keys: tuple[Key, ...]
    found: list[Evaluation | None]
    work: int
    parts: dict[int, list[Evaluation]] = field(default_factory=dict)
    asked: set[int] = field(default_factory=set)

    @property
    def missing(self) -> list[int]:
        return [place for place, evaluation in enumerate(self.found) if evaluation is None]

    @property
    def name(self) -> str:
        """What tasks are called. Also of the float network, which all scans begin with, each scan has its own: what is
        taken once is not there for another.
        """
        keys = [self.keys[place] for place in self.missing]
        return f"scan-{hashlib.sha256(repr((self.scan, self.layer, keys)).encode()).hexdigest()[:24]}"


@dataclass(eq=False)
class _Scanning:
    """A scan on its way. The first of its rows is the float network: a layer to which nothing is done.

    `begun`: when, on the monotonic clock, and at which share.
    """

    scan: Scan
    model: FloatModel
    rows: tuple[_Row, ...]
    begun: tuple[float, float] | None = None

    @property
    def batches(self) -> int:
        return -(-self.scan.images // BATCH)

    @property
    def share(self) -> float:
        done = sum(row.work * (len(row.parts) if row.missing else self.batches) for row in self.rows)
        return done / (self.batches * sum(row.work for row in self.rows))


class Scanner:
    """Scans of all sessions of this process. All may be called from any thread, and none waits for work."""

    def __init__(self, engine: Engine, store: Store, images: ImageSet, part: slice = ALL) -> None:
        """`images` are all test images. Those of `part` are scanned, and no others are seen."""
        self._engine, self._store, self._images, self._part = engine, store, images, part
        self._lock = threading.RLock()
        self._scannings: OrderedDict[tuple[str, Scan], _Scanning] = OrderedDict()

    def look(
        self, model: FloatModel, specs: Sequence[CompressionSpec], images: int = IMAGES, go: bool = True
    ) -> ScanReading:
        """What is known by now; with `go`, sees to it that more will be."""
        with self._lock:
            scanning = self._scanning(model, Scan(tuple(specs), tuple(weighted_layers(model.module)), images))
            error = None
            try:
                for row in scanning.rows:
                    self._take(scanning, row)
                if go:
                    self._ask(scanning)
                else:
                    scanning.begun = None
            except EngineError as failure:
                for row in scanning.rows:
                    self._engine.drop((row.name, batch) for batch in row.asked)
                    row.asked.clear()
                error = str(failure)
            base, *rows = scanning.rows
            cells = {
                (row.layer, spec): evaluation
                for row in rows
                for spec, evaluation in zip(row.specs, row.found, strict=True)
                if evaluation
            }
            return ScanReading(
                scanning.scan,
                base.found[0],
                cells,
                scanning.share,
                _seconds_left(scanning),
                self._engine.notice or self._store.problem,
                error,
            )

    def follow(
        self, model: FloatModel, specs: Sequence[CompressionSpec], images: int = IMAGES
    ) -> Iterator[ScanReading]:
        """Readings, one after another, until one is exact. Raises EngineError where a worker fails."""
        while not (reading := self.look(model, specs, images)).exact:
            if reading.error:
                raise EngineError(reading.error)
            yield reading
            time.sleep(POLL_SECONDS)
        yield reading

    def _scanning(self, model: FloatModel, scan: Scan) -> _Scanning:
        place = model.digest, scan
        if place not in self._scannings:
            names, as_float = scan.layers, CompressionSpec(model.name)
            rows = [self._row(model, scan, names[0], {as_float: as_float}, len(names))]
            for number, layer in enumerate(names):
                whole = {spec: single_layer_spec(spec, layer, names) for spec in scan.specs}
                rows.append(self._row(model, scan, layer, whole, (len(names) - number) * len(whole)))
            self._scannings[place] = _Scanning(scan, model, tuple(rows))
            while len(self._scannings) > MOST_KEPT:
                self._scannings.popitem(last=False)
        self._scannings.move_to_end(place)
        return self._scannings[place]

    def _row(
        self, model: FloatModel, scan: Scan, layer: str, whole: dict[CompressionSpec, CompressionSpec], work: int
    ) -> _Row:
        """`whole`: what is done to `layer` -> the same, said of the whole network."""
        keys = tuple(Key.of(model, spec, first_of(self._part, scan.images)) for spec in whole.values())
        images = self._images[self._part][: scan.images]
        return _Row(scan, layer, tuple(whole), keys, [self._store.get(key, images) for key in keys], work)

    def _take(self, scanning: _Scanning, row: _Row) -> None:
        """Takes in what has come back; what is whole is stored."""
        found = self._engine.take([(row.name, batch) for batch in row.asked]) if row.asked else {}
        for (_, batch), part in found.items():
            row.asked.discard(batch)
            row.parts[batch] = part
        if found and scanning.begun is None:
            scanning.begun = time.monotonic(), scanning.share
        if row.missing and len(row.parts) == scanning.batches:
            ordered = [row.parts[batch] for batch in range(scanning.batches)]
            for place, parts in zip(row.missing, zip(*ordered, strict=True), strict=True):
                whole = join(parts)
                if row is not scanning.rows[0]:
                    whole = replace(whole, margins=None)
                row.found[place] = whole
                self._store.put(row.keys[place], whole)
            row.parts.clear()

    def _ask(self, scanning: _Scanning) -> None:
        """Layer by layer, so that one after another is whole; of each, batch by batch."""
        room = AHEAD - sum(len(row.asked) for row in scanning.rows)
        waiting = (
            (number, row, batch)
            for number, row in enumerate(scanning.rows)
            if row.missing
            for batch in range(scanning.batches)
            if batch not in row.parts and batch not in row.asked
        )
        for (number, row, batch), _ in zip(waiting, range(room), strict=False):
            rows = part_rows(self._part)[: scanning.scan.images][batch * BATCH : (batch + 1) * BATCH]
            missing = tuple(row.specs[place] for place in row.missing)
            model = Shared(f"network-{scanning.model.digest}", scanning.model)
            images = None if self._engine.local else Shared(f"images-{TEST.fingerprint}", self._images)
            order = -2 * LAST - number * TEST.images - batch
            self._engine.ask(
                (row.name, batch), evaluate_layer, model, row.layer, missing, rows, arithmetic(), images, priority=order
            )
            row.asked.add(batch)


def _seconds_left(scanning: _Scanning) -> float | None:
    if scanning.begun is None:
        return None
    since, before = scanning.begun
    gained = scanning.share - before
    return (time.monotonic() - since) / gained * (1 - scanning.share) if gained > 0 else None
