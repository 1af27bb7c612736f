"""The bytes of a compressed network, and the files that hold it."""

from os import PathLike
from pathlib import Path

import torch

from compression.core.network import CompressedNetwork, Network, module_of, normalization_of, source_of
from compression.core.record import CompressedModel
from compression.files import ledger as ledgers
from compression.files import packed_file, packed_reader
from compression.files.ledger import FileLedger
from compression.files.size import Size, count_bytes
from compression.networks.model import FloatModel, with_contiguous_weights
from compression.networks.normalization import Normalization
from compression.paths import write_whole


def size(compressed: CompressedModel) -> Size:
    """Returns the in-memory size of a compressed network: bytes of codes, scales, masks and the float32 rest.

    `dense` stores a code for every weight, `sparse` a mask and the codes of the nonzero weights, and `best` is the
    smaller of the two. `float32` is the uncompressed network.

    >>> import compression as sq
    >>> net = sq.load("simple_cnn")
    >>> count = sq.size(sq.compress(net, sq.CompressionSpec(weights=sq.QuantSpec(4))))
    >>> count.float32, count.best.total, count.best_name
    (1074600, 133270, 'sparse')
    """
    return count_bytes(compressed)


def ledger(compressed: CompressedNetwork) -> FileLedger:
    """Returns where each byte of the file goes that `save` writes. The `steps` lead from float32 to the file.

    Raises ValueError for a network whose architecture the file cannot name, as `save` does.

    >>> import compression as sq
    >>> net = sq.load("simple_cnn")
    >>> file = sq.ledger(sq.compress(net, sq.CompressionSpec(weights=sq.QuantSpec(4))))
    >>> list(file.steps)[:4], sum(file.steps.values()) == file.total
    (['float32', 'fewer bits', 'pruned', 'entropy coding'], True)
    """
    return ledgers.encode_file(compressed, source_of(compressed))[1]


def save(compressed: CompressedNetwork, path: str | PathLike[str]) -> int:
    """Writes the packed file of a compressed network, reads it again and compares it; returns its size in bytes.

    Raises ValueError for a network whose architecture the file cannot name, OSError where it cannot be written,
    CheckpointError where the file on the disk does not decode to `compressed`.

    >>> import os, tempfile
    >>> import compression as sq
    >>> small = sq.compress(sq.load("simple_cnn"), sq.CompressionSpec(weights=sq.QuantSpec(4)))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sq.save(small, f"{folder}/small.safetensors") == os.path.getsize(f"{folder}/small.safetensors")
    True
    """
    content = packed_file.to_bytes(compressed, source_of(compressed))
    write_whole(Path(path), content)
    packed_reader.verify_file(Path(path), compressed)
    return len(content)


def load_compressed(path: str | PathLike[str]) -> FloatModel:
    """Returns the network in a file of `save`, bit for bit as it was evaluated.

    Raises CheckpointError where the file is missing, damaged or something else.

    >>> import tempfile, torch
    >>> import compression as sq
    >>> small = sq.compress(sq.load("simple_cnn"), sq.CompressionSpec(weights=sq.QuantSpec(4)))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = sq.save(small, f"{folder}/small.safetensors")
    ...     again = sq.load_compressed(f"{folder}/small.safetensors")
    >>> pixels = torch.randn(5, 3, 32, 32)
    >>> torch.equal(again.module(pixels), small.module(pixels))
    True
    """
    return with_contiguous_weights(packed_reader.load_compressed(Path(path)))


def to_onnx(network: Network, normalization: Normalization | None = None) -> bytes:
    """Returns an ONNX file that computes what `network` computes, in float32, with the normalization in the graph.

    Its input "pixels" is (N, 3, 32, 32) uint8, its output "logits" (N, classes) float32. It takes some seconds. A plain
    nn.Module needs the `normalization` of its inputs; other networks know theirs.

    >>> import onnxruntime, torch
    >>> import compression as sq
    >>> small = sq.compress(sq.load("simple_cnn"), sq.CompressionSpec(weights=sq.QuantSpec(4)))
    >>> session = onnxruntime.InferenceSession(sq.to_onnx(small), providers=["CPUExecutionProvider"])
    >>> pixels = torch.randint(256, (5, 3, 32, 32), dtype=torch.uint8)
    >>> [logits] = session.run(None, {"pixels": pixels.numpy()})
    >>> expected = small.module(small.source.normalization(pixels))
    >>> torch.allclose(torch.from_numpy(logits), expected, atol=1e-4)
    True
    """
    from compression.deploy import float_onnx  # onnx takes half a second to import, and few ask for it

    return float_onnx.to_onnx(module_of(network), normalization or normalization_of(network))


def to_int8(compressed: CompressedNetwork, sample: torch.Tensor | None = None) -> bytes:
    """Returns an ONNX file whose layers compute with 8-bit integers, with the codes and scales of `compressed`.

    The spec must fold batch norm, quantize weights symmetrically to at most 8 bits, per tensor or per channel, and
    layer inputs to 8 bits. With `sample` (N, 3, 32, 32) uint8, training images, values that are added or averaged
    between layers become integers too, in the range that they have on the sample.

    Raises ValueError where the layers are not like that.

    >>> import onnxruntime, torch
    >>> import compression as sq
    >>> spec = sq.CompressionSpec(weights=sq.QuantSpec(8), activations=sq.ActivationSpec(8), fold_bn=True)
    >>> graph = sq.to_int8(sq.compress(sq.load("simple_cnn"), spec))
    >>> session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    >>> pixels = torch.randint(256, (5, 3, 32, 32), dtype=torch.uint8)
    >>> session.run(None, {"pixels": pixels.numpy()})[0].shape
    (5, 10)
    """
    from compression.deploy import int8_onnx  # as in `to_onnx`

    return int8_onnx.to_int8(compressed, normalization_of(compressed), sample)
