"""Where a recovered network comes from, as a frozen value, and the points of its curve."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from compression.retraining.recipe import Recipe
from compression.spec import CompressionSpec
from compression.spec.recipe import from_json as spec_from_json


@dataclass(frozen=True)
class Point:
    """What is known after `step` steps: the mean training `loss` since the point before, None at the start.

    `correct` of `total` held-out training images are classified correctly by the network as it would be if training
    ended here. `seconds` of training and counting have passed.
    """

    step: int
    loss: float | None
    correct: int
    total: int
    seconds: float

    @property
    def accuracy(self) -> float:
        """The accuracy (0..1) on the held-out training images."""
        return self.correct / self.total


@dataclass(frozen=True)
class Lineage:
    """Who a recovered network comes from, and what was done to it.

    `parent`: the name of the float network or of the recovered network that training began with, and `digest`, its
    digest. `teacher`: the name of the network it was distilled from, or None. `steps` optimizer steps are done, which
    are `epochs` passes over the training images, without the held-out ones. `images`: the fingerprint of the training
    images. `seconds` were spent on this machine. `problem` says why training ended early, if it did. `accuracy` (0..1):
    on all test images, counted once, when training had ended; None if it was not counted yet.
    """

    parent: str
    digest: str
    spec: CompressionSpec
    recipe: Recipe
    teacher: str | None
    steps: int
    epochs: float
    images: str
    seconds: float
    points: tuple[Point, ...] = ()
    problem: str = ""
    accuracy: float | None = None

    @property
    def before(self) -> Point:
        """The compressed network before training."""
        return self.points[0]

    @property
    def after(self) -> Point:
        """The network that came out."""
        return next(point for point in reversed(self.points) if point.step == self.steps)

    def to_json(self) -> str:
        """Returns JSON that `lineage_from_json` reads."""
        values = asdict(self) | {"spec": json.loads(self.spec.to_json()), "recipe": json.loads(self.recipe.to_json())}
        return json.dumps(values, sort_keys=True, indent=1)


def lineage_from_json(text: str) -> Lineage:
    """Returns the lineage that `Lineage.to_json` wrote. Raises ValueError for other text."""
    try:
        values: dict[str, Any] = json.loads(text)
        values["spec"] = spec_from_json(json.dumps(values["spec"]))
        values["recipe"] = Recipe(**values["recipe"])
        values["points"] = tuple(Point(**point) for point in values["points"])
        return Lineage(**values)
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"not the lineage of a recovered network: {error}") from None
