"""Packed files, opened and closed again with something changed in them."""

import hashlib
import json
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import safetensors.numpy

from compression.files.coding.bits import Reader, block, varint
from compression.files.packed_file import CONTENT, DIGEST_BYTES, FORMAT, FORMAT_KEY


@dataclass
class OpenFile:
    """The parts of a packed file. `directory` has its numbers, and `rest` is what follows them."""

    checksum: bytes
    fingerprint: bytes
    about: Any
    directory: list[int]
    rest: bytes

    def close(self, sign: bool = True) -> bytes:
        """Returns the file; with `sign`, its checksum is the right one for its bytes."""
        numbers = b"".join(map(varint, self.directory))
        body = (
            self.fingerprint + block(_deflate(json.dumps(self.about).encode())) + block(_deflate(numbers)) + self.rest
        )
        return with_checksum(body, hashlib.sha256(body).digest()[:DIGEST_BYTES] if sign else self.checksum)


def open_file(content: bytes) -> OpenFile:
    reader = Reader(body_of(content, 0))
    checksum, fingerprint = reader.take(DIGEST_BYTES), reader.take(DIGEST_BYTES)
    about = json.loads(zlib.decompress(reader.block(), -zlib.MAX_WBITS))
    numbers = Reader(zlib.decompress(reader.block(), -zlib.MAX_WBITS))
    directory = []
    while not numbers.is_empty:
        directory.append(numbers.varint())
    return OpenFile(checksum, fingerprint, about, directory, reader.rest())


def body_of(content: bytes, start: int = DIGEST_BYTES) -> bytes:
    """Returns the bytes of the tensor from `start` on, by default those behind the checksum."""
    return safetensors.numpy.load(content)[CONTENT].tobytes()[start:]


def with_checksum(body: bytes, checksum: bytes | None = None) -> bytes:
    """Returns the packed file that has these bytes behind its checksum, by default the right one."""
    whole = (checksum or hashlib.sha256(body).digest()[:DIGEST_BYTES]) + body
    return safetensors.numpy.save({CONTENT: np.frombuffer(whole, np.uint8)}, {FORMAT_KEY: FORMAT})


def _deflate(content: bytes) -> bytes:
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return compressor.compress(content) + compressor.flush()
