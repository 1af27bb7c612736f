"""The functions that `import compression as sq` offers to notebooks and scripts, each with an example that runs.

The package loads this module when a name of `compression.__all__` is first used, because it imports torch.
"""

from dataclasses import replace
from os import PathLike
from pathlib import Path

import torch
from torch import nn

from compression.core.compress import compress as compress_module
from compression.core.evidence import Evidence, Sample
from compression.core.network import CompressedNetwork, Network, module_of, normalization_of, source_of, with_source
from compression.core.record import CompressedModel
from compression.core.training_evidence import evidence_for
from compression.data.cifar10 import SPLITS
from compression.data.images import ImageSet
from compression.data.images import load as load_split
from compression.errors import CheckpointError, CompressionError, DataError
from compression.evaluation import evaluation, normalization_trial
from compression.evaluation.evaluation import Evaluation
from compression.evaluation.statistics import Flips
from compression.files import exported, packed_file, packed_reader
from compression.files import ledger as ledgers
from compression.files.ledger import FileLedger
from compression.files.size import Size, count_bytes
from compression.networks import library
from compression.networks.checkpoints.reading import read_metadata
from compression.networks.model import FloatModel, with_contiguous_weights
from compression.networks.normalization import NORMALIZATIONS, Normalization
from compression.paths import write_whole
from compression.spec import (
    ActivationSpec,
    Also,
    Calibration,
    Clip,
    CompressionSpec,
    Criterion,
    Granularity,
    LayerSpec,
    Only,
    Order,
    PruneSpec,
    QuantSpec,
    Rounding,
    Scheme,
    Scope,
    Structure,
    Unit,
)


def names() -> list[str]:
    """Returns the names of the networks that `load` accepts: the bundled ones, then the public ones that are here.

    >>> import compression as sq
    >>> "resnet20" in sq.names()
    True
    """
    return library.network_names()


def load(name: str) -> FloatModel:
    """Returns the trained float network called `name`, with its input normalization and its published accuracy.

    Raises ValueError for an unknown name, CheckpointError for a damaged file.

    >>> import compression as sq
    >>> net = sq.load("resnet20")
    >>> net.parameters, net.normalization.name, net.accuracy
    (272474, 'cifar10', 0.9241)
    """
    return with_contiguous_weights(library.load_network(name))


def load_checkpoint(
    path: str | PathLike[str],
    normalization: Normalization | ImageSet,
    architecture: str | None = None,
    entry: str | None = None,
) -> FloatModel:
    """Returns the network in a checkpoint file of PyTorch or safetensors; its architecture is recognized.

    With images instead of a `normalization`, each known normalization is tried on them and the one with the lowest loss
    is used; `about["choice"]` says whether it is certain and which one comes next. Training images find it better, and
    are not counted afterwards. `entry` is the place of the weights in the file, such as "model_ema", or a prefix of
    their names; without it the likeliest is taken. A file of `save` states its normalization. No code in the file is
    run. Raises CheckpointError where the file cannot be used, with the reason.

    >>> import tempfile, torch
    >>> import compression as sq
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     torch.save(sq.load("resnet20").module.state_dict(), f"{folder}/mine.pth")
    ...     net = sq.load_checkpoint(f"{folder}/mine.pth", sq.NORMALIZATIONS["cifar10"])
    >>> net.name, net.parameters
    ('mine', 272474)
    """
    path = Path(path)
    if exported.is_packed(read_metadata(path)):
        model = exported.load_exported(path.read_bytes(), str(path), path.stem)
        return with_contiguous_weights(
            model if isinstance(normalization, ImageSet) else replace(model, normalization=normalization)
        )
    return with_contiguous_weights(normalization_trial.load_checkpoint(path, normalization, architecture, entry))


def load_images(split: str = "test") -> ImageSet:
    """Returns the 10,000 "test" images of CIFAR-10 with their labels, or the 50,000 "train" images.

    Raises DataError where they are missing or damaged, with the command that downloads them.

    >>> import compression as sq
    >>> images = sq.load_images()
    >>> len(images), tuple(images.pixels.shape), tuple(images[:100].labels.shape)
    (10000, (10000, 3, 32, 32), (100,))
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    return load_split(SPLITS[split])


def compress(
    network: FloatModel | nn.Module, spec: CompressionSpec, evidence: Evidence | None = None
) -> CompressedNetwork:
    """Returns `network` pruned and quantized as `spec` says; the network itself stays as it is.

    For a FloatModel, such as `load` returns, what the spec needs to know of training images is gathered here, unless
    `evidence` gives it: the ranges of layer inputs, gradients, or images to re-estimate batch norm. For another
    nn.Module, `evidence` has to give it. A spec without a model's name gets the name of the network.

    Raises ValueError where the spec does not fit the network, DataError where training images are missing.

    >>> import compression as sq
    >>> spec = sq.CompressionSpec(prune=sq.PruneSpec(sparsity=0.5), weights=sq.QuantSpec(4))
    >>> small = sq.compress(sq.load("simple_cnn"), spec)
    >>> f"{small.sparsity:.1%} of {small.weights:,} weights are zero"
    '50.2% of 268,464 weights are zero'
    >>> [(layer.name, layer.bits) for layer in small.layers]
    [('conv1', 4), ('conv2', 4), ('fc1', 4), ('fc2', 4)]

    Any module of convolutions and linear layers will do, and on request of embeddings and recurrent layers:

    >>> import torch
    >>> _ = torch.manual_seed(0)
    >>> mine = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2)).eval()
    >>> small = sq.compress(mine, sq.CompressionSpec(weights=sq.QuantSpec(8)))
    >>> inputs = torch.randn(100, 8)
    >>> bool((mine(inputs) - small.module(inputs)).abs().max() < 0.05)
    True
    """
    if isinstance(network, FloatModel):
        spec = spec if spec.model else replace(spec, model=network.name)
        gathered = evidence_for(network, spec) if evidence is None else evidence
        return with_source(compress_module(network.module, spec, gathered), network)
    spec = spec if spec.model else replace(spec, model=type(network).__name__)
    return with_source(compress_module(network, spec, evidence or Evidence()), None)


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


def evaluate(network: Network, images: ImageSet, normalization: Normalization | None = None) -> Evaluation:
    """Returns how a network classifies `images`: its predictions, accuracy, 95 % interval, loss and top-5 accuracy.

    It is computed in this process, about a thousand images per second and core. A plain nn.Module needs the
    `normalization` of its inputs; other networks know theirs.

    >>> import compression as sq
    >>> net, images = sq.load("simple_cnn"), sq.load_images()[:1000]
    >>> small = sq.compress(net, sq.CompressionSpec(weights=sq.QuantSpec(4)))
    >>> before, after = sq.evaluate(net, images), sq.evaluate(small, images)
    >>> 0.75 < after.accuracy < before.accuracy < 0.85
    True
    """
    return evaluation.evaluate(module_of(network), images, normalization or normalization_of(network))


def flips(before: Evaluation, after: Evaluation) -> Flips:
    """Returns how many images one network classifies correctly and the other does not, and McNemar's p-value.

    Raises ValueError where the two evaluations are of different images.

    >>> import compression as sq
    >>> net, images = sq.load("simple_cnn"), sq.load_images()[:1000]
    >>> small = sq.compress(net, sq.CompressionSpec(weights=sq.QuantSpec(3)))
    >>> change = sq.flips(sq.evaluate(net, images), sq.evaluate(small, images))
    >>> change.lost > change.won > 0, change.p < 0.05
    (True, True)
    """
    return evaluation.flips(before, after)


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
