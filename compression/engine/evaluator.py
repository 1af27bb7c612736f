"""Accuracy that is live: asked for by many, evaluated once, told at any time, kept for good.

An evaluation is a row of chunks of images, which workers take in the order of their numbers. `look` says what is known
by now and keeps enough chunks going; an evaluation that nobody looks at comes to rest by itself.
"""

import hashlib
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache

import numpy as np
import torch

from compression.data.cifar10 import TEST
from compression.data.images import ImageSet
from compression.engine.cluster import Engine, Shared
from compression.engine.cluster import Key as Task
from compression.engine.priorities import LAST, LEVEL, POLL_SECONDS
from compression.engine.tasks import evaluate_chunks
from compression.errors import EngineError
from compression.evaluation.evaluation import BATCH, Evaluation, join
from compression.evaluation.reading import Reading
from compression.evaluation.sampling import VisitingOrder, plain_order, visiting_order
from compression.evaluation.subsets import first
from compression.networks.macs import layer_macs
from compression.networks.model import FloatModel
from compression.results.costs import Costs
from compression.results.landscape import read_landscape
from compression.results.provenance import arithmetic
from compression.results.store import Key, Store
from compression.spec import CompressionSpec

AHEAD = 16  # chunks that are asked for at once: a second's work

LATER_MACS = 25 * 10**9  # of a task that is not urgent: some tenths of a second, for somebody may come and look

LATER_CHUNKS = 8  # at most

PLAIN_CHUNKS = 8  # of a spec whose float network is not evaluated yet, so that there is a number at once

MOST_KEPT = 512

FORGET_SECONDS = 60

LATELY_SECONDS = 5


