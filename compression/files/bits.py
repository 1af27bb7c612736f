"""Whole numbers to bytes and back. All bytes are little-endian, all bits lowest first."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

MOST_BITS = 32


class Damaged(ValueError):
    """Bytes that nothing would have become."""

    def __init__(self) -> None:
        super().__init__("the stream of a tensor is damaged")


def width(alphabet: int) -> int:
    """Bits of a number below `alphabet`, all alike; none where there is nothing to tell apart."""
    return (alphabet - 1).bit_length()


def pack(values: Array, bits: int) -> bytes:
    """Whole numbers below 2^bits, `bits` (0..32) bits each, without gaps: ceil(n bits / 8) bytes."""
    octets = values.astype(_holding(bits)).view(np.uint8).reshape(len(values), _holding(bits).itemsize)
    return np.packbits(np.unpackbits(octets, axis=1, count=bits, bitorder="little"), bitorder="little").tobytes()


def unpack(packed: bytes, count: int, bits: int) -> Array:
    """What `pack` made of `count` values, int64. Raises Damaged for another number of bytes."""
    if len(packed) != -(-count * bits // 8):
        raise Damaged
    flat = np.unpackbits(np.frombuffer(packed, np.uint8), count=count * bits, bitorder="little")
    wide = np.zeros((count, 8 * _holding(bits).itemsize), np.uint8)
    wide[:, :bits] = flat.reshape(count, bits)
    return np.packbits(wide, bitorder="little").view(_holding(bits)).astype(np.int64)


def _holding(bits: int) -> np.dtype[Any]:
    """The smallest kind of whole number with that many bits."""
    return np.dtype("u1" if bits <= 8 else "<u2" if bits <= 16 else "<u4")


def varints(values: Array) -> bytes:
    """Whole numbers in 7 bits a byte, the eighth bit says that more follow (LEB128); a 0 is followed by how many more
    zeros come after it.
    """
    found = bytearray()
    edges = np.flatnonzero(np.diff(values, prepend=-1))
    lengths = np.diff([*edges, len(values)])
    for value, length in zip((int(values[edge]) for edge in edges), lengths, strict=True):
        for each in (0, int(length) - 1) if value == 0 else [value] * int(length):
            found += _varint(each)
    return bytes(found)


def _varint(value: int) -> bytes:
    found = bytearray()
    while value >= 128:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


def from_varints(packed: bytes, count: int) -> Array:
    """What `varints` made of `count` numbers below 2^32, int64. Raises Damaged for anything else."""
    values: list[int] = []
    number = shift = 0
    run = False
    for byte in packed:
        number |= (byte & 127) << shift
        shift += 7
        if byte & 128:
            continue
        if shift > 7 * 5 or len(values) + (number if run else 1) > count:
            raise Damaged
        values += [0] * number if run else [number]
        run = number == 0 and not run
        number = shift = 0
    if run or shift or len(values) != count:
        raise Damaged
    return np.array(values, np.int64)
