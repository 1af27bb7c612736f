"""Trains compressed networks on workers, for all sessions: a queue, and a thread that asks for one chunk after another.

A run is in one of these stages:

    absent     nobody has started it
    waiting    other runs come first
    running    workers are asked for its next chunk of steps, or for the file of its network
    stopped    its state is saved, and the best network so far is there, if it is better than without training
    done       its network is there, or training has ended with a problem before it was better

    absent, stopped  -> waiting             a session starts it
    waiting          -> running             its turn comes
    running          -> done                all steps are done, and its file is written
    waiting, running -> stopped             somebody stops it, a task fails, or its state cannot be saved
    running          -> stopped             (another process) the server has ended; the saved state is found again

Nobody needs to look at a run for it to go on. What its result depends on is in its name, so two sessions that ask for
the same run share it, and a run is found again after a restart.
"""

import threading
import time
from pathlib import Path

from compression.data.cifar10 import TRAIN
from compression.data.images import ImageSet, load
from compression.engine.cluster import Engine, Shared, TaskKey
from compression.engine.lru_cache import LruCache
from compression.engine.priorities import TRAINING
from compression.engine.progress import Pace
from compression.errors import EngineError
from compression.experiments.training.run_state import Run, RunState, Stage, TrainingReading, run_of
from compression.experiments.training.tasks import Chunk, Outcome, finish, read_chunk, train_chunk
from compression.library.recovered import all_recovered, ancestor, find_recovered, name_of, save_recovered
from compression.networks.model import FloatModel
from compression.paths import DATA, write_whole
from compression.results.provenance import arithmetic
from compression.retraining.recipe import Recipe
from compression.spec import CompressionSpec

POLL_SECONDS = 0.1

SAVE_SECONDS = 10.0

MOST_RUNS = 256  # that are remembered; those that are active stay


