"""docs/files.md is enough to read a packed file: the reader here follows it in NumPy alone, without ours."""

import hashlib
import json
import math
import struct
import zlib
from bisect import bisect_right
from copy import deepcopy
from functools import reduce
from itertools import cycle, pairwise, product
from operator import add
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from compression.core.compress import compress
from compression.files.coding.codings import Coding
from compression.files.packed_file import to_bytes
from compression.files.packed_quantizer import QuantizerKind
from compression.networks.architectures.table import ARCHITECTURES
from compression.networks.model import FloatModel, freeze_
from compression.networks.normalization import NORMALIZATIONS
from compression.paths import PROJECT
from compression.spec import CompressionSpec, Granularity, PruneSpec, QuantSpec, Scheme, Structure, VectorFormat

Array = npt.NDArray[Any]
TINY = np.finfo(np.float32).tiny


def bits(data: bytes, width: int, count: int) -> Array:
    """Returns the first `count` numbers of `width` bits each."""
    flat = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[: count * width].reshape(count, width)
    return flat.astype(np.int64) @ (1 << np.arange(width, dtype=np.int64))


def leb128(data: bytes) -> list[int]:
    """Returns whole numbers; in `data`, a 0 is followed by how many more zeros come after it."""
    numbers, number, shift = [], 0, 0
    for byte in data:
        number, shift = number | (byte & 127) << shift, shift + 7
        if byte < 128:
            numbers.append(number)
            number = shift = 0
    values: list[int] = []
    while numbers:
        value = numbers.pop(0)
        values += [0] * (1 + numbers.pop(0)) if value == 0 else [value]
    return values


class Bytes:
    """Reads from the front."""

    def __init__(self, content: bytes) -> None:
        self.content, self.place = content, 0

    def take(self, length: int) -> bytes:
        assert length <= len(self.content) - self.place
        self.place += length
        return self.content[self.place - length : self.place]

    def number(self) -> int:
        number = shift = 0
        while (byte := self.take(1)[0]) >= 128:
            number, shift = number | (byte & 127) << shift, shift + 7
        return number | byte << shift

    def block(self) -> bytes:
        return self.take(self.number())

    def rest(self) -> bytes:
        return self.take(len(self.content) - self.place)


class Words:
    """The decoder of asymmetric numeral systems."""

    def __init__(self, content: bytes) -> None:
        self.words, self.state = list(struct.unpack(f"<{len(content) // 4}I", content)), 0
        self.fill()

    def fill(self) -> None:
        while self.state < 2**32 and self.words:
            self.state = self.state << 32 | self.words.pop()

    def symbols(self, weights: list[float], count: int) -> list[int]:
        scale, total, starts = (2**24 - len(weights)) / reduce(add, weights), 0.0, []
        for place, share in enumerate(weights):
            starts.append(int(total * scale) + place)
            total += share
        starts.append(2**24)
        decoded = []
        for _ in range(count):
            rest = self.state % 2**24
            symbol = bisect_right(starts, rest) - 1
            self.state = (self.state >> 24) * (starts[symbol + 1] - starts[symbol]) + rest - starts[symbol]
            decoded.append(symbol)
            self.fill()
        return decoded

    def end(self) -> None:
        assert self.state == 0
        assert not self.words


def frequencies_of(model: bytes, alphabet: int) -> Array:
    length, numbers = model[0], leb128(model[1:])
    return np.array([each for each in numbers[:-1] for _ in range(length)][:alphabet] + numbers[-1:])


def symbols(model: bytes, codes: bytes, count: int, alphabet: int) -> Array:
    frequencies, words = frequencies_of(model, alphabet), Words(codes)
    decoded = words.symbols((frequencies / frequencies.sum()).tolist(), count)
    words.end()
    return np.array(decoded, np.int64)


