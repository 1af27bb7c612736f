"""One row of a sweep."""

from dataclasses import dataclass

from compression.costs import Costs
from compression.evaluate import Evaluation
from compression.spec import CompressionSpec


@dataclass(frozen=True, eq=False)
class Result:
    """A spec, what it costs, what it says of the test images."""

    spec: CompressionSpec
    costs: Costs
    evaluation: Evaluation