class Trainer:
    """The training runs of all sessions of this process. No method waits; all may be called from any thread."""

    def __init__(self, engine: Engine, data: Path = DATA, images: ImageSet | None = None, at_once: int = 1) -> None:
        """Trains on all training images, which workers have on their disk; or on `images`, the first of them.

        Recovered networks and saved states lie in the folder `data`. `at_once`: how many runs run at the same time.
        """
        self._engine, self._data, self._images, self._at_once = engine, data, images, at_once
        self._lock = threading.RLock()
        self._runs: LruCache[str, RunState] = LruCache(MOST_RUNS, is_removable=lambda run: not run.is_active)
        self._queue: list[RunState] = []
        self._thread: threading.Thread | None = None

    def run(self, model: FloatModel, spec: CompressionSpec, recipe: Recipe, teacher: FloatModel | None = None) -> Run:
        """Returns the run of `recipe`. Raises ValueError where network, spec and recipe do not fit."""
        count = TRAIN.images if self._images is None else len(self._images)
        return run_of(model, spec, recipe, count, TRAIN.fingerprint, teacher)

    def look(self, run: Run) -> TrainingReading:
        """Returns what is known of `run`; starts nothing."""
        with self._lock:
            state = self._known(run)
            place = self._queue.index(state) if state in self._queue else 0
            return state.reading(place)

    def start(self, session: str, run: Run, model: FloatModel, teacher: FloatModel | None = None) -> None:
        """Puts `run` into the queue. Raises ValueError if `session` has another run there."""
        with self._lock:
            other = next((each for each in self._queue if each.session == session and each.run != run), None)
            if other:
                raise ValueError(
                    f"another training of this session is not done yet, that of {other.run.parent}: stop it first, or "
                    "wait for its end"
                )
            state = self._known(run)
            if state.is_active or state.stage is Stage.DONE:
                return
            try:
                state.state = state.state or self._saved(run)
            except OSError as error:
                state.error = f"the saved training cannot be read ({error.strerror})"
                return
            state.stage, state.session, state.error = Stage.WAITING, session, None
            state.model, state.teacher, state.pace = model, teacher, None
            self._queue.append(state)
            self._wake()

    def stop(self, run: Run) -> None:
        """Stops `run`: its state is saved, and the best network so far becomes a recovered network."""
        with self._lock:
            state = self._known(run)
            if not state.is_active or state.ends:
                return
            if state.task:
                self._engine.drop([state.task])
            if not self._save(state):
                return
            if any(point.correct > state.points[0].correct for point in state.points):
                state.ends = True
                self._ask(state)
            else:
                self._leave(state, Stage.STOPPED)

    def _known(self, run: Run) -> RunState:
        """Returns the run in memory, or else what its saved state or a recovered network says of it.

        A run whose network was deleted is as if it had never been.
        """
        state = self._runs.use(run.name, lambda: self._on_disk(run))
        if state.network and not state.is_active and not find_recovered(state.network, self._data):
            self._runs.discard(run.name)
            state = self._runs.use(run.name, lambda: self._on_disk(run))
        return state

    def _on_disk(self, run: Run) -> RunState:
        for each in all_recovered(self._data):
            if run.is_of(each.lineage):
                points, seconds, problem = each.lineage.points, each.lineage.seconds, each.lineage.problem
                return RunState(run, Stage.DONE, points[-1].step, points, seconds, problem, network=each.name)
        state = RunState(run)
        try:
            if saved := self._saved(run):
                self._apply(state, read_chunk(saved, run.total))
                state.stage, state.state, state.ends = Stage.STOPPED, None, False
        except (OSError, ValueError) as error:
            state.error = str(error)
        return state

    def _saved(self, run: Run) -> bytes | None:
        """Returns the saved state of a run, or None if there is none. Raises OSError."""
        try:
            return self._path(run).read_bytes()
        except FileNotFoundError:
            return None

    def _path(self, run: Run) -> Path:
        return self._data / "training" / f"{run.name}.pt"

    # ---- the thread

    def _wake(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, daemon=True, name="trainer")
            self._thread.start()

    def _work(self) -> None:
        while True:
            with self._lock:
                active = [(state, state.task) for state in self._queue[: self._at_once]]
                if not active:
                    self._thread = None
                    return
            for state, task in active:
                self._advance(state, task)
            time.sleep(POLL_SECONDS)

    def _advance(self, state: RunState, task: TaskKey | None) -> None:
        """Takes what has come back of `task`, and asks for what comes next. No lock is held while workers are asked."""
        result, error = None, None
        try:
            result = self._engine.take([task]).get(task) if task else None
        except EngineError as failure:
            error = str(failure)
        with self._lock:
            if state.task != task or not state.is_active:
                return  # it was stopped meanwhile
            if error:
                self._leave(state, Stage.STOPPED, error)
            elif isinstance(result, Outcome):
                self._end(state, result)
            elif isinstance(result, Chunk):
                self._go_on(state, result)
            elif task is None:
                state.stage = Stage.RUNNING
                self._ask(state)

    def _go_on(self, state: RunState, chunk: Chunk) -> None:
        counted = len(state.points)
        self._apply(state, chunk)
        state.pace = state.pace or Pace.from_now(state.step / state.run.total)  # without the start of a worker
        is_due = len(state.points) > counted or time.monotonic() - state.saved_at > SAVE_SECONDS
        if not is_due or self._save(state):
            self._ask(state)

    def _apply(self, state: RunState, chunk: Chunk) -> None:
        state.step, state.points, state.seconds = chunk.step, chunk.points, chunk.seconds
        state.problem, state.state, state.ends = chunk.problem, chunk.state, chunk.is_done

    def _ask(self, state: RunState) -> None:
        """Asks workers for the next chunk, or for the file of a run that ends."""
        run, model = state.run, state.model
        assert model is not None
        teacher = state.teacher if run.recipe.distillation else None
        state.task = f"{run.name}-{'file' if state.ends else len(state.points)}", state.step
        self._engine.ask(
            state.task,
            finish if state.ends else train_chunk,
            run,
            _shared(model),
            _shared(teacher) if teacher else None,
            self._shared_images(),
            state.state,
            arithmetic(),
            priority=TRAINING,
        )

    def _shared_images(self) -> Shared | None:
        """Returns the training images for workers that do not have them on their disk, or that get other ones."""
        if self._images is None:
            return None if self._engine.local else Shared(f"images-{TRAIN.fingerprint}", load(TRAIN))
        return Shared(f"images-{TRAIN.fingerprint}-{len(self._images)}", self._images)

    def _save(self, state: RunState) -> bool:
        """Writes where the run stands; if that cannot be done, the run stops. Returns whether it is written."""
        state.saved_at = time.monotonic()
        if state.state is None:
            return True
        try:
            path = self._path(state.run)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, state.state)
        except OSError as error:
            self._leave(state, Stage.STOPPED, f"the training cannot be saved ({error.strerror}): free some space")
            return False
        return True

    def _end(self, state: RunState, outcome: Outcome) -> None:
        """Writes the network of a run that is done or was stopped, if training has made it better."""
        whole = state.step == state.run.total or bool(state.problem)
        if not outcome.lineage.steps:
            self._leave(state, Stage.DONE if whole else Stage.STOPPED)
            return
        name = name_of(ancestor(state.run.parent, self._data), outcome.lineage, outcome.content)
        try:
            save_recovered(name, outcome.content, outcome.lineage, self._data)
            if whole:
                self._path(state.run).unlink(missing_ok=True)
        except OSError as error:
            self._leave(state, Stage.STOPPED, f"the network cannot be saved ({error.strerror}): free some space")
            return
        state.network = name
        self._leave(state, Stage.DONE if whole else Stage.STOPPED)

    def _leave(self, state: RunState, stage: Stage, error: str | None = None) -> None:
        """Takes a run out of the queue."""
        if state.task:
            self._engine.drop([state.task])
        state.stage, state.error, state.task, state.ends = stage, error, None, False
        if not error:
            state.state = None  # it is saved, or needed no more
        state.model = state.teacher = state.pace = None
        self._queue.remove(state)


def _shared(model: FloatModel) -> Shared:
    return Shared(f"network-{model.digest}", model)
