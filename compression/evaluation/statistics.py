"""evaluation/statistics.py"""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Flips:
    """How many images a compressed network gets wrong that the float network gets right, and the other way round."""

    lost: int
    won: int

    @property
    def p(self) -> float:
        """How often chance alone would part lost and won at least as far, were either as likely: McNemar's mid-p.

        2 P(X < k) + P(X = k) with X binomial (lost + won, 1/2) and k the smaller of the two; 1 - P(X = k) / 2 where
        they are equal (Fagerland, Lydersen and Laake 2013, BMC Medical Research Methodology 13:91). Exact: the sums
        are whole numbers until the last division.
        """
        both, fewer = self.lost + self.won, min(self.lost, self.won)
        if both == 0:
            return 1.0
        below, ways = 0, 1  # of 2^both: the ways to have fewer than i on one side, and those to have i
        for i in range(fewer):
            below += ways
            ways = ways * (both - i) // (i + 1)
        if self.lost == self.won:
            return 1 - ways / 2 ** (both + 1)
        return (2 * below + ways) / 2**both


Z_95 = 1.959963984540054


def wilson_interval(correct: float, total: float) -> tuple[float, float]:
    """The 95 % score interval of a proportion (Wilson 1927, JASA 22:209-212); (0, 1) where total is 0."""
    if total == 0:
        return 0.0, 1.0
    p, z2 = correct / total, Z_95**2
    centre = (p + z2 / (2 * total)) / (1 + z2 / total)
    half = Z_95 * math.sqrt(p * (1 - p) / total + z2 / (4 * total**2)) / (1 + z2 / total)
    return max(0.0, centre - half), min(1.0, centre + half)
