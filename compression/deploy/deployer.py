"""Builds the ONNX files of compressed networks in the background and classifies all test images with them.

The state of a variant goes through these steps. Without test images, it ends at `built`.

    new -> building -> built -> checking (chunk by chunk) -> done
                 \\                  |
                  +---> failed <----+      until `rest` clears the error

Only `look` with `go` starts work. Files and answers are shared by all sessions. The variants that were looked at least
recently are discarded when there are too many, or their files are too large together.
"""

import threading
import time
from collections.abc import Sequence
from functools import partial

from compression.data.images import ImageSet
from compression.deploy.deployment import BUILD, Deployment, VariantState
from compression.deploy.tasks import build_on_worker, predict_classes
from compression.deploy.variants import OnnxFile, Variant, variants
from compression.engine.cluster import Engine, Shared, task_name
from compression.engine.evaluation_state import LATER_TASK_MACS
from compression.engine.lru_cache import LruCache
from compression.engine.priorities import LATER
from compression.errors import EngineError
from compression.networks.model import FloatModel
from compression.results.provenance import arithmetic
from compression.spec import CompressionSpec

MOST_IMAGES = 1000  # of one task

AHEAD = 4  # pending tasks of one variant

MOST_VARIANTS, MOST_BYTES = 64, 256_000_000  # the file of a float VGG takes 12 MB

KEEP_SECONDS = 60.0  # a variant stays for this long after a look, even if there is no room


class Deployer:
    """Deployments of all sessions of this process. Any thread may call its methods; none of them waits for work."""

    def __init__(
        self,
        engine: Engine,
        images: ImageSet | None,
        most_bytes: int = MOST_BYTES,
        keep_seconds: float = KEEP_SECONDS,
    ) -> None:
        """`images` are the test images or the first of them. If None, files are built and classify nothing."""
        self._engine, self._images = engine, images
        self._lock = threading.RLock()
        self._now = 0.0  # when the current look began
        self._states: LruCache[tuple[str, Variant], VariantState] = LruCache(
            MOST_VARIANTS,
            most_bytes,
            nbytes=lambda state: state.nbytes,
            is_removable=lambda state: self._now - state.looked_at > keep_seconds,
            on_removal=self._stop,
        )

    def look(
        self, model: FloatModel, spec: CompressionSpec, go: bool = True, fewer_filters: bool = False
    ) -> tuple[Deployment, ...]:
        """Returns what is known of each variant of `spec`; with `go`, asks workers for what is missing.

        `fewer_filters` is that of `variants`.
        """
        with self._lock:
            states = self._states_of(model, variants(spec, fewer_filters))
            for state in states:
                self._collect(state)
                if go and state.error is None:
                    self._ask(state, model)
            self._states.make_room()
            return tuple(state.reading(self._chunks(state)) for state in states)

    def rest(self, model: FloatModel, spec: CompressionSpec) -> None:
        """Withdraws the pending tasks of the variants of `spec`, and clears errors, so that they can be retried."""
        with self._lock:
            for state in self._states_of(model, variants(spec, fewer_filters=True)):
                state.error = None
                self._stop(state)

    def _states_of(self, model: FloatModel, group: Sequence[Variant]) -> list[VariantState]:
        """Returns the state of each variant, all of them marked as looked at now."""
        self._now = time.monotonic()
        keys = [(model.digest, variant) for variant in group]
        for key in keys:  # all of them before the first use, which may remove what was not looked at for long
            if state := self._states.get(key):
                state.looked_at = self._now
        return [self._states.use(key, partial(self._new_state, *key)) for key in keys]

    def _new_state(self, digest: str, variant: Variant) -> VariantState:
        return VariantState(task_name("deploy", digest, variant, arithmetic()), variant, self._now)

    def _collect(self, state: VariantState) -> None:
        """Takes the results of finished tasks, or the error of a failed one."""
        try:
            results = self._engine.take([(state.name, number) for number in state.pending])
        except EngineError as error:
            self._stop(state)
            state.error = str(error)
            return
        for (_, number), result in results.items():
            state.pending.discard(number)
            if number == BUILD:
                state.file = result
            else:
                state.parts[number] = result

    def _ask(self, state: VariantState, model: FloatModel) -> None:
        if state.file is None:
            shared = Shared(f"network-{model.digest}", model)
            key = state.name, BUILD
            self._engine.ask(key, build_on_worker, shared, state.variant, arithmetic(), priority=LATER)
            state.pending.add(BUILD)
        elif self._images:
            self._ask_answers(state, state.file, self._images)

    def _chunks(self, state: VariantState) -> int:
        """Returns into how many tasks the test images are divided; 0 as long as there is no file."""
        return -(-len(self._images) // _images_per_task(state.file)) if self._images and state.file else 0

    def _ask_answers(self, state: VariantState, file: OnnxFile, images: ImageSet) -> None:
        graph = Shared(f"graph-{state.name}", file.graph)
        size = _images_per_task(file)
        numbers = [n for n in range(self._chunks(state)) if n not in state.parts and n not in state.pending]
        for number in numbers[: AHEAD - len(state.pending)]:
            pixels = images[number * size : (number + 1) * size].pixels.numpy()
            self._engine.ask((state.name, number), predict_classes, graph, pixels, priority=LATER)
            state.pending.add(number)

    def _stop(self, state: VariantState) -> None:
        """Withdraws the pending tasks."""
        self._engine.drop((state.name, number) for number in state.pending)
        state.pending.clear()


def _images_per_task(file: OnnxFile) -> int:
    """Returns how many images one task classifies: so few that the first images of a slider wait no longer for it."""
    return max(1, min(MOST_IMAGES, LATER_TASK_MACS // max(file.macs, 1)))
