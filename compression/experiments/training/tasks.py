"""What workers compute for training: a chunk of steps, from one saved state to the next, and the file at the end.

A chunk is a function of the state before it. So a chunk that is computed again, because a worker has died, ends with
the same bits; all workers compute with one thread, since more threads add numbers in another order. The worker that
computed the chunk before keeps the run in memory, which saves reading its state.
"""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from compression.core.network import with_source
from compression.core.training_evidence import evidence_for
from compression.data.cifar10 import TRAIN
from compression.data.images import ImageSet, load
from compression.experiments.training.run_state import Run
from compression.files.packed_file import to_bytes
from compression.networks.model import FloatModel
from compression.results.provenance import check_version
from compression.retraining.lineage import Lineage, Point
from compression.retraining.start import prepare
from compression.retraining.training import Training
from compression.training.checkpoint import as_bytes, from_bytes

CHUNK_SECONDS = 1.0  # a worker ends a chunk before it takes what a slider asks for


@dataclass(frozen=True)
class Chunk:
    """Where a run stands after a chunk of steps: `step` of `total`, the `points` counted, and the whole `state`."""

    step: int
    total: int
    points: tuple[Point, ...]
    seconds: float
    problem: str
    is_done: bool
    state: bytes


@dataclass(frozen=True)
class Outcome:
    """The packed file of the network that came out, and its lineage."""

    content: bytes
    lineage: Lineage


_kept: dict[str, Training] = {}  # the run that was trained last, by the digest of its state


def train_chunk(
    run: Run, model: FloatModel, teacher: FloatModel | None, images: ImageSet | None, state: bytes | None, version: str
) -> Chunk:
    """Trains for about CHUNK_SECONDS from `state`, or from the start if it is None.

    `images` are the training images; None means those on the disk of this machine. Raises RuntimeError if the code
    here has another `version` than that of the process that asks, DataError if there are no images, and ValueError
    where network, spec and recipe do not fit.
    """
    with _one_thread():
        training = _training(run, model, teacher, images, state, version)
        start = time.monotonic()
        training.advance(1)
        while not training.is_done and time.monotonic() - start < CHUNK_SECONDS:
            training.advance(1)
        state = as_bytes(training.state())
        _kept[_digest(state)] = training
    return Chunk(
        training.step,
        training.total,
        tuple(training.points),
        training.seconds,
        training.problem,
        training.is_done,
        state,
    )


def finish(
    run: Run, model: FloatModel, teacher: FloatModel | None, images: ImageSet | None, state: bytes, version: str
) -> Outcome:
    """Returns the network of a run that stands at `state`: the one after all steps, or else the best so far."""
    with _one_thread():
        training = _training(run, model, teacher, images, state, version)
        network = with_source(training.network(), model)
        return Outcome(to_bytes(network, model), training.lineage())


def read_chunk(state: bytes, total: int) -> Chunk:
    """Returns where a run of `total` steps stands by its saved state. Raises ValueError if that is damaged."""
    values = from_bytes(state, "the saved training")
    try:
        step, _, _, _, seconds, problem = values["numbers"]
        points = tuple(Point(**point) for point in values["points"])
    except (KeyError, TypeError, ValueError):
        raise ValueError("the saved training is damaged; move it away to start a new run") from None
    is_done = bool(problem) or (step == total and bool(points) and points[-1].step == total)
    return Chunk(step, total, points, seconds, problem, is_done, state)


def _training(
    run: Run,
    model: FloatModel,
    teacher: FloatModel | None,
    images: ImageSet | None,
    state: bytes | None,
    version: str,
) -> Training:
    """Returns the run at `state`: the one in memory if it stands there, else one that reads it."""
    check_version(version)
    kept = _kept.pop(_digest(state), None) if state else None
    _kept.clear()
    if kept is not None:
        return kept
    images = load(TRAIN)[: run.images] if images is None else images
    start = prepare(model, run.spec, evidence_for(model, run.spec))
    training = Training(start, run.recipe, images, teacher)
    if state is not None:
        training.load(from_bytes(state, "the saved training"))
    return training


def _digest(state: bytes) -> str:
    return hashlib.sha256(state).hexdigest()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Lets torch compute with one thread: the same numbers in the same order on every worker."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
