"""Lossless coding of float32 numbers that are of similar size, such as scales, biases and batch norm.

A float32 has a sign, an exponent of 8 bits and a mantissa of 23. Sign and exponent together are one of 512 symbols, of
which few occur, and are entropy coded (`ans`). The mantissas are stored as they are, but without the lowest bits if
these are zero in all numbers, as after rounding to bfloat16 or float16, and not at all for a symbol whose mantissas are
all zero, as those of the number 0 and of the scale 1 of an empty channel.

The bytes: how many bits of a mantissa are stored (one byte), the model and the symbols, each behind its length
(`bits.block`), one bit for each symbol that occurs, 1 if it has mantissas, and the mantissas.
"""

from functools import lru_cache

import numpy as np

from compression.files.coding.ans import decode_symbols, encode_symbols
from compression.files.coding.bits import Array, DamagedStream, Reader, block, pack, unpack, whole_bytes

MANTISSA_BITS = 23

MOST_KEPT_BYTES = 1 << 16

SYMBOLS = 2 ** (32 - MANTISSA_BITS)


def round_mantissas(values: Array, bits: int) -> Array:
    """Returns the numbers (n,) float32, rounded to `bits` bits of a mantissa, half away from 0."""
    dropped = MANTISSA_BITS - bits
    numbers = values.astype("<f4").view("<u4") + np.uint32(1 << dropped >> 1)
    return (numbers >> np.uint32(dropped) << np.uint32(dropped)).view("<f4").astype(np.float32)


def encode_floats(values: Array) -> bytes:
    """Encodes the numbers (n,) float32. -0 becomes 0, and no numbers take no bytes."""
    if not len(values):
        return b""
    content = (values.astype("<f4") + np.float32(0)).tobytes()
    return _encode_again(content) if len(content) <= MOST_KEPT_BYTES else _encode(content)


def _encode(content: bytes) -> bytes:
    """content: the numbers, little-endian -> what `encode_floats` returns."""
    numbers = np.frombuffer(content, "<u4").astype(np.int64)
    symbols, mantissas = np.divmod(numbers, 2**MANTISSA_BITS)
    dropped = next(bits for bits in reversed(range(MANTISSA_BITS + 1)) if not (mantissas % 2**bits).any())
    kept, counts = MANTISSA_BITS - dropped, np.bincount(symbols, minlength=SYMBOLS + 1)
    codes, model = encode_symbols(symbols, counts)
    has_mantissas = np.bincount(symbols, mantissas, minlength=SYMBOLS + 1) > 0
    flags = pack(has_mantissas[counts > 0], 1)
    stored = pack(mantissas[has_mantissas[symbols]] >> dropped, kept)
    return bytes([kept]) + block(model) + block(codes) + flags + stored


_encode_again = lru_cache(maxsize=128)(_encode)  # batch norm is the same at each move of a slider


def decode_floats(content: bytes, count: int) -> Array:
    """Returns the `count` numbers (count,) float32 of `encode_floats`. Raises DamagedStream for other bytes."""
    if not count:
        Reader(content).end()
        return np.zeros(0, np.float32)
    reader = Reader(content)
    (kept,) = reader.take(1)
    if kept > MANTISSA_BITS:
        raise DamagedStream
    model, codes = reader.block(), reader.block()
    symbols = decode_symbols(codes, model, count, SYMBOLS + 1)
    if symbols.max() >= SYMBOLS:
        raise DamagedStream
    occurring = np.unique(symbols)
    has_mantissas = np.zeros(SYMBOLS, bool)
    has_mantissas[occurring] = unpack(reader.take(whole_bytes(len(occurring))), len(occurring), 1)
    stored, mantissas = has_mantissas[symbols], np.zeros(count, np.int64)
    length = int(stored.sum())
    mantissas[stored] = unpack(reader.take(whole_bytes(length * kept)), length, kept) << (MANTISSA_BITS - kept)
    reader.end()
    return (symbols << MANTISSA_BITS | mantissas).astype("<u4").view("<f4").astype(np.float32)
