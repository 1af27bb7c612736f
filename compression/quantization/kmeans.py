"""One-dimensional k-means: the values that minimize the sum of squared distances from each weight to its nearest value.

Each row is sorted once. A cluster is then a contiguous part of the row, described by its two ends, and its mean follows
from a difference of running sums. The first values are as dense as the density of the weights suggests. Two searches
then alternate. Lloyd's algorithm runs until no weight changes its cluster. Dynamic programming (Wang and Song 2011,
Ckmeans.1d.dp) then moves all ends at once, each to the best of END_CANDIDATES positions between its neighbouring ends,
until nothing improves or the budget MOVE_BUDGET is used up. For rows that are short enough, dynamic programming
considers all positions and finds the optimum.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

MOST_ROUNDS = 100  # of Lloyd's algorithm

MOST_MOVES = 40  # of all ends at once

END_CANDIDATES = 17  # positions tried for an end, an odd number: the present one, and equally many on either side

MOVE_BUDGET = 120_000  # weights times moves: with more weights fewer moves are needed

START_SAMPLE = 1024  # weights of a row from which the first values are computed

MOST_PAIRS = 3_000_000  # pairs of positions that dynamic programming compares at most

FloatArray = npt.NDArray[np.floating]

Ends = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class SortedRows:
    """Sorted rows `order` (groups, n), of which the first `count` (groups, 1) entries are weights, with their running
    sums `sums` (groups, n + 1), starting with 0.
    """

    order: FloatArray
    count: Ends
    sums: FloatArray

    def subset(self, indices: Ends) -> "SortedRows":
        """Returns the rows at `indices`."""
        if len(indices) == len(self.order):
            return self
        return SortedRows(self.order[indices], self.count[indices], self.sums[indices])


def centres(weights: FloatArray, clusters: int) -> FloatArray:
    """Returns the values (groups, clusters) of the rows of weights (groups, n), ascending. Zeros are ignored.

    If a row has fewer different weights than there are clusters, some values are equal.
    """
    rows = _sort_rows(weights)
    values, ends = _lloyd(rows, _initial_values(rows.order, clusters))
    if weights.shape[1] ** 2 * values.size <= MOST_PAIRS:
        positions = np.minimum(np.arange(weights.shape[1] + 1)[:, None], rows.count.T)
        ends = _best_ends(rows, [0 * positions, *[positions] * (clusters - 1), 0 * positions + rows.count.T])
        return np.sort(_means(rows, ends, values), axis=1)
    active = np.arange(len(weights))
    for _ in range(min(MOST_MOVES, MOVE_BUDGET // weights.size, MOST_PAIRS // (values.size * END_CANDIDATES**2))):
        new_ends = _best_ends(rows.subset(active), _nearby_ends(ends[active]))
        active, new_ends = (each[(new_ends != ends[active]).any(1)] for each in (active, new_ends))
        if not len(active):
            break
        active_rows = rows.subset(active)
        values[active], ends[active] = _lloyd(active_rows, _means(active_rows, new_ends, values[active]))
    return np.sort(values, axis=1)


def _sort_rows(weights: FloatArray) -> SortedRows:
    """Sorts each row. Zeros move to the end and do not count; the largest other weight stands in their place."""
    order = np.sort(np.where(weights == 0, np.inf, weights), axis=1)
    count = np.isfinite(order).sum(1, keepdims=True)
    order = np.where(np.isfinite(order), order, np.take_along_axis(order, np.maximum(count - 1, 0), 1))
    order[count[:, 0] == 0] = 0
    return SortedRows(order, count, np.pad(np.cumsum(order, 1, dtype=np.float64), ((0, 0), (1, 0))))


def _initial_values(order: FloatArray, clusters: int) -> FloatArray:
    """Returns nearly optimal values (groups, clusters) for sorted rows (groups, n).

    The optimal density of values is proportional to the cube root of the density of the weights (Panter and Dite 1951).
    It is integrated here as the sum of the gaps between neighbouring weights, each to the power of two thirds.
    """
    positions = np.linspace(0, order.shape[1] - 1, min(order.shape[1], START_SAMPLE)).astype(int)
    points = order[:, positions]
    around_zero = (points[:, :-1] < 0) & (points[:, 1:] > 0)  # the gap left by pruning needs no values
    gaps = np.where(around_zero, 0, np.diff(points, axis=1))
    integral = np.pad(np.cumsum(gaps ** (2 / 3), 1, dtype=np.float64), ((0, 0), (1, 0)))
    targets = integral[:, -1:] * (np.arange(clusters) + 0.5) / clusters
    return np.stack([np.interp(*row) for row in zip(targets, integral, points, strict=True)])


def _lloyd(rows: SortedRows, values: FloatArray) -> tuple[FloatArray, Ends]:
    """Assigns each weight to the nearest value and moves each value to the mean of its weights, until nothing changes.

    values (groups, k) -> values (groups, k), ends (groups, k + 1).
    """
    order, values = torch.from_numpy(rows.order), values.copy()
    ends = np.full((len(values), values.shape[1] + 1), -1)
    for _ in range(MOST_ROUNDS):
        bounds = torch.from_numpy((values[:, 1:] + values[:, :-1]) / 2)
        inner = torch.searchsorted(order, bounds.to(order.dtype), right=True).numpy()
        first = np.zeros_like(rows.count)
        before, ends = ends, np.minimum(np.concatenate([first, inner, rows.count], 1), rows.count)
        active = np.flatnonzero((before != ends).any(1))
        if not len(active):
            break
        values = _means(rows, ends, values)
        if 2 * len(active) < len(values):
            values[active], ends[active] = _lloyd(rows.subset(active), values[active])
            break
    return values, ends


def _means(rows: SortedRows, ends: Ends, values: FloatArray) -> FloatArray:
    """Returns the mean of each cluster (groups, k). A cluster without weights keeps its value."""
    members = np.diff(ends, axis=1)
    totals = np.diff(np.take_along_axis(rows.sums, ends, 1), axis=1)
    return np.where(members, totals / np.maximum(members, 1), values)


def _nearby_ends(ends: Ends) -> list[Ends]:
    """ends (groups, k + 1) -> for each end, positions (END_CANDIDATES, groups) between its two neighbouring ends."""
    fractions = np.linspace(-1, 1, END_CANDIDATES)[:, None]
    sizes = np.pad(np.diff(ends, axis=1), ((0, 0), (1, 1)))
    inner = [
        ends[:, k]
        + np.rint(np.where(fractions < 0, fractions * sizes[:, k], fractions * sizes[:, k + 1])).astype(np.intp)
        for k in range(1, ends.shape[1] - 1)
    ]
    return [ends[:, 0] + np.zeros_like(inner[0]), *inner, ends[:, -1] + np.zeros_like(inner[0])]


def _best_ends(rows: SortedRows, candidates: list[Ends]) -> Ends:
    """Returns the ends (groups, k + 1) with the least squared error among candidates (p, groups) for each end.

    The squared error of a cluster is its sum of squares minus (sum)^2 / members. The sums of squares add up to the same
    total for all ends, so only the second term is compared. Sums are taken relative to the mean of the row, which
    avoids cancellation.
    """
    mean = rows.sums[:, -1] / rows.order.shape[1]
    totals = [np.take_along_axis(rows.sums.T, at, 0) - mean * at for at in candidates]
    best, choices = np.zeros(candidates[0].shape), []
    for k in range(1, len(candidates)):
        members = candidates[k].astype(np.float64) - candidates[k - 1][:, None]
        total = totals[k] - totals[k - 1][:, None]
        gain = total * total / np.maximum(members, 1) + best[:, None]
        gain[members < 0] = -np.inf
        choices.append(gain.argmax(0))
        best = gain.max(0)
    groups = np.arange(len(rows.order))
    ends, index = [candidates[-1][0]], np.zeros_like(groups)
    for positions, choice in zip(candidates[-2::-1], choices[::-1], strict=True):
        index = choice[index, groups]
        ends.append(positions[index, groups])
    return np.stack(ends[::-1], 1)
