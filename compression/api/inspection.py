"""What happens inside a compressed network: the functions `inspect_…`, which compute in this process."""

import torch
from torch import Tensor

from compression.core.network import CompressedNetwork, Network, module_of, normalization_of
from compression.data.images import ImageSet
from compression.evaluation.evaluation import BATCH, Evaluation
from compression.inside import calibration, robustness, saliency
from compression.inside.bits.words import Trial, count_right, draw, flip_bits
from compression.inside.calibration import Calibration
from compression.inside.corruptions import CONDITIONS, corrupt
from compression.inside.flips import Comparison, compare
from compression.inside.layers import LayerReport, NetworkPair, layer_names, measure_layer, spreads
from compression.inside.robustness import CorruptionReport
from compression.inside.saliency import MapPair, Method


def inspect_flips(before: Evaluation, after: Evaluation) -> Comparison:
    """Returns which images compression changes: lost, won, or wrong otherwise, as masks and counts.

    Raises ValueError where the two evaluations are of different images.

    >>> import compression as sq
    >>> net, images = sq.load("simple_cnn"), sq.load_images()[:500]
    >>> small = sq.compress(net, sq.CompressionSpec(weights=sq.QuantSpec(3)))
    >>> change = sq.inspect_flips(sq.evaluate(net, images), sq.evaluate(small, images))
    >>> change.counts["Lost"] > change.counts["Won"]
    True
    """
    return compare(before, after)


def inspect_calibration(network: Network, images: ImageSet) -> Calibration:
    """Returns whether `network` is as sure as it is right, on every second image, before and after temperature scaling.

    The temperature is chosen on the other images. A plain nn.Module is refused with ValueError: nobody knows how its
    inputs are normalized.

    >>> import compression as sq
    >>> each = sq.inspect_calibration(sq.load("simple_cnn"), sq.load_images()[:1000])
    >>> each.plain.images, 0 < each.plain.expected_error < 0.1
    (500, True)
    """
    return calibration.calibrate(_logits(network, images.pixels), images.labels)


def inspect_image(before: Network, after: Network, pixels: Tensor, method: Method | str = Method.GRAD_CAM) -> MapPair:
    """Returns where two networks look in one image, pixels (3, H, W) uint8: maps for the class that `before` predicts.

    `method` is Grad-CAM, Integrated gradients, Occlusion, LIME or KernelSHAP. Raises ValueError for other words, and
    where the method does not fit the network.

    >>> import compression as sq
    >>> net, image = sq.load("simple_cnn"), sq.load_images().pixels[141]
    >>> small = sq.compress(net, sq.CompressionSpec(weights=sq.QuantSpec(3)))
    >>> maps = sq.inspect_image(net, small, image, "Occlusion")
    >>> maps.before.values.shape, -1 <= maps.correlation <= 1
    (torch.Size([32, 32]), True)
    """
    label = int(_logits(before, pixels[None]).argmax())
    modules = module_of(before), module_of(after)
    return saliency.explain_both(*modules, pixels, normalization_of(before), label, Method(method))


def inspect_layers(network: CompressedNetwork, images: ImageSet) -> LayerReport:
    """Returns what compression does to the signal in each layer: noise, movement of the logits, spread, dead channels.

    A hundred images are enough. `reestimated` of the result is None unless the spec re-estimates batch norm; compare
    two networks to see what that mends.

    >>> import compression as sq
    >>> small = sq.compress(sq.load("simple_cnn"), sq.CompressionSpec(weights=sq.QuantSpec(3)))
    >>> report = sq.inspect_layers(small, sq.load_images()[:50])
    >>> [layer.name for layer in report.layers], report.layers[0].alone_db < 40
    (['conv1', 'conv2', 'fc1', 'fc2'], True)
    """
    pair, inputs = NetworkPair.of(network), normalization_of(network)(images.pixels)
    return LayerReport(
        tuple(measure_layer(pair, name, inputs) for name in layer_names(pair.original)),
        spreads(pair.compressed, inputs) if network.sample else None,
    )


def inspect_corruptions(before: Network, after: Network, images: ImageSet) -> CorruptionReport:
    """Returns what noise, blur, brightness, contrast, JPEG, shift and rotation cost two networks on the same images.

    `images` begin with test image 0, because the number of an image decides its noise.

    >>> import compression as sq
    >>> net, images = sq.load("simple_cnn"), sq.load_images()[:100]
    >>> small = sq.compress(net, sq.CompressionSpec(weights=sq.QuantSpec(3)))
    >>> report = sq.inspect_corruptions(net, small, images)
    >>> report.clean.change.mean < 0, len(report.conditions)
    (True, 36)
    """
    right: tuple[list[Tensor], list[Tensor]] = ([], [])
    for condition in CONDITIONS:
        pixels = corrupt(images.pixels, condition)
        for network, rows in zip((before, after), right, strict=True):
            rows.append(_logits(network, pixels).argmax(1) == images.labels)
    return robustness.report_corruptions(*right, images.labels, images.classes)


def inspect_bitflips(
    network: CompressedNetwork, images: ImageSet, count: int, seed: int = 0, position: int | None = None
) -> float:
    """Returns the accuracy (0..1) after `count` bits of the stored weights were flipped, drawn with `seed`.

    `position` restricts the flips to one bit of each word, 0 the lowest. An image whose logits are not finite counts as
    wrong.

    >>> import compression as sq
    >>> net, images = sq.load("simple_cnn"), sq.load_images()[:200]
    >>> as_float, small = (sq.compress(net, sq.CompressionSpec(weights=each)) for each in (None, sq.QuantSpec(8)))
    >>> sq.inspect_bitflips(as_float, images, 16, position=30) < sq.inspect_bitflips(small, images, 16, position=7)
    True
    """
    module = flip_bits(network, draw(network.layers, Trial(count, seed, position)))
    normalize = normalization_of(network)
    with torch.inference_mode():
        logits = torch.cat([module(normalize(batch)).float() for batch in images.pixels.split(BATCH)])
    return count_right(logits, images.labels) / len(images)


def _logits(network: Network, pixels: Tensor) -> Tensor:
    """pixels (N, 3, H, W) uint8 -> the logits (N, classes)."""
    module, normalize = module_of(network), normalization_of(network)
    with torch.inference_mode():
        return torch.cat([module(normalize(batch)).float() for batch in pixels.split(BATCH)])
