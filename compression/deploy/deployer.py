"""A compressed network as files, made by workers and answered with by workers, looked at at any time.

Files take seconds each and are kept for all who ask, as are their answers to all test images.
"""

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from compression.data.images import ImageSet
from compression.deploy.runtime import Pixels, logits, open_session
from compression.deploy.variants import OnnxFile, Variant, build, variants
from compression.engine.cluster import Engine, Shared, tasks_at_once
from compression.engine.priorities import LATER
from compression.errors import EngineError
from compression.evaluation.evaluation import Evaluation
from compression.networks.model import FloatModel
from compression.results.provenance import arithmetic, check_version
from compression.spec import CompressionSpec

CHUNK = 1000

AHEAD = 4  # chunks that are asked for at once

MOST_KEPT, MOST_BYTES = 64, 256_000_000  # files, and what they take together; a VGG of floats takes 12 MB

KEPT_SECONDS = 60.0  # even without room, since somebody may look at them again

BUILDING = -1  # its number among the tasks of a variant

Answers = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Deployment:
    """What is known of a variant: its file, or why there is none, and the classes (N,) that the file answers for all
    test images, None where there are no images. `share` (0..1) of the work is done.
    """

    variant: Variant
    file: OnnxFile | None
    answers: Answers | None
    share: float
    error: str | None

    @property
    def done(self) -> bool:
        """Whether there will be no more."""
        return self.share == 1 or self.error is not None


@dataclass(frozen=True)
class Check:
    """Of `images` images, how many a file gets right, and on how many it agrees with the simulation."""

    images: int
    correct: int
    agree: int


@dataclass(eq=False)
class _Making:
    """A variant on its way: chunk number -> answers, and the numbers of the tasks that are asked for."""

    name: str
    variant: Variant
    built: OnnxFile | None = None
    parts: dict[int, Answers] = field(default_factory=dict)
    asked: set[int] = field(default_factory=set)
    error: str | None = None
    looked_at: float = 0.0

    @property
    def nbytes(self) -> int:
        return len(self.built.graph) if self.built else 0


class Deployer:
    """Files of all sessions of this process. All may be called from any thread, and none waits for work."""

    def __init__(
        self,
        engine: Engine,
        images: ImageSet | None,
        most_bytes: int = MOST_BYTES,
        kept_seconds: float = KEPT_SECONDS,
    ) -> None:
        """`images` are the test images, or the first of them, or None: then no file is asked for answers."""
        self._engine, self._images = engine, images
        self._most_bytes, self._kept_seconds = most_bytes, kept_seconds
        self._chunks = -(-len(images) // CHUNK) if images else 0
        self._lock = threading.RLock()
        self._makings: OrderedDict[tuple[str, Variant], _Making] = OrderedDict()

    def look(self, model: FloatModel, spec: CompressionSpec, go: bool = True) -> tuple[Deployment, ...]:
        """What is known by now of each variant of `spec`; with `go`, asks for what is missing."""
        with self._lock:
            makings = [self._making(model, variant) for variant in variants(spec)]
            for making in makings:
                self._advance(making, model, go)
            self._make_room(makings)
            return tuple(self._deployed(making) for making in makings)

    def rest(self, model: FloatModel, spec: CompressionSpec) -> None:
        """What of variants of `spec` is not begun yet is not asked for any more; what went wrong may be tried again."""
        with self._lock:
            for variant in variants(spec):
                making = self._making(model, variant)
                making.error = None
                self._rest(making)

    def _making(self, model: FloatModel, variant: Variant) -> _Making:
        place = model.digest, variant
        if place not in self._makings:
            name = hashlib.sha256(repr((place, arithmetic())).encode()).hexdigest()[:24]
            self._makings[place] = _Making(f"deploy-{name}", variant)
        self._makings.move_to_end(place)
        return self._makings[place]

    def _make_room(self, seen: Sequence[_Making]) -> None:
        """`seen` are looked at now. Others go, those first that nobody has looked at for longest."""
        now = time.monotonic()
        for making in seen:
            making.looked_at = now
        nbytes = sum(making.nbytes for making in self._makings.values())
        for place, making in list(self._makings.items()):
            room = len(self._makings) <= MOST_KEPT and nbytes <= self._most_bytes
            if room or now - making.looked_at <= self._kept_seconds:
                return
            self._rest(self._makings.pop(place))
            nbytes -= making.nbytes

    def _advance(self, making: _Making, model: FloatModel, go: bool) -> None:
        try:
            for (_, number), found in self._engine.take([(making.name, each) for each in making.asked]).items():
                making.asked.discard(number)
                if number == BUILDING:
                    making.built = found
                else:
                    making.parts[number] = found
        except EngineError as failure:
            self._rest(making)
            making.error = str(failure)
        if go and making.error is None:
            self._ask(making, model)

    def _ask(self, making: _Making, model: FloatModel) -> None:
        if making.built is None:
            shared = Shared(f"network-{model.digest}", model)
            key = making.name, BUILDING
            self._engine.ask(key, build_on_worker, shared, making.variant, arithmetic(), priority=LATER)
            making.asked.add(BUILDING)
        elif self._images:
            self._ask_answers(making, making.built, self._images)

    def _ask_answers(self, making: _Making, built: OnnxFile, images: ImageSet) -> None:
        graph = Shared(f"graph-{making.name}", built.graph)
        missing = [n for n in range(self._chunks) if n not in making.parts and n not in making.asked]
        for number in missing[: AHEAD - len(making.asked)]:
            pixels = images[number * CHUNK : (number + 1) * CHUNK].pixels.numpy()
            self._engine.ask((making.name, number), predict_classes, graph, pixels, priority=LATER)
            making.asked.add(number)

    def _rest(self, making: _Making) -> None:
        self._engine.drop((making.name, number) for number in making.asked)
        making.asked.clear()

    def _deployed(self, making: _Making) -> Deployment:
        whole = 0 < len(making.parts) == self._chunks
        return Deployment(
            making.variant,
            making.built,
            np.concatenate([making.parts[number] for number in range(self._chunks)]) if whole else None,
            ((making.built is not None) + len(making.parts)) / (1 + self._chunks),
            making.error,
        )


def compare_answers(answers: Answers, simulated: Evaluation) -> Check:
    """What a file answers, beside what PyTorch says of the same images."""
    return Check(
        images=len(answers),
        correct=int((answers == simulated.labels.numpy()).sum()),
        agree=int((answers == simulated.predictions.numpy()).sum()),
    )


def build_on_worker(model: FloatModel, variant: Variant, version: str) -> OnnxFile:
    """What a worker does first. Raises RuntimeError where the code here computes otherwise than that of who asks, or
    where others compute in this process: while torch exports they fail, and two exports at once fail for good.
    """
    if tasks_at_once() > 1:
        raise RuntimeError("a network is exported by workers of one thread: start the cluster's with --nthreads 1")
    check_version(version)
    return build(model, variant)


def predict_classes(graph: bytes, pixels: Pixels) -> Answers:
    """pixels (N, channels, height, width) -> the class (N,) that has the largest logit."""
    return logits(open_session(graph), pixels).argmax(1).astype(np.uint8)
