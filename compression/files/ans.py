"""Entropy coding of symbols with asymmetric numeral systems (ANS; Duda 2013, arXiv:1311.2540).

A symbol of relative frequency p takes close to log2(1 / p) bits. The decoder needs the frequencies; they are stored
before the symbols as the model. To keep the model short, the frequencies are whole numbers that sum to about 2^k, and
`run` neighbouring symbols share one frequency, because neighbouring codes are about equally frequent. The last symbol
has a frequency of its own: it stands for a zero weight, which is far more frequent than its neighbour. The encoder
tries all k in PRECISIONS and all `run` in RUNS and takes the pair with the fewest bytes for model and symbols.

The model's bytes: one byte `run`, then the frequencies as variable-length integers (`bits.to_varints`). The symbols'
bytes: the 32-bit little-endian words of constriction's `AnsCoder`, whose model is `Categorical(perfect=False)`.
"""

from collections.abc import Callable
from typing import Any

import constriction
import numpy as np

from compression.files.bits import Array, DamagedStream, from_varints, to_varints

PRECISIONS = range(6, 17, 2)

RUNS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)


def entropy_bits(counts: Array) -> float:
    """Returns the order-0 entropy in bits of a sequence in which symbol i occurs counts[i] times.

    With n = sum n_i it is n H = sum n_i log2(n / n_i) (Shannon 1948). No code that encodes each symbol independently of
    its neighbours takes fewer bits.
    """
    positive = counts[counts > 0]
    return float((positive * np.log2(positive.sum() / positive)).sum())


def encode_symbols(symbols: Array, alphabet: int) -> tuple[bytes, bytes]:
    """Encodes symbols (n,) in 0..alphabet-1, with n > 0 and alphabet > 1; returns their bytes and the model's bytes."""
    counts = np.bincount(symbols, minlength=alphabet)
    models = ((run, _run_frequencies(counts, run, precision)) for run in RUNS for precision in PRECISIONS)
    run, frequencies = min(models, key=_cost(counts))
    coder = constriction.stream.stack.AnsCoder()
    coder.encode_reverse(symbols.astype(np.int32), _categorical(_symbol_frequencies(frequencies, run, alphabet)))
    return coder.get_compressed().astype("<u4").tobytes(), bytes([run]) + to_varints(frequencies)


def decode_symbols(content: bytes, model: bytes, count: int, alphabet: int) -> Array:
    """Returns the `count` symbols (count,) int64 that `encode_symbols` encoded as `content` and `model`.

    Raises DamagedStream if the bytes cannot be those of `count` symbols.
    """
    if len(content) % 4 or not model or model[0] not in RUNS:
        raise DamagedStream
    run = model[0]
    frequencies = from_varints(model[1:], -(-(alphabet - 1) // run) + 1)
    if not frequencies.any():
        raise DamagedStream
    coder = constriction.stream.stack.AnsCoder(np.frombuffer(content, "<u4").astype(np.uint32))
    categorical = _categorical(_symbol_frequencies(frequencies, run, alphabet))
    symbols = coder.decode(categorical, count).astype(np.int64)
    if not coder.is_empty():
        raise DamagedStream
    return symbols


def _run_frequencies(counts: Array, run: int, precision: int) -> Array:
    """counts (K,) -> one frequency for each `run` symbols and one for the last symbol: (ceil((K - 1) / run) + 1,).

    The frequencies of all symbols sum to about 2^precision. A frequency is at least 1 if any of its symbols occurs.
    """
    starts = np.arange(0, len(counts) - 1, run)
    means = np.add.reduceat(counts[:-1], starts) / np.diff([*starts, len(counts) - 1])
    shares = np.append(means, counts[-1])
    return np.maximum(np.rint(shares / counts.sum() * 2**precision), shares > 0).astype(np.int64)


def _symbol_frequencies(run_frequencies: Array, run: int, alphabet: int) -> Array:
    """Returns the frequency of each symbol (alphabet,) from the result of `_run_frequencies`."""
    return np.append(np.repeat(run_frequencies[:-1], run)[: alphabet - 1], run_frequencies[-1])


def _cost(counts: Array) -> Callable[[tuple[int, Array]], float]:
    """Returns a function from a model (run, run frequencies) to the bytes of that model and of the symbols it codes."""
    positive = counts > 0

    def cost(model: tuple[int, Array]) -> float:
        run, run_frequencies = model
        frequencies = _symbol_frequencies(run_frequencies, run, len(counts))
        bits = (counts[positive] * np.log2(frequencies.sum() / frequencies[positive])).sum()
        return 1 + len(to_varints(run_frequencies)) + bits / 8

    return cost


def _categorical(frequencies: Array) -> Any:
    return constriction.stream.model.Categorical(frequencies / frequencies.sum(), perfect=False)
