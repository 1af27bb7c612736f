"""What single flipped bits of the packed file do: its checksum, and its decoder without it."""

import math
from dataclasses import dataclass

import numpy as np

from compression.core.record import CompressedModel
from compression.errors import CodecError
from compression.files.packed_file import DIGEST_BYTES
from compression.files.packed_reader import decode_body, read_packed
from compression.networks.weights import weighted_layers

FILE_BITS = 64  # bits of the packed file that are tried

BODY_BITS = 8  # bits of its content that are decoded without the checksum, which takes up to a second for each


@dataclass(frozen=True)
class FileFlips:
    """What single flipped bits do to the packed file: the reader refused `refusals` of `bits`.

    Of `body_bits` bits of the content, the decoder alone, without the checksum, made `detections`. The others changed
    the share `mean_change` (0..1) of the weights in the mean, at most `largest_change`.
    """

    bits: int
    refusals: int
    body_bits: int
    detections: int
    mean_change: float
    largest_change: float


def flip_file(content: bytes, compressed: CompressedModel, seed: int = 0) -> FileFlips:
    """Flips single bits of a packed file, one at a time, and returns what its reader does with each.

    `content` is the packed file of `compressed`. FILE_BITS bits of the file are drawn, and BODY_BITS of its content.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    numbers = generator.choice(8 * len(content), FILE_BITS, replace=False).tolist()
    refusals = sum(_is_refused(_flip(content, number)) for number in numbers)
    body = content[8 + int.from_bytes(content[:8], "little") + 2 * DIGEST_BYTES :]
    places = generator.choice(8 * len(body), BODY_BITS, replace=False).tolist()
    shares = [_changed_share(_flip(body, place), compressed) for place in places]
    decoded = [share for share in shares if share is not None]
    return FileFlips(
        FILE_BITS,
        refusals,
        BODY_BITS,
        len(shares) - len(decoded),
        math.fsum(decoded) / len(decoded) if decoded else 0.0,
        max(decoded, default=0.0),
    )


def _flip(content: bytes, number: int) -> bytes:
    """Returns `content` with one bit flipped, counted from the lowest bit of the first byte."""
    damaged = bytearray(content)
    damaged[number // 8] ^= 1 << (number % 8)
    return bytes(damaged)


def _is_refused(content: bytes) -> bool:
    try:
        read_packed(content, "the file")
    except CodecError:
        return True
    return False


def _changed_share(body: bytes, compressed: CompressedModel) -> float | None:
    """Returns the share of weights that `body`, what follows the digests, decodes to otherwise; None if to nothing."""
    try:
        module = decode_body(body)
    except CodecError:
        return None
    weights = weighted_layers(module, compressed.spec.also)
    changed = sum(
        int((weights[record.name].detach() != record.weight).sum())
        for record in compressed.layers
        if record.name in weights
    )
    return changed / compressed.weights
