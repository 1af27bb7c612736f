"""Symbols to hardly more bytes than their frequencies ask for, and back.

Asymmetric numeral systems (Duda 2013, arXiv:1311.2540): a symbol of frequency p takes nearly log2(1/p) bits. The
frequencies, as whole numbers out of about 2^k, go along as the model. Neighbours are about as frequent as each other,
so `run` of them in a row share a frequency; the last symbol has one for itself. k and `run` are those with which model
and symbols together take least.
"""

from collections.abc import Callable
from typing import Any

import constriction
import numpy as np

from compression.files.bits import Array, Damaged, from_varints, varints

PRECISIONS = range(6, 17, 2)

RUNS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)


def entropy_bits(counts: Array) -> float:
    """The order-0 entropy of n = sum n_i symbols, of each of which there are counts n_i: n H = sum n_i log2(n / n_i)
    (Shannon 1948). Nothing that codes one symbol after another, whatever its neighbours, takes less.
    """
    there = counts[counts > 0]
    return float((there * np.log2(there.sum() / there)).sum())


def encode_symbols(symbols: Array, alphabet: int) -> tuple[bytes, bytes]:
    """symbols (n,) of 0..alphabet-1, n > 0, alphabet > 1 -> their bytes, and those of the model."""
    counts = np.bincount(symbols, minlength=alphabet)
    run, shared = min(((run, _shared(counts, run, k)) for run in RUNS for k in PRECISIONS), key=_cost(counts))
    coder = constriction.stream.stack.AnsCoder()
    coder.encode_reverse(symbols.astype(np.int32), _categorical(_of_each(shared, run, alphabet)))
    return coder.get_compressed().astype("<u4").tobytes(), bytes([run]) + varints(shared)


def decode_symbols(coded: bytes, model: bytes, count: int, alphabet: int) -> Array:
    """The `count` symbols (n,) int64. Raises Damaged where the bytes cannot be those of any."""
    if len(coded) % 4 or not model or model[0] not in RUNS:
        raise Damaged
    run = model[0]
    shared = from_varints(model[1:], -(-(alphabet - 1) // run) + 1)
    if not shared.any():
        raise Damaged
    coder = constriction.stream.stack.AnsCoder(np.frombuffer(coded, "<u4").astype(np.uint32))
    symbols = coder.decode(_categorical(_of_each(shared, run, alphabet)), count).astype(np.int64)
    if not coder.is_empty():
        raise Damaged
    return symbols


def _shared(counts: Array, run: int, precision: int) -> Array:
    """counts (K,) -> the frequency of each `run` symbols and of the last one alone, (ceil((K - 1) / run) + 1,); at
    least 1 where any of them is there.
    """
    starts = np.arange(0, len(counts) - 1, run)
    together = np.add.reduceat(counts[:-1], starts) / np.diff([*starts, len(counts) - 1])
    each = np.append(together, counts[-1])
    return np.maximum(np.rint(each / counts.sum() * 2**precision), each > 0).astype(np.int64)


def _of_each(shared: Array, run: int, alphabet: int) -> Array:
    """What `_shared` found -> the frequency of each symbol (alphabet,)."""
    return np.append(np.repeat(shared[:-1], run)[: alphabet - 1], shared[-1])


def _cost(counts: Array) -> Callable[[tuple[int, Array]], float]:
    """(run, shared frequencies) -> the bytes of the model, and of the symbols coded with it."""
    there = counts > 0

    def cost(model: tuple[int, Array]) -> float:
        run, shared = model
        frequencies = _of_each(shared, run, len(counts))
        bits = (counts[there] * np.log2(frequencies.sum() / frequencies[there])).sum()
        return 1 + len(varints(shared)) + bits / 8

    return cost


def _categorical(frequencies: Array) -> Any:
    return constriction.stream.model.Categorical(frequencies / frequencies.sum(), perfect=False)
