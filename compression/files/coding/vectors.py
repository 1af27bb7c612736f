"""Lossless coding of vectors that were rounded to 8-bit codes with a scale (`quantization.vectors`).

The bytes: a block of `floats` with the scale of each vector, then the model and the codes, each behind its length. A
code c is the symbol c + 127, entropy coded with those of the other vectors (`ans`).
"""

from collections.abc import Sequence

import numpy as np
import torch

from compression.files.coding.ans import decode_symbols, encode_symbols
from compression.files.coding.bits import Array, DamagedStream, Reader, block
from compression.files.coding.floats import decode_floats, encode_floats
from compression.quantization.vectors import TOP, vector_codes

SYMBOLS = 2 * TOP + 1


def encode_vectors(vectors: Sequence[Array]) -> bytes:
    """Encodes vectors (n,) float32 that are codes times scales. No numbers take no bytes."""
    if not sum(map(len, vectors)):
        return b""
    pairs = [vector_codes(torch.from_numpy(vector)) for vector in vectors]
    symbols = np.concatenate([codes.numpy() for codes, _ in pairs]).astype(np.int64) + TOP
    codes, model = encode_symbols(symbols, np.bincount(symbols, minlength=SYMBOLS + 1))
    scales = np.array([scale for _, scale in pairs], np.float32)
    return block(encode_floats(scales)) + block(model) + block(codes)


def decode_vectors(content: bytes, counts: Sequence[int]) -> Array:
    """Returns the numbers of vectors with so many each, one after another. Raises DamagedStream for other bytes."""
    reader, count = Reader(content), sum(counts)
    if not count:
        reader.end()
        return np.zeros(0, np.float32)
    scales = decode_floats(reader.block(), len(counts))
    model, codes = reader.block(), reader.block()
    reader.end()
    symbols = decode_symbols(codes, model, count, SYMBOLS + 1)
    if symbols.max() >= SYMBOLS:
        raise DamagedStream
    return (symbols - TOP).astype(np.float32) * np.repeat(scales, counts)
