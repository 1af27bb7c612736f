"""How a network is pruned, as a frozen value: `PruneSpec` and its options."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from compression.spec.checks import fraction, member


class Scope(StrEnum):
    """The pruning scope: whether a sparsity target holds for the whole network or for each layer."""

    GLOBAL = "global"
    LAYER = "layer"


class Unit(StrEnum):
    """The unit of a threshold: absolute, or multiples of a statistic of the layer's weights; see `pruning.masks`."""

    ABSOLUTE = "absolute"
    STDS = "stds"
    MEANS = "means"


class Criterion(StrEnum):
    """The importance criterion, which gives each weight or filter a score; see `pruning.criteria`."""

    L1 = "l1"
    L2 = "l2"
    RANDOM = "random"
    TAYLOR = "taylor"
    OBS = "obs"
    BN_SCALE = "bn-scale"
    SIGNED = "signed"


class Structure(StrEnum):
    """The pruning granularity: single weights, n of every m weights kept, or filters (output channels)."""

    WEIGHT = "weight"
    N_M = "n:m"
    FILTER = "filter"


@dataclass(frozen=True)
class PruneSpec:
    """Which weights become zero: those with the lowest scores.

    These are all weights below a `threshold`, the lowest share `sparsity` (0..1) of the weights or filters, or all but
    n of every m weights. Exactly one of `threshold`, `sparsity` and the structure n:m is given. `unit` belongs to the
    threshold, `scope` to the sparsity, `pattern` (n, m) to the structure n:m, and `seed` to random scores. For single
    weights the criterion l2 equals l1 and is replaced by it. Raises ValueError for other combinations.
    """

    threshold: float | None = None
    sparsity: float | None = None
    scope: Scope = Scope.GLOBAL
    unit: Unit = Unit.ABSOLUTE
    criterion: Criterion = Criterion.L1
    structure: Structure = Structure.WEIGHT
    pattern: tuple[int, int] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name, enum in (("scope", Scope), ("unit", Unit), ("criterion", Criterion), ("structure", Structure)):
            object.__setattr__(self, name, member(enum, getattr(self, name)))
        if self.structure is Structure.N_M:
            object.__setattr__(self, "pattern", _pattern(self.pattern or (2, 4)))
        if self.criterion is Criterion.L2 and self.structure is not Structure.FILTER:
            object.__setattr__(self, "criterion", Criterion.L1)
        if self.threshold is not None:
            object.__setattr__(self, "threshold", float(self.threshold))
        if self.sparsity is not None:
            object.__setattr__(self, "sparsity", fraction(self.sparsity))
        self._check_target()
        self._check_criterion()

    @property
    def takes_nothing(self) -> bool:
        """Whether no weight of any network is pruned. With the criterion signed, a threshold of 0 prunes weights."""
        if self.threshold is not None:
            return self.threshold == 0 and self.criterion is not Criterion.SIGNED
        return self.sparsity == 0

    def _check_target(self) -> None:
        """Raises ValueError unless there is exactly one target, with no settings that belong to another one."""
        if self.structure is Structure.N_M:
            if (self.threshold, self.sparsity) != (None, None):
                n, m = self.pattern or (2, 4)
                raise ValueError(
                    f"the structure {n}:{m} sets the sparsity itself; give no threshold and no sparsity target"
                )
        elif (self.threshold is None) == (self.sparsity is None):
            raise ValueError(
                "pruning needs a threshold or a sparsity target, "
                + ("got neither" if self.threshold is None else "not both: each of them determines the other")
            )
        if self.threshold is not None and not (self.threshold >= 0 and math.isfinite(self.threshold)):
            raise ValueError(f"threshold must be a finite number of at least 0, got {self.threshold}")
        if self.threshold is not None and self.scope is Scope.LAYER:
            raise ValueError("a threshold is the same in every layer; the scope layer needs a sparsity target")
        if self.structure is Structure.N_M and self.scope is Scope.LAYER:
            raise ValueError("n:m already holds in each layer; the scope layer needs a sparsity target")
        if self.threshold is None and self.unit is not Unit.ABSOLUTE:
            raise ValueError(f"the unit {self.unit} needs a threshold, and none is given")
        if self.structure is not Structure.N_M and self.pattern is not None:
            raise ValueError(f"a pattern needs the structure n:m, got the structure {self.structure}")

    def _check_criterion(self) -> None:
        """Raises ValueError if the criterion does not support the target or the structure."""
        criterion = self.criterion
        if self.threshold is not None and criterion in (Criterion.RANDOM, Criterion.TAYLOR, Criterion.OBS):
            raise ValueError(f"{criterion} scores have no unit that a threshold could have; give a sparsity target")
        if criterion is Criterion.BN_SCALE and self.structure is not Structure.FILTER:
            raise ValueError("the criterion bn-scale scores whole filters; it needs the structure filter")
        if criterion is Criterion.BN_SCALE and self.unit is not Unit.ABSOLUTE:
            raise ValueError(
                f"the criterion bn-scale does not use weights, so its unit cannot be {self.unit}; use absolute"
            )
        if criterion is Criterion.SIGNED and self.structure is not Structure.WEIGHT:
            raise ValueError("the criterion signed is for single weights; it needs the structure weight")
        if self.seed and criterion is not Criterion.RANDOM:
            raise ValueError(f"a seed needs the criterion random; {criterion} scores are not random")


def structure_from(text: str) -> tuple[Structure, tuple[int, int] | None]:
    """Returns the structure and the pattern that `text` names, as `PruneSpec` takes them.

    "filter" -> (Structure.FILTER, None), "2:4" -> (Structure.N_M, (2, 4)). Raises ValueError for other text.
    """
    n, _, m = text.partition(":")
    if n.isdecimal() and m.isdecimal():
        return Structure.N_M, _pattern((int(n), int(m)))
    return member(Structure, text), None


def _pattern(pattern: Iterable[float]) -> tuple[int, int]:
    n, m = pattern
    if not (n == int(n) and m == int(m) and 1 <= n < m):
        raise ValueError(f"n:m keeps n of every m weights and needs whole numbers with 1 <= n < m, got {n}:{m}")
    return int(n), int(m)
