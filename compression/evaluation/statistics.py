"""Statistics of accuracies: the interval of a proportion, and McNemar's test for two networks on the same images."""

import math
from dataclasses import dataclass
from typing import Protocol

Z_95 = 1.959963984540054


def wilson_interval(correct: float, total: float) -> tuple[float, float]:
    """Returns the 95 % score interval of correct / total (Wilson 1927, JASA 22:209-212); (0, 1) if total is 0."""
    if total == 0:
        return 0.0, 1.0
    p, z2 = correct / total, Z_95**2
    centre = (p + z2 / (2 * total)) / (1 + z2 / total)
    half = Z_95 * math.sqrt(p * (1 - p) / total + z2 / (4 * total**2)) / (1 + z2 / total)
    return max(0.0, centre - half), min(1.0, centre + half)


class _Counted(Protocol):
    @property
    def correct(self) -> int: ...

    @property
    def total(self) -> int: ...


class Proportion:
    """A mixin for values with `correct` images of `total`."""

    @property
    def accuracy(self: _Counted) -> float:
        """The share that is correct, 0..1."""
        return self.correct / self.total

    @property
    def interval(self: _Counted) -> tuple[float, float]:
        """The 95 % interval of the accuracy."""
        return wilson_interval(self.correct, self.total)


@dataclass(frozen=True)
class Flips:
    """How many images change sides between the float network and a compressed one.

    `lost` are classified correctly by the float network only, `won` by the compressed network only.
    """

    lost: int
    won: int

    @property
    def p(self) -> float:
        """The mid-p value of McNemar's test: how likely chance alone makes lost and won differ at least as much.

        It is 2 P(X < k) + P(X = k) with X binomial (lost + won, 1/2) and k the smaller of the two, and 1 - P(X = k) / 2
        if they are equal (Fagerland, Lydersen and Laake 2013, BMC Medical Research Methodology 13:91). It is exact: the
        sums are whole numbers until the last division.
        """
        both, fewer = self.lost + self.won, min(self.lost, self.won)
        if both == 0:
            return 1.0
        below, ways = 0, 1  # of the 2^both ways: those with fewer than i on one side, and those with exactly i
        for i in range(fewer):
            below += ways
            ways = ways * (both - i) // (i + 1)
        if self.lost == self.won:
            return 1 - ways / 2 ** (both + 1)
        return (2 * below + ways) / 2**both
