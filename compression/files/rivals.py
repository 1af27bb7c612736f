"""What other compressors make of the same network: gzip, zstd, xz, brotli, and the coding of Deep Compression.

Each compressor gets the same content as the packed file, plain: the JSON text of the settings; for each packed weight
its symbols, which are the codes, and one more symbol for a zero weight where no code stands for zero; then the numbers
of all quantizers, and all other tensors as float32. It gets them twice, with whole bytes for each symbol and with the
symbols packed without gaps, and the shorter result counts.

Deep Compression (Han et al. 2015, arXiv:1510.00149, sections 2 and 4) stores the nonzero weights of a pruned layer and
the zeros before each of them. A run of 2^g - 1 zeros and more is interrupted by a zero weight; here every layer takes
the g that makes it shortest. Both are Huffman coded; a table of code lengths takes a byte for each number that may
occur. Settings, numbers of quantizers and other tensors take what they take in the packed file, which favours it.
"""

import heapq
import lzma
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pyarrow as pa

from compression.files.coding.bits import Array, pack, whole_bytes, width
from compression.files.packed_file import FileParts, deflate, settings_text, tensors_of, weight_key
from compression.files.packed_quantizer import flat
from compression.files.packed_weight import Codes, codes_of
from compression.networks.model import FloatModel

GAP_BITS = range(1, 9)

Compressor = Callable[[bytes], bytes]


def _codec(name: str, level: int) -> Compressor:
    return lambda content: pa.Codec(name, compression_level=level).compress(content, asbytes=True)


COMPRESSORS: dict[str, Compressor] = {
    "gzip -9": _codec("gzip", 9),
    "zstd -19": _codec("zstd", 19),
    "xz -9e": lambda content: lzma.compress(content, preset=9 | lzma.PRESET_EXTREME),
    "brotli -q 11": _codec("brotli", 11),
}

DEEP_COMPRESSION = "Deep Compression"


def count_rivals(parts: FileParts, model: FloatModel) -> Iterator[tuple[str, int]]:
    """Yields the name and the bytes of each rival of the packed file whose parts are `parts`, one after another.

    `model` is the float network that was compressed. xz and brotli take seconds for large networks.
    """
    weights = {weight_key(record): codes_of(record) for record, packed in parts.layers if packed}
    settings = settings_text(parts, model).encode()
    contents = [settings + _plain(parts, weights, whole) for whole in (True, False)]
    for name, compress in COMPRESSORS.items():
        yield name, min(len(compress(content)) for content in contents)
    floats = sum(len(content) for content, _ in parts.floats.values())
    floats += sum(packed.zero_point_bytes for _, packed in parts.layers if packed)
    yield DEEP_COMPRESSION, len(deflate(settings)) + floats + sum(map(_deep_compression, weights.values()))


def _plain(parts: FileParts, weights: Mapping[str, Codes], by_bytes: bool) -> bytes:
    """Returns all numbers, with whole bytes for each symbol or with the symbols packed without gaps."""
    symbols = [_packed_symbols(each, by_bytes) for each in weights.values()]
    numbers = [each.numbers.floats.tobytes() + _zero_points(each) for each in weights.values()]
    others = [flat(tensor).tobytes() for key, tensor in tensors_of(parts.compressed.module) if key not in weights]
    return b"".join([*symbols, *numbers, *others])


def _symbols(weight: Codes) -> tuple[Array, int]:
    """Returns the symbols (n,), and how many there may be: one more than codes if a zero weight has no code."""
    zeros_have_codes = bool(weight.exact.all())
    codes = weight.codes if zeros_have_codes else np.where(weight.nonzero, weight.codes, weight.alphabet)
    return codes.ravel(), weight.alphabet + (not zeros_have_codes)


def _packed_symbols(weight: Codes, by_bytes: bool) -> bytes:
    symbols, count = _symbols(weight)
    bits = width(count)
    return pack(symbols, _to_whole_bytes(bits) if by_bytes else bits)


def _zero_points(weight: Codes) -> bytes:
    return pack(np.array(weight.numbers.wholes, np.int64), _to_whole_bytes(width(weight.alphabet)))


def _to_whole_bytes(bits: int) -> int:
    """Returns the bits of the whole bytes that `bits` bits take."""
    return 8 * whole_bytes(bits)


def _deep_compression(weight: Codes) -> int:
    """Returns the bytes of the Huffman codes and their tables."""
    symbols, count = _symbols(weight)
    nonzero = weight.nonzero.ravel()
    dense = _huffman_bytes(symbols, count)
    if nonzero.all() or not nonzero.any():
        return dense
    gaps = np.diff(np.flatnonzero(nonzero), prepend=-1) - 1
    return min(dense, *(_sparse_bytes(symbols[nonzero], gaps, count, bits) for bits in GAP_BITS))


def _sparse_bytes(symbols: Array, gaps: Array, count: int, bits: int) -> int:
    """Returns the bytes of nonzero weights and the zeros before them, with `bits` bits for a number of zeros."""
    longest = 2**bits - 1
    fillers = int((gaps // (longest + 1)).sum())
    runs = np.concatenate([gaps % (longest + 1), np.full(fillers, longest)])
    values = np.concatenate([symbols, np.full(fillers, count)])
    return _huffman_bytes(values, count + 1) + _huffman_bytes(runs, longest + 1)


def _huffman_bytes(symbols: Array, count: int) -> int:
    """Returns the bytes of a Huffman code for the symbols (n,) in 0..count-1, and of a table of code lengths.

    The bits are the sum of all inner nodes of the tree (Huffman 1952); a single symbol takes none.
    """
    nodes = [int(number) for number in np.bincount(symbols, minlength=count) if number]
    heapq.heapify(nodes)
    bits = 0
    while len(nodes) > 1:
        merged = heapq.heappop(nodes) + heapq.heappop(nodes)
        bits += merged
        heapq.heappush(nodes, merged)
    return -(-bits // 8) + count