@dataclass(eq=False)
class _Counting:
    """One evaluation on its way: chunk number -> its evaluation, task -> the chunks it is asked for, and the whole.

    Only chunks below `upto` are wanted. `asked_at` is in seconds since 1970, `begun` on the monotonic clock.
    """

    key: Key
    model: FloatModel
    spec: CompressionSpec
    order: VisitingOrder
    upto: int
    whole: Evaluation | None
    measured_with: str | None = None
    asked_at: float = 0.0
    parts: dict[int, Evaluation] = field(default_factory=dict)
    asked: dict[Task, range] = field(default_factory=dict)
    begun: float | None = None

    @cached_property
    def name(self) -> str:
        """Equal for equal work: what tasks are called."""
        rows = self.order.rows.numpy().tobytes()
        return f"count-{hashlib.sha256(repr(self.key).encode() + rows).hexdigest()[:24]}"

    @cached_property
    def later(self) -> int:
        """How many chunks make a task that is not urgent."""
        macs = BATCH * sum(layer_macs(self.model.module, self.model.example).values())
        return max(1, min(LATER_CHUNKS, LATER_MACS // max(macs, 1)))

    @property
    def missing(self) -> list[int]:
        """The chunks that are wanted and not asked for."""
        there = self.parts.keys() | {number for chunks in self.asked.values() for number in chunks}
        return [number for number in range(self.upto) if number not in there]

    @property
    def prefix(self) -> list[Evaluation]:
        """The parts without a gap: chunks may come back in another order, but a sample is the first of its order."""
        found: list[Evaluation] = []
        while len(found) in self.parts:
            found.append(self.parts[len(found)])
        return found


class Evaluator:
    """Evaluations of all sessions of this process. All may be called from any thread, and none waits for work."""

    def __init__(self, engine: Engine, store: Store, images: ImageSet, beforehand: bool = False) -> None:
        """`images` are the test images, or the first of them. `beforehand`: what was measured of all of them
        beforehand is not evaluated again.
        """
        self._engine, self._store, self._images = engine, store, images
        self._beforehand = beforehand and len(images) == TEST.images
        self._data = first(len(images))
        self._chunks = -(-len(images) // BATCH)
        self._lock = threading.RLock()
        self._countings: OrderedDict[tuple[Key, bool], _Counting] = OrderedDict()
        self._watching: dict[str, tuple[_Counting, float]] = {}

    def look(self, who: str, model: FloatModel, spec: CompressionSpec, go: bool = True, urgent: bool = True) -> Reading:
        """What is known of `spec`; with `go`, sees to it that more will be.

        `who` looks at one spec at a time: chunks of the one before that nobody else looks at are not begun any more.
        What is not `urgent` waits for all that is.
        """
        with self._lock:
            base = self._counting(model, CompressionSpec(spec.model), None)
            counting = base if spec == base.spec else self._counting(model, spec, base.whole)
            self._watch(who, counting, go)
            error = None
            try:
                for each in dict.fromkeys((counting, base)):
                    self._advance(each, go, urgent)
            except EngineError as failure:
                self._rest(counting)
                self._rest(base)
                error = str(failure)
            parts = counting.prefix
            seen = counting.whole or (join(parts) if parts else None)
            notice = self._engine.notice or self._store.problem
            order = plain_order(len(self._images)) if counting.whole else counting.order
            return Reading(
                spec, order, seen, base.whole, self._seconds_left(counting), notice, error, counting.measured_with
            )

    def follow(self, model: FloatModel, spec: CompressionSpec, urgent: bool = True) -> Iterator[Reading]:
        """Readings, one after another, until one is exact. Raises EngineError where a worker fails."""
        who = f"follow-{uuid.uuid4().hex}"
        while not (reading := self.look(who, model, spec, urgent=urgent)).exact:
            if reading.error:
                raise EngineError(reading.error)
            yield reading
            time.sleep(POLL_SECONDS)
        yield reading

    def evaluate(self, model: FloatModel, spec: CompressionSpec, urgent: bool = False) -> Evaluation:
        """The evaluation on all images; waits for it. Raises EngineError where a worker fails."""
        *_, last = self.follow(model, spec, urgent)
        assert last.whole
        return last.whole

    @property
    def lookers(self) -> int:
        """How many have looked lately."""
        now = time.monotonic()
        return sum(now - at < LATELY_SECONDS for _, at in list(self._watching.values()))

    def key(self, model: FloatModel, spec: CompressionSpec) -> Key:
        """What the evaluation on all images is kept under."""
        return Key.of(model, spec, self._data)

    def known(self, model: FloatModel, spec: CompressionSpec) -> Evaluation | None:
        """The evaluation on all images, if it is there; nothing is asked for."""
        key = self.key(model, spec)
        with self._lock:
            here = [self._countings.get((key, ordered)) for ordered in (True, False)]
        return next((each.whole for each in here if each and each.whole), None) or self._kept(model, spec)[0]

    def known_costs(self, model: FloatModel, spec: CompressionSpec) -> Costs | None:
        """What was counted of it, here or beforehand."""
        found = self._store.get_costs(self.key(model, spec))
        if found is None and self._beforehand and (result := read_landscape(model).get(spec)):
            return result.costs
        return found

    def _kept(self, model: FloatModel, spec: CompressionSpec) -> tuple[Evaluation | None, str | None]:
        """What the store has, or what was measured beforehand, and then with which torch."""
        found = self._store.get(self.key(model, spec), self._images)
        if found is None and self._beforehand and (result := read_landscape(model).get(spec)):
            return result.evaluation, read_landscape(model).torch
        return found, None

    def _counting(self, model: FloatModel, spec: CompressionSpec, before: Evaluation | None) -> _Counting:
        """The evaluation of `spec` so far, in the float network's order as soon as that is known."""
        key = self.key(model, spec)
        place = key, before is not None
        if place not in self._countings:
            alone = before is None and spec != CompressionSpec(spec.model)
            twin = self._countings.get((key, before is None))
            whole, measured_with = (twin.whole, twin.measured_with) if twin and twin.whole else self._kept(model, spec)
            self._countings[place] = _Counting(
                key,
                model,
                spec,
                order=_order(before) if before else plain_order(len(self._images)),
                upto=min(PLAIN_CHUNKS, self._chunks) if alone else self._chunks,
                whole=whole,
                measured_with=measured_with,
            )
            while len(self._countings) > MOST_KEPT:
                self._rest(self._countings.popitem(last=False)[1])
        self._countings.move_to_end(place)
        return self._countings[place]

    def _watch(self, who: str, counting: _Counting, go: bool) -> None:
        """Notes what `who` looks at; what nobody looks at any more rests."""
        now = time.monotonic()
        before = self._watching.pop(who, None)
        if before is None or before[0] is not counting:
            counting.asked_at = time.time()
        left = [before] if before else []
        if go:
            self._watching[who] = counting, now
        for one, seen in list(self._watching.items()):
            if now - seen[1] > FORGET_SECONDS:
                left.append(self._watching.pop(one))
        for each, _ in left:
            if all(watched is not each for watched, _ in self._watching.values()):
                self._rest(each)

    def _rest(self, counting: _Counting) -> None:
        self._engine.drop(counting.asked)
        counting.asked.clear()

    def _advance(self, counting: _Counting, go: bool, urgent: bool) -> None:
        """Takes in what has come back and, with `go`, asks for the chunks that come next."""
        if counting.whole:
            return
        found = self._engine.take(counting.asked)
        for task, parts in found.items():
            counting.parts.update(zip(counting.asked.pop(task), parts, strict=True))
        if found and counting.begun is None:
            counting.begun = time.monotonic()
        if len(counting.parts) == self._chunks:
            self._finish(counting)
        elif go:
            room = AHEAD - sum(map(len, counting.asked.values()))
            for chunks in _runs(counting.missing[: max(room, 0)], 1 if urgent else counting.later):
                self._ask(counting, chunks, urgent)

    def _ask(self, counting: _Counting, chunks: range, urgent: bool) -> None:
        """The first images of anybody come before the second images of anybody; among equals, the newest request."""
        task = f"{counting.name}-{len(chunks)}", chunks.start
        rows = counting.order.rows[chunks.start * BATCH : chunks.stop * BATCH]
        self._engine.ask(
            task,
            evaluate_chunks,
            Shared(f"network-{counting.model.digest}", counting.model),
            counting.spec,
            rows.numpy().astype(np.uint16),
            arithmetic(),
            None if self._engine.local else Shared(f"images-{TEST.fingerprint}", self._images),
            priority=int(1000 * counting.asked_at) - LEVEL * chunks.start.bit_length() - (0 if urgent else LAST),
        )
        counting.asked[task] = chunks

    def _finish(self, counting: _Counting) -> None:
        """All images are there: put into canonical order, kept, and stored."""
        visited = join(counting.prefix)
        place = torch.argsort(counting.order.rows)
        margins = None
        if counting.spec == CompressionSpec(counting.spec.model) and visited.margins is not None:
            margins = visited.margins[place].half().float()  # as the store keeps them, so that orders are the same
        counting.whole = replace(
            visited, predictions=visited.predictions[place], labels=self._images.labels, margins=margins
        )
        counting.parts.clear()
        self._store.put(counting.key, counting.whole)

    def _seconds_left(self, counting: _Counting) -> float | None:
        done = len(counting.parts)
        if counting.begun is None or done < 2:
            return None
        return (time.monotonic() - counting.begun) / (done - 1) * (self._chunks - done)


@lru_cache(maxsize=64)
def _order(before: Evaluation) -> VisitingOrder:
    return visiting_order(before)


def _runs(numbers: Sequence[int], most: int) -> Iterator[range]:
    """`numbers`, which ascend, as ranges of at most `most`."""
    start = 0
    for end in range(1, len(numbers) + 1):
        if end == len(numbers) or end - start == most or numbers[end] != numbers[end - 1] + 1:
            yield range(numbers[start], numbers[end - 1] + 1)
            start = end
