"""How far a scan has come: for each layer the evaluations that are complete, and the batches that are on their way."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from compression.engine.borrower import Borrower
from compression.engine.cluster import TaskKey, task_name
from compression.engine.progress import Pace
from compression.evaluation.evaluation import BATCH, Evaluation, join
from compression.experiments.layerwise import single_layer_spec
from compression.experiments.scan import Cells, Scan
from compression.networks.model import FloatModel
from compression.results.store import Key
from compression.spec import CompressionSpec

LayerToScan = tuple[str, Mapping[CompressionSpec, CompressionSpec], int]


@dataclass(eq=False)
class LayerState:
    """One layer of `scan`, with each of `specs`, and under the same index its key in the store and its evaluation.

    An evaluation is None until it is complete. `parts` maps the number of a batch to the evaluations of all missing
    specs. `pending` has the batches that are asked for. `work` is the number of layers that a batch passes for one
    spec.
    """

    scan: Scan
    layer: str
    specs: tuple[CompressionSpec, ...]
    keys: tuple[Key, ...]
    evaluations: list[Evaluation | None]
    work: int
    parts: dict[int, list[Evaluation]] = field(default_factory=dict)
    pending: set[int] = field(default_factory=set)

    @property
    def missing(self) -> list[int]:
        """The indices of the specs that are not evaluated."""
        return [index for index, evaluation in enumerate(self.evaluations) if evaluation is None]

    @property
    def name(self) -> str:
        """The name of its tasks.

        Each scan has names of its own, also for the float network, with which all scans begin: a result is taken once,
        so a second scan would wait for it in vain.
        """
        keys = [self.keys[index] for index in self.missing]
        return task_name("scan", self.scan, self.layer, keys)

    @property
    def tasks(self) -> list[TaskKey]:
        """The tasks that are asked for."""
        return [(self.name, batch) for batch in self.pending] if self.pending else []

    def complete(self, batches: int, keeps_margins: bool) -> Iterator[tuple[Key, Evaluation]]:
        """Joins the parts once all `batches` are there, and yields each new evaluation with its key."""
        if not self.missing or len(self.parts) < batches:
            return
        ordered = [self.parts[batch] for batch in range(batches)]
        for index, parts in zip(self.missing, zip(*ordered, strict=True), strict=True):
            whole = join(parts) if keeps_margins else replace(join(parts), margins=None)
            self.evaluations[index] = whole
            yield self.keys[index], whole
        self.parts.clear()


@dataclass(eq=False)
class ScanState(Borrower):
    """A scan and its layers. The first of them stands for the float network: a layer that nothing is done to."""

    scan: Scan
    layers: tuple[LayerState, ...]
    pace: Pace | None = None

    @property
    def batches(self) -> int:
        """The number of batches of images."""
        return -(-self.scan.images // BATCH)

    @property
    def share(self) -> float:
        """The share (0..1) of the work that is done."""
        done = sum(each.work * (len(each.parts) if each.missing else self.batches) for each in self.layers)
        return done / (self.batches * sum(each.work for each in self.layers))

    @property
    def seconds_left(self) -> float | None:
        """How long the rest takes, or None if that is not known."""
        return self.pace.seconds_left(self.share) if self.pace else None

    @property
    def before(self) -> Evaluation | None:
        """The evaluation of the float network, or None."""
        return self.layers[0].evaluations[0]

    @property
    def cells(self) -> Cells:
        """The complete evaluations by layer and spec."""
        return {
            (each.layer, spec): evaluation
            for each in self.layers[1:]
            for spec, evaluation in zip(each.specs, each.evaluations, strict=True)
            if evaluation
        }


def layers_to_scan(
    model: FloatModel, scan: Scan
) -> Iterator[tuple[str, Mapping[CompressionSpec, CompressionSpec], int]]:
    """Yields for the float network and for each layer: its name, spec -> the spec of the network, and the work.

    The work is the number of layers that a batch passes through, for all specs together.
    """
    names, as_float = scan.layers, CompressionSpec(model.name)
    yield names[0], {as_float: as_float}, len(names)
    for number, layer in enumerate(names):
        specs = {spec: single_layer_spec(spec, layer, names) for spec in scan.specs}
        yield layer, specs, (len(names) - number) * len(specs)


def batches_to_ask(state: ScanState, ahead: int) -> list[tuple[int, LayerState, int]]:
    """Returns the next batches, so that `ahead` are asked for: the number of a layer, the layer, and the batch.

    They come layer by layer, so that one layer after the other is complete.
    """
    room = max(ahead - sum(len(each.pending) for each in state.layers), 0)
    waiting = [
        (number, each, batch)
        for number, each in enumerate(state.layers)
        if each.missing
        for batch in range(state.batches)
        if batch not in each.parts and batch not in each.pending
    ]
    return waiting[:room]
