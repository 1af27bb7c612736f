"""The current state of one evaluation: what is known so far, and what is estimated from it."""

from dataclasses import dataclass

from compression.cached_property import cached_property
from compression.evaluation.evaluation import Evaluation
from compression.evaluation.sampling import Estimate, VisitingOrder, class_estimates, estimate
from compression.spec import CompressionSpec


@dataclass(frozen=True, eq=False)
class Reading:
    """What is known about the accuracy of `spec` at one moment.

    `visited` is the evaluation of the images so far, in the order of their visit, or None before the first one. Once
    all images are evaluated (`exact`), it is in canonical order. `before` is the evaluation of the float network on all
    images, or None if it is not complete yet. `measured_with` is the version of torch of a result of the committed
    landscape, or None for a result of this machine. `notice` is a sentence on what was replaced or left out, `error` a
    sentence on what went wrong.
    """

    spec: CompressionSpec
    order: VisitingOrder
    visited: Evaluation | None
    before: Evaluation | None
    seconds_left: float | None = None
    notice: str | None = None
    error: str | None = None
    measured_with: str | None = None

    @property
    def images(self) -> int:
        """The number of images that were evaluated."""
        return self.visited.total if self.visited else 0

    @property
    def total(self) -> int:
        """The number of all images."""
        return len(self.order.rows)

    @property
    def exact(self) -> bool:
        """Whether all images are evaluated."""
        return self.images == self.total

    @property
    def done(self) -> bool:
        """Whether there is nothing to wait for: the same as `exact`, by the name that all readings of progress have."""
        return self.exact

    @property
    def whole(self) -> Evaluation | None:
        """The evaluation of all images, or None if some are missing."""
        return self.visited if self.exact else None

    @property
    def is_float(self) -> bool:
        return self.spec == CompressionSpec(self.spec.model)

    @cached_property
    def estimate(self) -> Estimate | None:
        return estimate(self.order, self.visited, self.before) if self.visited else None

    @property
    def class_estimates(self) -> dict[str, Estimate]:
        """The estimate of each class by its name; empty until the float network is evaluated."""
        return class_estimates(self.order, self.visited, self.before) if self.visited and self.before else {}
