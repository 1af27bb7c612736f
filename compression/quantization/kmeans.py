"""Clusters of numbers on a line: the values to which the squared distances, each weight to its nearest, are least.

Rows are sorted once; then a cluster is a stretch of a row, from one end to the next, and its mean a difference of
running sums. Values start as dense as the weights ask for, and two searches take turns. Lloyd's algorithm settles where
neighbours are in balance. Dynamic programming (Wang and Song 2011, Ckmeans.1d.dp) then moves all ends at once, each as
far as the ends beside it, to the best of PLACES places, until none is better or enough work has gone into it. Rows that
are short enough get it over all places instead: the best there is.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

MOST_ROUNDS = 100  # of Lloyd's algorithm

MOST_MOVES = 40  # of all ends at once

PLACES = 17  # that an end may move to, an odd number: where it is, and as many to either side

MOVING = 120_000  # weights: of so many the ends move once, of half as many twice; more of them need it less

SAMPLE = 1024  # weights of a row that its start is found from

PAIRS = 3_000_000  # of places that dynamic programming looks at

FloatArray = npt.NDArray[np.floating]

Ends = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class SortedRows:
    """Sorted rows (groups, n), of which the first `count` (groups, 1) are weights, and `sums` (groups, n + 1) of the
    first 0, 1, ... n.
    """

    order: FloatArray
    count: Ends
    sums: FloatArray

    def some(self, which: Ends) -> "SortedRows":
        """The rows of these numbers."""
        if len(which) == len(self.order):
            return self
        return SortedRows(self.order[which], self.count[which], self.sums[which])


def centres(weights: FloatArray, clusters: int) -> FloatArray:
    """weights (groups, n) -> the values (groups, clusters) of each row, ascending; zeros have no say.

    Where a row has fewer different weights than there are clusters, some values are the same.
    """
    rows = _sorted(weights)
    values, ends = _lloyd(rows, _companded(rows.order, clusters))
    if weights.shape[1] ** 2 * values.size <= PAIRS:
        places = np.minimum(np.arange(weights.shape[1] + 1)[:, None], rows.count.T)
        ends = _best(rows, [0 * places, *[places] * (clusters - 1), 0 * places + rows.count.T])
        return np.sort(_means(rows, ends, values), axis=1)
    moving = np.arange(len(weights))
    for _ in range(min(MOST_MOVES, MOVING // weights.size, PAIRS // (values.size * PLACES**2))):
        moved = _best(rows.some(moving), _near(ends[moving]))
        moving, moved = (each[(moved != ends[moving]).any(1)] for each in (moving, moved))
        if not len(moving):
            break
        some = rows.some(moving)
        values[moving], ends[moving] = _lloyd(some, _means(some, moved, values[moving]))
    return np.sort(values, axis=1)


def _sorted(weights: FloatArray) -> SortedRows:
    """What is zero comes last and does not count; in its place stands the largest of the others."""
    order = np.sort(np.where(weights == 0, np.inf, weights), axis=1)
    count = np.isfinite(order).sum(1, keepdims=True)
    order = np.where(np.isfinite(order), order, np.take_along_axis(order, np.maximum(count - 1, 0), 1))
    order[count[:, 0] == 0] = 0
    return SortedRows(order, count, np.pad(np.cumsum(order, 1, dtype=np.float64), ((0, 0), (1, 0))))


def _companded(order: FloatArray, values: int) -> FloatArray:
    """Sorted rows (groups, n) -> where `values` values are nearly best: as dense as the cube root of the density of the
    weights (Panter and Dite 1951), which is the gaps between neighbours to the power of two thirds, added up.
    """
    places = np.linspace(0, order.shape[1] - 1, min(order.shape[1], SAMPLE)).astype(int)
    points = order[:, places]
    hole = (points[:, :-1] < 0) & (points[:, 1:] > 0)  # that pruning leaves: no value belongs there
    gaps = np.where(hole, 0, np.diff(points, axis=1))
    far = np.pad(np.cumsum(gaps ** (2 / 3), 1, dtype=np.float64), ((0, 0), (1, 0)))
    wanted = far[:, -1:] * (np.arange(values) + 0.5) / values
    return np.stack([np.interp(*row) for row in zip(wanted, far, points, strict=True)])


def _lloyd(rows: SortedRows, values: FloatArray) -> tuple[FloatArray, Ends]:
    """Each weight to the nearest value, each value to the mean of its weights, until nothing moves.

    values (groups, k) -> values, ends (groups, k + 1).
    """
    order, values = torch.from_numpy(rows.order), values.copy()
    ends = np.full((len(values), values.shape[1] + 1), -1)
    for _ in range(MOST_ROUNDS):
        bounds = torch.from_numpy((values[:, 1:] + values[:, :-1]) / 2)
        inner = torch.searchsorted(order, bounds.to(order.dtype), right=True).numpy()
        first = np.zeros_like(rows.count)
        before, ends = ends, np.minimum(np.concatenate([first, inner, rows.count], 1), rows.count)
        moving = np.flatnonzero((before != ends).any(1))
        if not len(moving):
            break
        values = _means(rows, ends, values)
        if 2 * len(moving) < len(values):
            values[moving], ends[moving] = _lloyd(rows.some(moving), values[moving])
            break
    return values, ends


def _means(rows: SortedRows, ends: Ends, values: FloatArray) -> FloatArray:
    """The mean of each cluster; one without weights keeps its value."""
    members = np.diff(ends, axis=1)
    totals = np.diff(np.take_along_axis(rows.sums, ends, 1), axis=1)
    return np.where(members, totals / np.maximum(members, 1), values)


def _near(ends: Ends) -> list[Ends]:
    """ends (groups, k + 1) -> for each, places (PLACES, groups) from the end before it to the one after it."""
    parts = np.linspace(-1, 1, PLACES)[:, None]
    sizes = np.pad(np.diff(ends, axis=1), ((0, 0), (1, 1)))
    inner = [
        ends[:, k] + np.rint(np.where(parts < 0, parts * sizes[:, k], parts * sizes[:, k + 1])).astype(np.intp)
        for k in range(1, ends.shape[1] - 1)
    ]
    return [ends[:, 0] + np.zeros_like(inner[0]), *inner, ends[:, -1] + np.zeros_like(inner[0])]


def _best(rows: SortedRows, places: list[Ends]) -> Ends:
    """For each end its places (p, groups) -> the ends (groups, k + 1) with the least error.

    The error of a cluster is its sum of squares less (sum)^2 / members; the first is the same whatever the ends. Sums
    are taken from the row's mean, so that little is lost in the difference.
    """
    middle = rows.sums[:, -1] / rows.order.shape[1]
    totals = [np.take_along_axis(rows.sums.T, at, 0) - middle * at for at in places]
    best, chosen = np.zeros(places[0].shape), []
    for k in range(1, len(places)):
        members = places[k].astype(np.float64) - places[k - 1][:, None]
        total = totals[k] - totals[k - 1][:, None]
        gained = total * total / np.maximum(members, 1) + best[:, None]
        gained[members < 0] = -np.inf
        chosen.append(gained.argmax(0))
        best = gained.max(0)
    groups = np.arange(len(rows.order))
    ends, place = [places[-1][0]], np.zeros_like(groups)
    for at, choice in zip(places[-2::-1], chosen[::-1], strict=True):
        place = choice[place, groups]
        ends.append(at[place, groups])
    return np.stack(ends[::-1], 1)