def symbols_in_contexts(model: bytes, codes: bytes, shape: tuple[int, ...], alphabet: int) -> Array:
    reader, words = Bytes(model), Words(codes)
    zero, f = reader.number(), frequencies_of(reader.rest(), alphabet)
    value = np.append(np.arange(alphabet) - zero, 0)
    largest = int(np.abs(value).max())
    d = math.ceil(largest / 7)
    most = math.ceil(largest / d)
    class_of = np.array([most + int(np.sign(v)) * math.ceil(abs(v) / d) for v in value[:-1].tolist()] + [2 * most + 1])
    opposite = np.array([2 * most - j for j in range(2 * most + 1)] + [2 * most + 1])
    of_class = np.array([f[class_of == j].sum() for j in range(2 * most + 2)])
    shares = (of_class + of_class[opposite]) / 2
    m = (f * np.abs(value)).sum() / f.sum()
    k = math.prod(shape[2:])
    steps = k if k > 1 else 16
    decoded = np.zeros((shape[0], shape[1], k), np.int64)
    known = np.zeros(decoded.shape, bool)
    occurred = np.zeros((24 * (most + 1), len(of_class)))
    o, i, place = np.indices(decoded.shape)
    passes = 2 * ((o + i + place) % steps) + (o + i) // steps % 2
    for number in range(2 * steps):
        v = np.where(known, value[decoded], 0)

        filters, channels, kernel_places = (
            (np.abs(v).sum(axes, keepdims=True) / m + 4) / (known.sum(axes, keepdims=True) + 4)
            for axes in ((1, 2), (0, 2), (0, 1))
        )
        e = filters * channels * kernel_places
        n = known.sum(2, keepdims=True)
        b = (2 * np.abs(v).sum(2, keepdims=True) / m + e) / (2 * n + 1)
        t = v.sum(2, keepdims=True) / (m * (n + 1) * e)
        x = ((e * b)[..., None] >= 2.0 ** np.arange(-3, 4)).sum(-1)
        y = (np.abs(t)[..., None] >= np.array([0.4, 1.0])).sum(-1)
        magnitudes = np.where(v != 0, -(-np.abs(v) // d), most + 1)
        context = (3 * x + y) * (most + 1) + magnitudes.min((1, 2), keepdims=True) - 1
        ours, mirrored = passes == number, (y > 0) & (t < 0)
        classes = np.zeros(decoded.shape, np.int64)
        for each in range(len(occurred)):
            where = ours & (context == each)
            alike = occurred[each // (most + 1) * (most + 1) :][: most + 1].sum(0)
            u = alike * shares.sum() + 80 * shares
            weights = occurred[each] * u.sum() + 80 * u
            classes[where] = words.symbols(weights.tolist(), int(where.sum()))
        np.add.at(occurred, (context[ours], classes[ours]), 1)
        classes = np.where(mirrored, opposite[classes], classes)
        for each in range(2 * most + 2):
            where, members = ours & (classes == each), np.flatnonzero(class_of == each)
            if where.any():
                chosen = words.symbols(f[members].tolist(), int(where.sum())) if len(members) > 1 else 0
                decoded[where] = members[chosen]
        known |= ours
    words.end()
    return decoded.ravel()


def floats(content: bytes, count: int) -> Array:
    """Returns the float32 numbers of a block."""
    if not content:
        return np.zeros(0, np.float32)
    reader = Bytes(content)
    [size] = reader.take(1)
    upper = symbols(reader.block(), reader.block(), count, 512)
    occurring = sorted(set(upper.tolist()))
    with_mantissa = dict(zip(occurring, bits(reader.take(-(-len(occurring) // 8)), 1, len(occurring)), strict=True))
    stored = np.array([bool(with_mantissa[each]) for each in upper.tolist()])
    mantissas = np.zeros(count, np.int64)
    mantissas[stored] = bits(reader.rest(), size, int(stored.sum())) << (23 - size)
    return (upper << 23 | mantissas).astype("<u4").view("<f4")


def vectors(content: bytes, counts: list[int]) -> Array:
    """Returns the numbers of a block of 8-bit codes with a scale per tensor."""
    if not content:
        return np.zeros(0, np.float32)
    reader = Bytes(content)
    scales = floats(reader.block(), len(counts))
    codes = symbols(reader.block(), reader.block(), sum(counts), 255) - 127
    assert not reader.rest()
    return codes.astype(np.float32) * np.repeat(scales, counts)


def decode(entry: dict[str, Any], parts: list[bytes], shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Returns the codes of the weights that have one, whose shape is `shape`, and which of them are nonzero."""
    _, _, model, positions, codes = parts
    count, width = math.prod(shape), (entry["alphabet"] - 1).bit_length()
    nonzero = np.ones(count, bool)
    if entry["coding"] in ("entropy", "contexts"):
        alphabet = entry["alphabet"]
        in_contexts = entry["coding"] == "contexts"
        read = symbols_in_contexts if in_contexts else symbols
        numbers = read(model, codes, shape if in_contexts else count, alphabet)
        return numbers, numbers < alphabet
    if entry["coding"] == "bitmap":
        nonzero = bits(positions, 1, count) == 1
    if entry["coding"] == "gaps":
        size, numbers = struct.unpack("<BI", model)
        nonzero, place = np.zeros(count, bool), -1
        for gap in bits(positions, size, numbers):
            place += gap + (gap < 2**size - 1)
            nonzero[place] |= gap < 2**size - 1
    values = np.zeros(count, np.int64)
    values[nonzero] = bits(codes, width, int(nonzero.sum()))
    return values, nonzero


def have_codes(entry: dict[str, Any], places: bytes) -> Array:
    """Returns which weights have a code, as booleans of the shape of the weight."""
    shape = entry["shape"]
    have = np.ones(shape, bool)
    if entry["structure"] == "filter":
        have[bits(places, 1, shape[0]) == 0] = False
    if entry["structure"] == "n:m":
        n, m = entry["pattern"]
        whole = shape[1] // m * m
        groups = have[:, :whole].reshape(shape[0], whole // m, m, *shape[2:])
        order = np.moveaxis(groups, 2, -1).reshape(-1, m).copy()
        choices = {
            sum(math.comb(place, i + 1) for i, place in enumerate(choice)): choice
            for choice in product(range(m), repeat=n)
            if all(one < other for one, other in pairwise(choice))
        }
        for row, number in zip(order, bits(places, (math.comb(m, n) - 1).bit_length(), len(order)), strict=True):
            row[:] = [place in choices[int(number)] for place in range(m)]
        order_by_group = np.moveaxis(order.reshape(shape[0], whole // m, *shape[2:], m), -1, 2)
        have[:, :whole] = order_by_group.reshape(shape[0], whole, *shape[2:])
    return have


def values(entry: dict[str, Any], numbers: Array, wholes: Array, codes: Array) -> Array:
    """Returns the float32 weights that `codes` (C_out, ...) stand for, also where a weight is zero in fact."""
    shape, alphabet = codes.shape, entry["alphabet"]
    rows = codes.reshape(shape[0] if len(shape) > 1 else 1, -1)
    length = rows.shape[1]
    if size := entry["group_size"]:
        rows = np.pad(rows, ((0, 0), (0, -length % size))).reshape(-1, size)
    if entry["kind"] == "even":
        groups = len(numbers) // (2 if entry["zeros"] == 2 else 1)
        scale, zero = numbers[:groups, None], np.int32(0)
        if entry["zeros"]:
            zero = (wholes + entry["low"]).astype(np.int32)[:, None] if entry["zeros"] == 1 else numbers[groups:, None]
        weights = ((rows + entry["low"]).astype(np.int32) - zero).astype(np.float32) * scale
    else:
        table = numbers.reshape(-1, alphabet if entry["kind"] == "codebook" else 1)
        if entry["kind"] == "powers":
            steps = table * np.float32(2.0) ** -np.arange(alphabet // 2, dtype=np.float32)
            steps = np.where(steps < TINY, np.float32(0), steps)
            table = np.concatenate([-steps, np.zeros((len(table), alphabet % 2)), steps[:, ::-1]], 1).astype(np.float32)
        weights = np.take_along_axis(np.broadcast_to(table, (len(rows), alphabet)), rows, 1)
    return weights.reshape(shape[0] if len(shape) > 1 else 1, -1)[:, :length].reshape(shape)


def weight(entry: dict[str, Any], parts: list[bytes], numbers: Array) -> Array:
    have = have_codes(entry, parts[1])
    codes, nonzero = np.zeros(entry["shape"], np.int64), np.zeros(entry["shape"], bool)
    rows = int(have.reshape(len(have), -1).any(1).sum()), *have.shape[1:]
    shape = (int(have.sum()),) if entry["structure"] == "n:m" else rows
    codes[have], nonzero[have] = decode(entry, parts, shape)
    if entry["kind"] == "float":
        weights = np.zeros(entry["shape"], np.float32)
        weights[nonzero] = numbers
        return weights
    wholes = bits(parts[0], (entry["alphabet"] - 1).bit_length(), len(numbers) if entry["zeros"] == 1 else 0)
    return np.where(nonzero, values(entry, numbers, wholes, np.minimum(codes, entry["alphabet"] - 1)), np.float32(0))


def entry_of(directory: Bytes, shape: list[int]) -> dict[str, Any] | None:
    if not directory.number():
        return None
    kind, coding, structure = (directory.number() for _ in range(3))
    pattern = [directory.number(), directory.number()] if structure == 1 else None
    transposed, alphabet, zeros, low, group_size, divisor, count = (directory.number() for _ in range(7))
    assert not transposed
    return {
        "shape": shape,
        "kind": ("even", "codebook", "powers", "float")[kind],
        "coding": ("dense", "bitmap", "gaps", "entropy", "contexts")[coding],
        "structure": ("weight", "n:m", "filter")[structure],
        "pattern": pattern,
        "alphabet": alphabet,
        "zeros": zeros,
        "low": (low + 1) // 2 if low % 2 else -low // 2,
        "group_size": group_size,
        "divisor": divisor,
        "count": count,
        "lengths": [directory.number() for _ in range(5)],
    }


def read_file(file: bytes) -> tuple[dict[str, Array], list[dict[str, Any]]]:
    """Returns the tensors of a packed file by name, and the entries of its packed weights."""
    [length] = struct.unpack("<Q", file[:8])
    header = json.loads(file[8 : 8 + length])
    number = header["__metadata__"].pop("squeezelab")
    assert not header["__metadata__"]
    content = file[8 + length :][slice(*header["network"]["data_offsets"])]
    assert hashlib.sha256(content[16:]).digest()[:16] == content[:16]
    reader = Bytes(content[32:])
    settings = json.loads(zlib.decompress(reader.block(), -15))
    assert number == ("4" if settings["spec"].get("vector_format") == "int8" else "3")
    shapes = {f"{owner}.{name}": shape for owner, each in settings["tensors"].items() for name, shape in each.items()}
    directory = Bytes(zlib.decompress(reader.block(), -15))
    entries = {name: entry_of(directory, shape) for name, shape in shapes.items() if len(shape) > 1}
    parts = {name: [reader.take(size) for size in entry["lengths"]] for name, entry in entries.items() if entry}
    kinds: dict[str, list[tuple[str, int]]] = {}
    for name, shape in shapes.items():
        entry = entries.get(name)
        kind = f"quantizer {entry['kind']}" if entry else "weights" if len(shape) > 1 else name.rpartition(".")[2]
        kinds.setdefault(kind, []).append((name, entry["count"] if entry else math.prod(shape)))
    numbers: dict[str, Array] = {}
    for kind in sorted(kinds):
        counts = [count for _, count in kinds[kind]]
        is_in_codes = number == "4" and not kind.startswith("quantizer") and kind != "weights"
        joined = vectors(reader.block(), counts) if is_in_codes else floats(reader.block(), sum(counts))
        for name, count in kinds[kind]:
            numbers[name], joined = joined[:count], joined[count:]
    tensors = {
        name: weight(entry, parts[name], numbers[name] / np.float32(entry["divisor"]))
        if (entry := entries.get(name))
        else numbers[name].reshape(shape)
        for name, shape in shapes.items()
    }
    assert fingerprint_of(tensors)[:16] == content[16:32]
    return tensors, [entry for entry in entries.values() if entry]


def fingerprint_of(tensors: dict[str, Array]) -> bytes:
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        shape = ", ".join(map(str, tensor.shape)) + "," * (tensor.ndim == 1)
        digest.update(f"('{name}', torch.float32, ({shape}))".encode() + (tensor + np.float32(0)).tobytes())
    return digest.digest()


def tensors(module: nn.Module) -> dict[str, Array]:
    state = {name: tensor.numpy() for name, tensor in module.state_dict().items()}
    return {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}


@pytest.fixture(scope="module")
def net() -> FloatModel:
    """An untrained ResNet-8, the smallest network with a name that a file can hold."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = freeze_(ARCHITECTURES["resnet8"].make())
    return FloatModel("resnet8", module, NORMALIZATIONS["cifar10"], about={"arch": "resnet8"})


def compress_and_read(net: FloatModel, prune: PruneSpec | None, quant: QuantSpec | None, **how) -> list[dict[str, Any]]:
    """Compresses, writes and reads `net`; returns the entries of its packed weights."""
    compressed = compress(net.module, CompressionSpec(net.name, prune, quant, **how))
    file = to_bytes(compressed, net)
    expected, (ours, entries) = tensors(compressed.module), read_file(file)
    assert ours.keys() == expected.keys()
    for name, tensor in expected.items():
        np.testing.assert_array_equal(ours[name], tensor, err_msg=f"{quant} {name}")
    return entries


GRANULARITIES = (Granularity.CHANNEL, Granularity.TENSOR, Granularity.GROUP)
QUANTIZED = [
    QuantSpec(scheme.nearest_bits(width), scheme, granularity, step=0.01 if scheme is Scheme.STEP else None)
    for scheme, width, granularity in zip(Scheme, cycle((3, 8, 4, 2)), cycle(GRANULARITIES), strict=False)
]
COARSE = QuantSpec(4, Scheme.AFFINE, Granularity.GROUP)
PRUNED = [
    (PruneSpec(sparsity=0.9), Scheme.AFFINE),
    (PruneSpec(sparsity=0.4, structure=Structure.FILTER), Scheme.SYMMETRIC),
    (PruneSpec(structure=Structure.N_M), Scheme.TERNARY),
    (PruneSpec(structure=Structure.N_M, pattern=(3, 8)), Scheme.K_MEANS),
]


def test_a_reader_written_from_the_document_reads_every_scheme(net: FloatModel) -> None:
    entries = [entry for quant in (*QUANTIZED, COARSE) for entry in compress_and_read(net, None, quant)]
    assert {entry["kind"] for entry in entries} == {"even", "codebook", "powers"}


@pytest.mark.parametrize(("prune", "scheme"), PRUNED, ids=["weights", "filters", "2:4", "3:8"])
def test_it_reads_every_structure(net: FloatModel, prune: PruneSpec, scheme: Scheme) -> None:
    quant = QuantSpec(scheme.nearest_bits(4), scheme)
    entries = compress_and_read(net, prune, quant) + compress_and_read(net, prune, None)
    assert "float" in {entry["kind"] for entry in entries}
    structures = {entry["structure"] for entry in entries}
    assert prune.structure in structures


@pytest.mark.parametrize("form", [*VectorFormat])
def test_it_reads_every_format_of_vectors(net: FloatModel, form: VectorFormat) -> None:
    assert compress_and_read(net, None, QuantSpec(4), vector_format=form)
    assert compress_and_read(net, None, QuantSpec(4), vector_format=form, fold_bn=True)


def test_it_reads_scales_that_are_quotients(net: FloatModel) -> None:
    """Weights that were float16 have scales that are their largest, divided by the number of steps."""
    half = FloatModel(net.name, freeze_(deepcopy(net.module).half().float()), net.normalization, about=net.about)
    entries = compress_and_read(half, None, QuantSpec(4)) + compress_and_read(half, None, QuantSpec(8, Scheme.AFFINE))
    assert {entry["divisor"] for entry in entries} >= {14, 255}


def test_every_coding_occurs_and_is_read(net: FloatModel) -> None:
    """Few nonzero weights bring gaps; of many possible codes, the frequencies take more than they save."""
    codings = set()
    for sparsity, width in ((0.5, 4), (0.5, 16), (0.9, 12), (0.98, 16)):
        codings |= {entry["coding"] for entry in compress_and_read(net, PruneSpec(sparsity=sparsity), QuantSpec(width))}
    codings |= {entry["coding"] for entry in compress_and_read(net, None, QuantSpec(16))}
    assert codings == {"dense", "bitmap", "gaps", "entropy", "contexts"}


def test_the_document_names_everything_that_settings_hold() -> None:
    document = (PROJECT / "docs" / "files.md").read_text(encoding="utf-8")
    for name in ("arch", "normalization", "classes", "tensors", "spec", "inputs"):
        assert f"| `{name}` |" in document
    for name in (*QuantizerKind, *Coding, *VectorFormat):
        assert f"`{name}`" in document
