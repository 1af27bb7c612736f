"""docs/files.md is enough to read a packed file: the reader here follows it in NumPy alone, without ours."""

import hashlib
import json
import math
import struct
from bisect import bisect_right
from functools import reduce
from itertools import accumulate, cycle, pairwise, product
from operator import add
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from compression.core.compress import compress
from compression.files.packed_file import to_bytes
from compression.networks.architectures.table import ARCHITECTURES
from compression.networks.model import FloatModel, freeze_
from compression.networks.normalization import NORMALIZATIONS
from compression.paths import PROJECT
from compression.spec import CompressionSpec, Granularity, PruneSpec, QuantSpec, Scheme, Structure

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


def symbols(model: bytes, codes: bytes, count: int, alphabet: int) -> Array:
    length, exponent = model[0], leb128(model[1:])
    frequencies = np.array([each for each in exponent[:-1] for _ in range(length)][:alphabet] + exponent[-1:])
    shares = frequencies / frequencies.sum()
    scale, total, starts = (2**24 - len(shares)) / reduce(add, shares.tolist()), 0.0, []
    for place, share in enumerate(shares.tolist()):
        starts.append(int(total * scale) + place)
        total += share
    starts.append(2**24)
    words, state, decoded_symbols = list(struct.unpack(f"<{len(codes) // 4}I", codes)), 0, []
    for place in range(count + 1):
        while state < 2**32 and words:
            state = state << 32 | words.pop()
        if place < count:
            rest = state % 2**24
            symbol = bisect_right(starts, rest) - 1
            state = (state >> 24) * (starts[symbol + 1] - starts[symbol]) + rest - starts[symbol]
            decoded_symbols.append(symbol)
    assert state == 0
    assert not words
    return np.array(decoded_symbols)


def decode(entry: dict[str, Any], parts: list[bytes], count: int) -> tuple[Array, Array]:
    """Returns the codes of `count` weights, and which of these weights are nonzero."""
    _, _, model, positions, codes = parts
    width = (entry["alphabet"] - 1).bit_length()
    nonzero = np.ones(count, bool)
    if entry["coding"] == "entropy":
        numbers = symbols(model, codes, count, entry["alphabet"])
        return numbers, numbers < entry["alphabet"]
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
    if entry.get("structure") == "filter":
        have[bits(places, 1, shape[0]) == 0] = False
    if entry.get("structure") == "n:m":
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


