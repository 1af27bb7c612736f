"""How far one evaluation has come, and what follows from it: which chunks to ask for, and what they add up to.

A chunk is BATCH images, in the order in which the evaluation visits them; the last chunk may be smaller.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch

from compression.cached_property import cached_property
from compression.data.images import ImageSet
from compression.engine.borrower import Borrower
from compression.engine.cluster import TaskKey
from compression.engine.progress import Pace
from compression.evaluation.evaluation import BATCH, Evaluation, join
from compression.evaluation.sampling import VisitingOrder
from compression.networks.macs import layer_macs
from compression.results.store import Key
from compression.spec import CompressionSpec

CHUNKS_AHEAD = 16  # asked for at a time; about a second of work

LATER_TASK_MACS = 25 * 10**9  # of a task that is not urgent: tenths of a second, so that an urgent one waits no longer

LATER_TASK_CHUNKS = 8  # at most


@dataclass(eq=False)
class EvaluationState(Borrower):
    """One evaluation: the chunks that are there, the tasks that are asked for, and the whole once it is complete.

    Only the first `limit` chunks are evaluated. `parts` maps the number of a chunk to its evaluation, `tasks` the key
    of a task to the numbers of its chunks. `asked_at` is when somebody last began to look (s since 1970).
    `measured_with` is the version of torch of a result of the committed landscape.
    """

    key: Key
    spec: CompressionSpec
    order: VisitingOrder
    limit: int
    whole: Evaluation | None
    measured_with: str | None = None
    asked_at: float = 0.0
    parts: dict[int, Evaluation] = field(default_factory=dict)
    tasks: dict[TaskKey, range] = field(default_factory=dict)
    pace: Pace | None = None

    @cached_property
    def name(self) -> str:
        """The name of its tasks; equal for equal work, so that all sessions and processes share them."""
        rows = self.order.rows.numpy().tobytes()
        return f"count-{hashlib.sha256(repr(self.key).encode() + rows).hexdigest()[:24]}"

    @cached_property
    def network_name(self) -> str:
        """The name under which workers share its compressed network."""
        return f"compressed-{hashlib.sha256(repr(self.key).encode()).hexdigest()[:24]}"

    @property
    def chunks(self) -> int:
        """The number of all chunks."""
        return -(-len(self.order.rows) // BATCH)

    @property
    def is_complete(self) -> bool:
        """Whether all chunks are there."""
        return len(self.parts) == self.chunks

    @property
    def missing(self) -> list[int]:
        """The chunks below `limit` that are neither there nor asked for."""
        known = self.parts.keys() | {number for chunks in self.tasks.values() for number in chunks}
        return [number for number in range(self.limit) if number not in known]

    @property
    def visited(self) -> Evaluation | None:
        """The evaluation of the chunks before the first missing one, or None.

        Chunks may come back in another order, but only the first images of the order are a sample of all.
        """
        count = next(number for number in range(self.chunks + 1) if number not in self.parts)
        return join([self.parts[number] for number in range(count)]) if count else None

    @property
    def seconds_left(self) -> float | None:
        """How long the rest takes, or None if that is not known yet."""
        return self.pace.seconds_left(len(self.parts) / self.chunks) if self.pace else None

    @cached_property
    def later_chunks(self) -> int:
        """The number of chunks in a task that is not urgent."""
        macs = BATCH * sum(layer_macs(self.model.module, self.model.example).values())
        return max(1, min(LATER_TASK_CHUNKS, LATER_TASK_MACS // max(macs, 1)))

    def add(self, results: dict[TaskKey, list[Evaluation]]) -> None:
        """Adds the results of tasks. The pace counts from the first result, because workers may have to start first."""
        for task, parts in results.items():
            self.parts.update(zip(self.tasks.pop(task), parts, strict=True))
        if results and self.pace is None:
            self.pace = Pace.from_now(1 / self.chunks)


def next_tasks(state: EvaluationState, urgent: bool) -> list[range]:
    """Returns the chunks to ask for now, one range for each task, so that CHUNKS_AHEAD are asked for."""
    room = max(CHUNKS_AHEAD - sum(map(len, state.tasks.values())), 0)
    return list(_runs(state.missing[:room], 1 if urgent else state.later_chunks))


def whole_evaluation(state: EvaluationState, images: ImageSet) -> Evaluation:
    """Returns the evaluation of all images in canonical order, once all chunks are there.

    Only the float network keeps its margins, since they order the images for all other specs; they are rounded as in
    the store, so that the order is the same when they are read again.
    """
    visited = state.visited
    assert visited
    place = torch.argsort(state.order.rows)
    margins = None
    if state.spec == CompressionSpec(state.spec.model) and visited.margins is not None:
        margins = visited.margins[place].half().float()
    return replace(visited, predictions=visited.predictions[place], labels=images.labels, margins=margins)


def _runs(numbers: Sequence[int], most: int) -> Iterator[range]:
    """Yields ascending `numbers` as ranges of at most `most`."""
    start = 0
    for end in range(1, len(numbers) + 1):
        if end == len(numbers) or end - start == most or numbers[end] != numbers[end - 1] + 1:
            yield range(numbers[start], numbers[end - 1] + 1)
            start = end
