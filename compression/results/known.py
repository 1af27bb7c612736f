"""All known results of a network: those of the committed landscape, and those of this machine."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from compression.data.images import ImageSet
from compression.evaluation.evaluation import Evaluation
from compression.networks.model import FloatModel
from compression.results.landscape import read_landscape
from compression.results.pareto import Point
from compression.results.result import Result
from compression.results.store import Store
from compression.spec import CompressionSpec


@dataclass(frozen=True, eq=False)
class KnownResults:
    """The results of one network on all test images, by spec; `points` are the same without predictions.

    `notice` is a sentence that says why the committed landscape is missing from them, or None.
    """

    points: tuple[Point, ...]
    results: Mapping[CompressionSpec, Result]
    notice: str | None = None

    @property
    def before(self) -> Evaluation | None:
        """The evaluation of the float network, or None."""
        result = self.results.get(CompressionSpec(self.points[0].spec.model)) if self.points else None
        return result.evaluation if result else None


def known_results(model: FloatModel, store: Store, images: ImageSet | None, folder: Path | None = None) -> KnownResults:
    """Returns all results of `model`; a result of this machine replaces the one of the landscape.

    `images` are all test images. Without them the results of this machine cannot be checked and are left out.
    `folder` is that of the landscape, as for `read_landscape`.
    """
    landscape = read_landscape(model, folder)
    committed = {result.spec: result for result in landscape.results}
    own = {} if images is None else {result.spec: result for result in store.results(model, images)}
    results = committed | own
    points = tuple(point_of(result, spec not in own) for spec, result in results.items())
    return KnownResults(points, results, landscape.stale)


def point_of(result: Result, precomputed: bool) -> Point:
    """Returns the point of a result, which is `precomputed` if it comes from the committed landscape."""
    return Point(result.spec, result.costs, result.evaluation.correct, result.evaluation.total, precomputed)
