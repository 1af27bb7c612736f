"""spec/prune.py"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from compression.spec.checks import fraction, member


class Scope(StrEnum):
    """Where a sparsity target holds: over the whole network, or in each layer."""

    GLOBAL = "global"
    LAYER = "layer"


class Unit(StrEnum):
    """What a threshold counts in; see `pruners`. The last two are numbers of the layer's own weights."""

    ABSOLUTE = "absolute"
    STDS = "stds"
    MEANS = "means"


class Criterion(StrEnum):
    """Which score a weight, or a filter, is spared by; see `criteria`."""

    L1 = "l1"
    L2 = "l2"
    RANDOM = "random"
    TAYLOR = "taylor"
    BN_SCALE = "bn-scale"
    SIGNED = "signed"


class Structure(StrEnum):
    """What goes or stays as one: a weight, m - n of m weights in a row, or a filter (an output channel)."""

    WEIGHT = "weight"
    N_M = "n:m"
    FILTER = "filter"


@dataclass(frozen=True)
class PruneSpec:
    """What scores least becomes zero: all below a threshold, the least up to a sparsity, or all but n of each m.

    Exactly one of `threshold`, `sparsity` (0..1, of the weights or of the filters) and an n:m structure is given.
    `unit` belongs to the threshold, `scope` to the sparsity, `pattern` (n, m) to n:m and `seed` to random scores. Of a
    single weight l2 is l1, and becomes it. Defaults: weights of small magnitude.
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
        """Whether no network loses a weight. A threshold of 0 takes what is negative where signs count."""
        if self.threshold is not None:
            return self.threshold == 0 and self.criterion is not Criterion.SIGNED
        return self.sparsity == 0

    def _check_target(self) -> None:
        """Raises ValueError unless there is one target, with the settings that belong to it and no others."""
        if self.structure is Structure.N_M:
            if (self.threshold, self.sparsity) != (None, None):
                n, m = self.pattern or (2, 4)
                raise ValueError(f"{n}:{m} says itself how many weights go: it takes no threshold and no sparsity")
        elif (self.threshold is None) == (self.sparsity is None):
            raise ValueError(
                "pruning takes a threshold or a sparsity target, "
                + ("and got neither" if self.threshold is None else "not both: each one implies the other")
            )
        if self.threshold is not None and not (self.threshold >= 0 and math.isfinite(self.threshold)):
            raise ValueError(f"threshold must be a number of at least 0, got {self.threshold}")
        if self.threshold is not None and self.scope is Scope.LAYER:
            raise ValueError("a threshold is the same in every layer; scope goes with a sparsity target")
        if self.structure is Structure.N_M and self.scope is Scope.LAYER:
            raise ValueError("n:m holds in each layer as it is; scope goes with a sparsity target")
        if self.threshold is None and self.unit is not Unit.ABSOLUTE:
            raise ValueError(f"a unit goes with a threshold: {self.unit} has nothing to count here")
        if self.structure is not Structure.N_M and self.pattern is not None:
            raise ValueError(f"a pattern goes with the structure n:m, not with {self.structure}")

    def _check_criterion(self) -> None:
        """Raises ValueError where the criterion does not go with the target or the structure."""
        criterion = self.criterion
        if self.threshold is not None and criterion in (Criterion.RANDOM, Criterion.TAYLOR):
            raise ValueError(f"{criterion} scores have no scale to set a threshold on; give a sparsity target")
        if criterion is Criterion.BN_SCALE and self.structure is not Structure.FILTER:
            raise ValueError("bn-scale scores whole filters, each by its batch norm's gamma; the structure is filter")
        if criterion is Criterion.BN_SCALE and self.unit is not Unit.ABSOLUTE:
            raise ValueError(f"{self.unit} are of weights, and bn-scale looks at none; its threshold is absolute")
        if criterion is Criterion.SIGNED and self.structure is not Structure.WEIGHT:
            raise ValueError("signed is a lesson about single weights; the structure is weight")
        if self.seed and criterion is not Criterion.RANDOM:
            raise ValueError(f"a seed goes with random scores; {criterion} scores have none")


def structure_from(text: str) -> tuple[Structure, tuple[int, int] | None]:
    """ "filter" -> (Structure.FILTER, None), "2:4" -> (Structure.N_M, (2, 4)): for `PruneSpec`, with its pattern."""
    n, _, m = text.partition(":")
    if n.isdecimal() and m.isdecimal():
        return Structure.N_M, _pattern((int(n), int(m)))
    return member(Structure, text), None


def _pattern(pattern: Iterable[float]) -> tuple[int, int]:
    n, m = pattern
    if not (n == int(n) and m == int(m) and 1 <= n < m):
        raise ValueError(f"n:m keeps n of each m weights, whole numbers with 1 <= n < m; got {n}:{m}")
    return int(n), int(m)
