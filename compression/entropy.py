"""Symbols to hardly more bytes than their frequencies ask for, and back.

Asymmetric numeral systems (Duda 2013, arXiv:1311.2540): a symbol of frequency p takes nearly log2(1/p) bits. The
frequencies, as whole numbers out of 2^k, go along as the model; k is where they and the symbols together take least.
"""

from collections.abc import Callable
from typing import Any

import constriction
import numpy as np

from compression.bits import Array, Damaged, from_varints, varints

PRECISIONS = range(6, 17)


def entropy_bits(counts: Array) -> float:
    """The order-0 entropy of n = sum n_i symbols, of each of which there are counts n_i: n H = sum n_i log2(n / n_i)
    (Shannon 1948). Nothing that codes one symbol after another, whatever its neighbours, takes less.
    """
    there = counts[counts > 0]
    return float((there * np.log2(there.sum() / there)).sum())


def encode_symbols(symbols: Array, alphabet: int) -> tuple[bytes, bytes]:
    """symbols (n,) of 0..alphabet-1, n > 0 -> their bytes, and those of the model."""
    counts = np.bincount(symbols, minlength=alphabet)
    best = min((_frequencies(counts, k) for k in PRECISIONS if 2**k >= (counts > 0).sum()), key=_cost(counts))
    coder = constriction.stream.stack.AnsCoder()
    coder.encode_reverse(symbols.astype(np.int32), _categorical(best))
    return coder.get_compressed().astype("<u4").tobytes(), varints(best)


def decode_symbols(coded: bytes, model: bytes, count: int, alphabet: int) -> Array:
    """The `count` symbols (n,) int64. Raises Damaged where the bytes cannot be those of any."""
    frequencies = from_varints(model, alphabet)
    if len(coded) % 4 or not 0 < frequencies.sum() <= 2 ** PRECISIONS[-1]:
        raise Damaged
    coder = constriction.stream.stack.AnsCoder(np.frombuffer(coded, "<u4").astype(np.uint32))
    symbols = coder.decode(_categorical(frequencies), count).astype(np.int64)
    if not coder.is_empty():
        raise Damaged
    return symbols


def _frequencies(counts: Array, precision: int) -> Array:
    """counts (K,) -> whole numbers (K,) in the same proportions, which add up to 2^precision; at least 1 where there
    is one.
    """
    total = 2**precision
    found = np.maximum(np.rint(counts / counts.sum() * total).astype(np.int64), counts > 0)
    while (over := int(found.sum()) - total) > 0:
        found[found.argmax()] -= min(over, int(found.max()) // 2)
    found[found.argmax()] -= min(0, over)
    return found


def _cost(counts: Array) -> Callable[[Array], float]:
    """frequencies -> the bytes of the model, and of the symbols coded with it."""
    there = counts > 0

    def cost(frequencies: Array) -> float:
        bits = (counts[there] * np.log2(frequencies.sum() / frequencies[there])).sum()
        return len(varints(frequencies)) + bits / 8

    return cost


def _categorical(frequencies: Array) -> Any:
    return constriction.stream.model.Categorical(frequencies / frequencies.sum(), perfect=False)
