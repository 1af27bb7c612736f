"""All that is known of a network: what was measured beforehand, and what this machine has measured and counted."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from compression.data.images import ImageSet
from compression.evaluation.evaluation import Evaluation
from compression.networks.model import FloatModel
from compression.results.landscape import landscape
from compression.results.pareto import Point
from compression.results.result import Result
from compression.results.store import Store
from compression.spec import CompressionSpec


@dataclass(frozen=True, eq=False)
class Measured:
    """On all test images. `results` by spec, and `points`, the same without predictions."""

    points: tuple[Point, ...]
    results: Mapping[CompressionSpec, Result]

    @property
    def before(self) -> Evaluation | None:
        """The float network."""
        found = self.results.get(CompressionSpec(self.points[0].spec.model)) if self.points else None
        return found.evaluation if found else None


def measured(model: FloatModel, store: Store, images: ImageSet | None, folder: Path | None = None) -> Measured:
    """`images` are all test images; without them nothing that was kept here can be checked, nor is shown.

    `folder`: that of what was measured beforehand, as `landscape` takes it. What was measured here goes before it.
    """
    beforehand = {result.spec: result for result in landscape(model, folder).results}
    here = {} if images is None else {result.spec: result for result in store.results(model, images)}
    results = beforehand | here
    points = (_point(result, spec not in here) for spec, result in results.items())
    return Measured(tuple(points), results)


def _point(result: Result, beforehand: bool) -> Point:
    return Point(result.spec, result.costs, result.evaluation.correct, result.evaluation.total, beforehand)
