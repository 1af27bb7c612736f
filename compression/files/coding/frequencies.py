"""Chooses the frequencies of an entropy coder: the model that takes the fewest bytes together with its symbols.

A model has whole-number frequencies that sum to about 2^k, one for each `run` neighbouring symbols and one for the last
symbol. All pairs of k in PRECISIONS and `run` in RUNS are compared at once: the frequencies of all runs stand one after
another in one array, because a network has many layers with few symbols, where each call of NumPy counts.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from compression.files.coding.bits import Array

PRECISIONS = range(6, 17, 2)

RUNS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)


@dataclass(frozen=True, eq=False)
class _Layout:
    """Where the frequencies of each run stand, for one number of symbols K.

    `runs` (R,) are those that differ for K symbols. The frequencies of run r are the places first[r] to last[r], of
    which the last one is that of the last symbol. Place i covers the symbols begin[i] to end[i] - 1.
    """

    runs: Array
    first: Array
    last: Array
    begin: Array
    end: Array


def choose_frequencies(counts: Array) -> tuple[int, Array]:
    """Returns the run and the run's frequencies that encode `counts` (K,), K > 1, in the fewest bytes.

    The frequencies are (ceil((K - 1) / run) + 1,). Of equally good models the first one is taken, in the order of RUNS
    and then of PRECISIONS.
    """
    layout = _layout(len(counts))
    sums = np.cumsum(np.append(0, counts))
    occurrences, widths = sums[layout.end] - sums[layout.begin], layout.end - layout.begin
    frequencies = _frequencies(occurrences / widths / sums[-1])
    totals = np.add.reduceat(frequencies * widths, layout.first, axis=1)
    logarithms = occurrences * np.log2(np.maximum(frequencies, 1))  # a frequency of 0 has no occurrences
    bits = sums[-1] * np.log2(totals) - np.add.reduceat(logarithms, layout.first, axis=1)
    costs = 1 + _varint_bytes(frequencies, layout) + bits / 8
    run, precision = divmod(int(costs.T.argmin()), len(PRECISIONS))
    return int(layout.runs[run]), frequencies[precision, layout.first[run] : layout.last[run] + 1]


def symbol_frequencies(run_frequencies: Array, run: int, alphabet: int) -> Array:
    """Returns the frequency of each symbol (alphabet,) from those of the runs."""
    return np.append(np.repeat(run_frequencies[:-1], run)[: alphabet - 1], run_frequencies[-1])


def _frequencies(shares: Array) -> Array:
    """shares (places,) of all symbols -> the frequencies of all models (precisions, places).

    A frequency is at least 1 if any of its symbols occurs.
    """
    scaled = shares * np.array([[2**k] for k in PRECISIONS])
    return np.maximum(np.rint(scaled), shares > 0).astype(np.int64)


def _varint_bytes(frequencies: Array, layout: _Layout) -> Array:
    """Returns the bytes of `bits.to_varints` for each model (precisions, runs)."""
    zero = frequencies == 0
    begins, ends = zero.copy(), zero.copy()
    begins[:, 1:] &= ~zero[:, :-1]
    ends[:, :-1] &= ~zero[:, 1:]
    begins[:, layout.first] = zero[:, layout.first]
    ends[:, layout.last] = zero[:, layout.last]
    sizes = np.where(zero, 0, _varint_length(frequencies))
    sizes[begins] = 1 + _varint_length(np.flatnonzero(ends) - np.flatnonzero(begins))
    return np.add.reduceat(sizes, layout.first, axis=1)


def _varint_length(values: Array) -> Array:
    """Returns the bytes of whole numbers below 2^21: seven bits per byte."""
    return 1 + (values >= 1 << 7) + (values >= 1 << 14)


@lru_cache(maxsize=64)
def _layout(symbols: int) -> _Layout:
    # All runs that cover every symbol but the last have the same frequencies, and the first of them is enough.
    runs = [run for run, shorter in zip(RUNS, (0, *RUNS), strict=False) if shorter < symbols - 1]
    begins = [np.arange(0, symbols - 1, run) for run in runs]
    lengths = np.array([len(begin) + 1 for begin in begins])
    last = np.cumsum(lengths) - 1
    first = last - lengths + 1
    return _Layout(
        runs=np.array(runs),
        first=first,
        last=last,
        begin=np.concatenate([np.append(begin, symbols - 1) for begin in begins]),
        end=np.concatenate([[*begin[1:], symbols - 1, symbols] for begin in begins]),
    )
