"""Entropy coding of symbols with asymmetric numeral systems (ANS; Duda 2013, arXiv:1311.2540).

A symbol of relative frequency p takes close to log2(1 / p) bits. The decoder needs the frequencies; they are stored
before the symbols as the model. To keep the model short, the frequencies are whole numbers that sum to about 2^k, and
`run` neighbouring symbols share one frequency, because neighbouring codes are about equally frequent. The last symbol
has a frequency of its own: it stands for a zero weight, which is far more frequent than its neighbour. The encoder
takes the k and the `run` with the fewest bytes for model and symbols (`frequencies`).

The model's bytes: one byte `run`, then the frequencies as variable-length integers (`bits.to_varints`). The symbols'
bytes: the 32-bit little-endian words of constriction's `AnsCoder`, whose model is `Categorical(perfect=False)`.
"""

import math
from typing import Any

import constriction
import numpy as np

from compression.files.coding.bits import Array, DamagedStream, from_varints, to_varints
from compression.files.coding.frequencies import RUNS, choose_frequencies, symbol_frequencies


def entropy_bits(counts: Array) -> float:
    """Returns the order-0 entropy in bits of a sequence in which symbol i occurs counts[i] times.

    With n = sum n_i it is n H = sum n_i log2(n / n_i) (Shannon 1948). No code that encodes each symbol independently of
    its neighbours takes fewer bits.
    """
    positive = counts[counts > 0]
    return float((positive * np.log2(positive.sum() / positive)).sum())


def encode_symbols(symbols: Array, counts: Array) -> tuple[bytes, bytes]:
    """Encodes symbols (n,), with n > 0; returns their bytes and the model's bytes.

    `counts` (alphabet,) says how often each symbol occurs; the alphabet has at least two symbols.
    """
    frequencies, model = choose_model(counts)
    coder = constriction.stream.stack.AnsCoder()
    coder.encode_reverse(symbols.astype(np.int32, copy=False), categorical(frequencies / frequencies.sum()))
    return coder.get_compressed().astype("<u4").tobytes(), model


def count_bytes(counts: Array) -> tuple[int, bytes]:
    """Returns at least how many bytes `encode_symbols` makes of symbols with these counts, and the model's bytes.

    It is at most eight bytes too much: symbol i takes log2(sum f / f_i) bits, and the coder ends with whole words.
    """
    frequencies, model = choose_model(counts)
    some = counts > 0
    bits = float((counts[some] * np.log2(frequencies.sum() / frequencies[some])).sum())
    return 4 * (math.ceil(bits / 32) + 1), model


def choose_model(counts: Array) -> tuple[Array, bytes]:
    """Returns frequencies (alphabet,) that are good for symbols with these `counts`, and their bytes in a file."""
    run, frequencies = choose_frequencies(counts)
    return symbol_frequencies(frequencies, run, len(counts)), bytes([run]) + to_varints(frequencies)


def read_model(model: bytes, alphabet: int) -> Array:
    """Returns the frequencies (alphabet,) from the bytes of `choose_model`. Raises DamagedStream for other bytes."""
    if not model or model[0] not in RUNS:
        raise DamagedStream
    run = model[0]
    frequencies = from_varints(model[1:], -(-(alphabet - 1) // run) + 1)
    if not frequencies.any():
        raise DamagedStream
    return symbol_frequencies(frequencies, run, alphabet)


def decode_symbols(content: bytes, model: bytes, count: int, alphabet: int) -> Array:
    """Returns the `count` symbols (count,) int64 that `encode_symbols` encoded as `content` and `model`.

    Raises DamagedStream if the bytes cannot be those of `count` symbols.
    """
    if len(content) % 4:
        raise DamagedStream
    frequencies = read_model(model, alphabet)
    coder = constriction.stream.stack.AnsCoder(np.frombuffer(content, "<u4").astype(np.uint32))
    symbols = coder.decode(categorical(frequencies / frequencies.sum()), count).astype(np.int64)
    if not coder.is_empty():
        raise DamagedStream
    return symbols


def categorical(weights: Array) -> Any:
    """Returns the coder's model of symbols whose probabilities are proportional to `weights` (alphabet,)."""
    return constriction.stream.model.Categorical(np.ascontiguousarray(weights, np.float64), perfect=False)
