"""Conversions between arrays of whole numbers and bytes.

All bytes are little-endian. Bits fill each byte from the lowest bit upwards.
"""

from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

MOST_BITS = 32


class DamagedStream(ValueError):
    """Raised for bytes that no encoder in this package can have produced."""

    def __init__(self) -> None:
        super().__init__("the stream of a tensor is damaged")


def width(alphabet: int) -> int:
    """Returns the bits that a number in 0..alphabet-1 needs: ceil(log2(alphabet)), and 0 if `alphabet` is 1."""
    return (alphabet - 1).bit_length()


def whole_bytes(bits: int) -> int:
    """Returns the bytes that `bits` bits fill, the last one perhaps in part."""
    return -(-bits // 8)


def pack(values: Array, bits: int) -> bytes:
    """Packs whole numbers (n,), each below 2^bits, into `bits` (0..32) bits each without gaps.

    The result has ceil(n * bits / 8) bytes. The lowest bit of a number comes first; unused bits of the last byte are 0.
    """
    numbers = values.astype(_unsigned(bits))
    if bits == 8 * numbers.itemsize:
        return numbers.tobytes()
    octets = numbers.view(np.uint8).reshape(len(values), numbers.itemsize)
    return np.packbits(np.unpackbits(octets, axis=1, count=bits, bitorder="little"), bitorder="little").tobytes()


def unpack(content: bytes, count: int, bits: int) -> Array:
    """Returns the `count` numbers (count,) int64 that `pack` wrote into `content` with `bits` bits each.

    Raises DamagedStream if `content` does not have ceil(count * bits / 8) bytes.
    """
    if len(content) != whole_bytes(count * bits):
        raise DamagedStream
    flat = np.unpackbits(np.frombuffer(content, np.uint8), count=count * bits, bitorder="little")
    wide = np.zeros((count, 8 * _unsigned(bits).itemsize), np.uint8)
    wide[:, :bits] = flat.reshape(count, bits)
    return np.packbits(wide, bitorder="little").view(_unsigned(bits)).astype(np.int64)


def _unsigned(bits: int) -> np.dtype[Any]:
    """Returns the smallest little-endian unsigned integer type that holds `bits` bits."""
    return np.dtype("u1" if bits <= 8 else "<u2" if bits <= 16 else "<u4")


def to_varints(values: Array) -> bytes:
    """Encodes whole numbers as variable-length integers (LEB128), with runs of zeros shortened.

    Each byte holds 7 bits of a number, the lowest ones first; its highest bit is 1 if more bytes of the number follow.
    A zero stands for a run of zeros: the next number says how many further zeros the run has.
    """
    content = bytearray()
    for value, run in groupby(values.tolist()):
        length = sum(1 for _ in run)
        for number in (0, length - 1) if value == 0 else [value] * length:
            content += varint(number)
    return bytes(content)


def varint(value: int) -> bytes:
    """Encodes a whole number as a variable-length integer (LEB128), as in `to_varints`; here a zero is one byte."""
    content = bytearray()
    while value >= 128:
        content.append(value & 127 | 128)
        value >>= 7
    return bytes([*content, value])


class Reader:
    """Reads bytes from the front. Everything raises DamagedStream beyond the end."""

    def __init__(self, content: bytes) -> None:
        self._content, self._place = content, 0

    def take(self, length: int) -> bytes:
        """Returns the next `length` bytes."""
        if length > len(self._content) - self._place:
            raise DamagedStream
        self._place += length
        return self._content[self._place - length : self._place]

    def varint(self) -> int:
        """Returns the next variable-length integer, which is below 2^35."""
        number = 0
        for shift in range(0, 35, 7):
            (byte,) = self.take(1)
            number |= (byte & 127) << shift
            if byte < 128:
                return number
        raise DamagedStream

    def block(self) -> bytes:
        """Returns the next block: its length as a variable-length integer, then its bytes."""
        return self.take(self.varint())

    def rest(self) -> bytes:
        """Returns all bytes that are left."""
        return self.take(len(self._content) - self._place)

    @property
    def is_empty(self) -> bool:
        """Whether no bytes are left."""
        return self._place == len(self._content)

    def end(self) -> None:
        """Raises DamagedStream if bytes are left."""
        if not self.is_empty:
            raise DamagedStream


def block(content: bytes) -> bytes:
    """Returns `content` behind its length, as `Reader.block` reads it."""
    return varint(len(content)) + content


def from_varints(content: bytes, count: int) -> Array:
    """Returns the `count` numbers (count,) int64, each below 2^32, that `to_varints` encoded as `content`.

    Raises DamagedStream if `content` does not encode exactly `count` numbers.
    """
    values: list[int] = []
    number = shift = 0
    run = False
    for byte in content:
        number |= (byte & 127) << shift
        shift += 7
        if byte & 128:
            continue
        if shift > 7 * 5 or len(values) + (number if run else 1) > count:
            raise DamagedStream
        values += [0] * number if run else [number]
        run = number == 0 and not run
        number = shift = 0
    if run or shift or len(values) != count:
        raise DamagedStream
    return np.array(values, np.int64)
