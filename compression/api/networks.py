"""What is done to a network, and how well it classifies then."""

from dataclasses import replace

from torch import nn

from compression.core.compress import compress as compress_module
from compression.core.evidence import Evidence
from compression.core.network import CompressedNetwork, Network, module_of, normalization_of, with_source
from compression.data.cifar10 import TRAIN
from compression.data.images import ImageSet, load
from compression.evaluation import evaluation
from compression.evaluation.evaluation import Evaluation
from compression.evaluation.statistics import Flips
from compression.files.stored import compress_network
from compression.networks.model import FloatModel
from compression.networks.normalization import Normalization
from compression.retraining import run as training_run
from compression.retraining.lineage import Lineage
from compression.retraining.recipe import Recipe
from compression.spec import CompressionSpec


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
        if evidence is None:
            return with_source(compress_network(network, spec), network)
        return with_source(compress_module(network.module, spec, evidence), network)
    spec = spec if spec.model else replace(spec, model=type(network).__name__)
    return with_source(compress_module(network, spec, evidence or Evidence()), None)


def recover(
    network: FloatModel,
    spec: CompressionSpec,
    recipe: Recipe | None = None,
    images: ImageSet | None = None,
    teacher: FloatModel | None = None,
) -> tuple[CompressedNetwork, Lineage]:
    """Returns `network` compressed as `spec` says and trained to give accuracy back, and its lineage.

    The `recipe`, by default one epoch, says how it is trained; pruned weights stay zero and rounded weights rounded.
    `images`: training images, by default all 50,000. Its last 1,000, or as many as the recipe says, are not trained on
    but counted for the `points` of the lineage. A recipe that distils takes the float network, or `teacher`.
    Ctrl-C ends training with the best network so far.

    Raises ValueError where network, spec and recipe do not fit, and for test images, DataError where images are
    missing.

    >>> import compression as sq
    >>> net, images = sq.load("simple_cnn"), sq.load_images("train")[:1200]
    >>> spec = sq.CompressionSpec(prune=sq.PruneSpec(sparsity=0.9))
    >>> small, lineage = sq.recover(net, spec, sq.Recipe(steps=4, batch_size=50, points=1), images)
    >>> lineage.parent, lineage.steps, f"{small.sparsity:.1%}"
    ('simple_cnn', 4, '90.0%')
    """
    spec = spec if spec.model else replace(spec, model=network.name)
    images = load(TRAIN) if images is None else images
    return training_run.recover(network, spec, recipe or Recipe(), images, teacher=teacher)


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
