"""The result of one spec: one row of a sweep."""

from dataclasses import dataclass

from compression.evaluation.evaluation import Evaluation
from compression.results.costs import Costs
from compression.spec import CompressionSpec


@dataclass(frozen=True, eq=False)
class Result:
    """A spec with the costs of its network and the network's evaluation on the test images."""

    spec: CompressionSpec
    costs: Costs
    evaluation: Evaluation