def values(entry: dict[str, Any], numbers: bytes, codes: Array) -> Array:
    """Returns the float32 weights that `codes` (C_out, ...) stand for, also where a weight is zero in fact."""
    shape, alphabet = codes.shape, entry["alphabet"]
    rows = codes.reshape(shape[0] if len(shape) > 1 else 1, -1)
    length = rows.shape[1]
    if size := entry.get("group_size"):
        rows = np.pad(rows, ((0, 0), (0, -length % size))).reshape(-1, size)
    if entry["kind"] == "even":
        kind = np.dtype(entry.get("zero_point", "V0"))
        groups = len(numbers) // (4 + kind.itemsize)
        scale = np.frombuffer(numbers[: 4 * groups], "<f4")[:, None]
        zero = np.frombuffer(numbers[4 * groups :], kind)[:, None] if kind.itemsize else np.int32(0)
        steps = (rows + entry["low"]).astype(np.int32) - zero.astype(np.float32 if kind.kind == "f" else np.int32)
        weights = steps.astype(np.float32) * scale
    else:
        table = np.frombuffer(numbers, "<f4").reshape(-1, alphabet if entry["kind"] == "codebook" else 1)
        if entry["kind"] == "powers":
            steps = table * np.float32(2.0) ** -np.arange(alphabet // 2, dtype=np.float32)
            steps = np.where(steps < TINY, np.float32(0), steps)
            table = np.concatenate([-steps, np.zeros((len(table), alphabet % 2)), steps[:, ::-1]], 1).astype(np.float32)
        weights = np.take_along_axis(np.broadcast_to(table, (len(rows), alphabet)), rows, 1)
    return weights.reshape(shape[0] if len(shape) > 1 else 1, -1)[:, :length].reshape(shape)


def weight(entry: dict[str, Any], content: bytes) -> Array:
    ends = [0, *accumulate(entry["lengths"]), len(content)]
    parts = [content[start:end] for start, end in pairwise(ends)]
    have = have_codes(entry, parts[1])
    codes, nonzero = np.zeros(entry["shape"], np.int64), np.zeros(entry["shape"], bool)
    codes[have], nonzero[have] = decode(entry, parts, int(have.sum()))
    if entry["kind"] == "float":
        weights = np.zeros(entry["shape"], np.float32)
        weights[nonzero] = np.frombuffer(parts[0], "<f4")
        return weights
    return np.where(nonzero, values(entry, parts[0], np.minimum(codes, entry["alphabet"] - 1)), np.float32(0))


def header(file: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the container's header with its length, and the JSON that says how to decode."""
    [length] = struct.unpack("<Q", file[:8])
    container = json.loads(file[8 : 8 + length])
    return {**container, "length": length}, json.loads(container["__metadata__"]["squeezelab"])


def read_file(file: bytes) -> dict[str, Array]:
    """Returns the tensors of a packed file by name."""
    container, about = header(file)
    content, metadata = file[8 + container.pop("length") :], container.pop("__metadata__")
    parts = {name: content[slice(*each["data_offsets"])] for name, each in container.items()}
    digest = hashlib.sha256(metadata["squeezelab"].encode())
    for name, each in sorted(container.items()):
        dtype = {"U8": "torch.uint8", "F32": "torch.float32"}[each["dtype"]]
        shape = ", ".join(map(str, each["shape"])) + "," * (len(each["shape"]) == 1)
        digest.update(f"('{name}', {dtype}, ({shape}))".encode() + parts[name])
    assert digest.hexdigest() == metadata["sha256"]
    assert about["format"] == 1
    return {
        name: weight(about["layers"][name], parts[name])
        if name in about["layers"]
        else np.frombuffer(parts[name], "<f4").reshape(each["shape"])
        for name, each in container.items()
    }


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


def compress_and_read(net: FloatModel, prune: PruneSpec | None, quant: QuantSpec | None) -> list[dict[str, Any]]:
    """Compresses, writes and reads `net`; returns the header's entries of its weights."""
    compressed = compress(net.module, CompressionSpec(net.name, prune, quant))
    file = to_bytes(compressed, net)
    expected, ours = tensors(compressed.module), read_file(file)
    assert ours.keys() == expected.keys()
    for name, tensor in expected.items():
        np.testing.assert_array_equal(ours[name], tensor, err_msg=f"{quant} {name}")
    return list(header(file)[1]["layers"].values())


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
    structures = {entry.get("structure", Structure.WEIGHT) for entry in entries}
    assert prune.structure in structures


def test_every_coding_occurs_and_is_read(net: FloatModel) -> None:
    """Few nonzero weights bring gaps; of many possible codes, the frequencies take more than they save."""
    codings = set()
    for sparsity, width in ((0.5, 4), (0.5, 16), (0.9, 12), (0.98, 16)):
        codings |= {entry["coding"] for entry in compress_and_read(net, PruneSpec(sparsity=sparsity), QuantSpec(width))}
    codings |= {entry["coding"] for entry in compress_and_read(net, None, QuantSpec(16))}
    assert codings == {"dense", "bitmap", "gaps", "entropy"}


def test_the_document_names_everything_that_the_header_of_a_weight_can_hold() -> None:
    document = (PROJECT / "docs" / "files.md").read_text(encoding="utf-8")
    for entry in ("shape", "kind", "coding", "alphabet", "lengths", "structure", "pattern", "transposed", "low"):
        assert f"`{entry}`" in document or f'"{entry}"' in document
    for entry in ("group_size", "zero_point", *("even", "codebook", "powers", "float"), *("dense", "bitmap", "gaps")):
        assert f"`{entry}`" in document
