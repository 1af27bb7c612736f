"""evaluation/reading.py"""

from dataclasses import dataclass

from compression.evaluation.evaluation import Evaluation
from compression.evaluation.sampling import Estimate, Order, class_estimates, estimate
from compression.spec import CompressionSpec


@dataclass(frozen=True, eq=False)
class Reading:
    """What is known about the accuracy of `spec` now.

    `seen` are the evaluated images in the order of their visit, or None; once that is all of them, in canonical order
    (`exact`). `before` is the float network on all images, or None as long as it is not evaluated itself.
    `measured_with`: the version of torch that it was measured with beforehand, or None where it was measured here.
    `notice` and `error` are sentences: on what stands in for what, and on what went wrong.
    """

    spec: CompressionSpec
    order: Order
    seen: Evaluation | None
    before: Evaluation | None
    seconds_left: float | None = None
    notice: str | None = None
    error: str | None = None
    measured_with: str | None = None

    @property
    def images(self) -> int:
        return self.seen.total if self.seen else 0

    @property
    def total(self) -> int:
        return len(self.order.rows)

    @property
    def exact(self) -> bool:
        return self.images == self.total

    @property
    def whole(self) -> Evaluation | None:
        """The evaluation of all images, once it is there."""
        return self.seen if self.exact else None

    @property
    def is_float(self) -> bool:
        return self.spec == CompressionSpec(self.spec.model)

    @property
    def estimate(self) -> Estimate | None:
        return estimate(self.order, self.seen, self.before) if self.seen else None

    @property
    def class_estimates(self) -> dict[str, Estimate]:
        """By class, once the float network is evaluated."""
        return class_estimates(self.order, self.seen, self.before) if self.seen and self.before else {}
