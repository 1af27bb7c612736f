"""Saliency maps: which pixels of one image speak for a class, as five methods see it.

All maps are (H, W) float32: positive where a pixel speaks for the class, negative where it speaks against it. The
network is evaluated as it is, with quantized activations. Rounding has no useful gradient, so that gradients pass the
quantizer of an input as if it did not round, and are zero where it clips: the straight-through estimator (Bengio et al.
2013, arXiv:1308.3432).
"""

import copy
import time
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from compression.inside.answers import probabilities
from compression.inside.superpixels import kernel_shap, lime
from compression.networks.model import FloatModel
from compression.networks.normalization import Normalization
from compression.quantization.activations import InputQuantizer
from compression.quantization.straight_through import TrainedInput

GREY = 128  # the pixel that stands for "nothing is here"

STEPS, MOST_STEPS = 32, 512  # gradients of an integral

CUTS = 16  # parts of an integral that are cut at once

TOLERANCE = 0.01  # of the sum of integrated gradients, as a fraction of the change of the logit

SQUARE, STRIDE = 8, 4  # pixels


class Method(StrEnum):
    """A method that makes saliency maps."""

    GRAD_CAM = "Grad-CAM"
    INTEGRATED_GRADIENTS = "Integrated gradients"
    OCCLUSION = "Occlusion"
    LIME = "LIME"
    KERNEL_SHAP = "KernelSHAP"


@dataclass(frozen=True, eq=False)
class Saliency:
    """A map (H, W) float32 of one image. `logit_change`: the class's logit minus that of a grey image.

    The values of integrated gradients sum to `logit_change`, up to the error of the integral. Those of LIME and
    KernelSHAP are the same for all pixels of a square, and the squares of KernelSHAP sum to it.
    """

    values: Tensor
    logit_change: float

    @property
    def gap(self) -> float:
        """How far the sum of the values is from `logit_change`, as a fraction of it; infinite if that is zero."""
        difference = abs(float(self.values.double().sum()) - self.logit_change)
        return difference / abs(self.logit_change) if self.logit_change else float("inf")


def explain(module: nn.Module, pixels: Tensor, normalize: Normalization, label: int, method: Method) -> Saliency:
    """Returns the saliency map of `module` for the class `label` and the image pixels (3, H, W) uint8.

    Raises ValueError if Grad-CAM finds no convolution with more than one output pixel.

    >>> import compression as sq
    >>> from compression import inside
    >>> net, images = sq.load("simple_cnn"), sq.load_images()[:1]
    >>> small = sq.compress(net, sq.CompressionSpec(weights=sq.QuantSpec(3)))
    >>> both = [
    ...     inside.explain(each.module, images.pixels[0], net.normalization, 3, inside.Method.OCCLUSION).values
    ...     for each in (net, small)
    ... ]
    >>> -1 <= inside.rank_correlation(*both) <= 1
    True
    """
    image, grey = normalize(pixels[None]), normalize(torch.full_like(pixels, GREY)[None])
    module = with_gradients(module)
    with torch.no_grad():
        logits = module(torch.cat([image, grey]))[:, label].double()
    return Saliency(METHODS[method](module, image, grey, label).float(), float(logits[0] - logits[1]))


def grad_cam(module: nn.Module, image: Tensor, _grey: Tensor, label: int) -> Tensor:
    """image (1, C, H, W) -> (H, W): the outputs of the last convolution, weighted by the means of their gradients.

    Negative sums count as zero. Source: Selvaraju et al. 2017 (arXiv:1610.02391), equations 1 and 2.
    """
    outputs: list[Tensor] = []

    def keep(_layer: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        outputs.append(output)
        return output.clone()  # what follows may change it in place

    hooks = [layer.register_forward_hook(keep) for layer in module.modules() if isinstance(layer, nn.Conv2d)]
    try:
        logit = module(image.clone().requires_grad_())[0, label]
    finally:
        for hook in hooks:
            hook.remove()
    last = next((each for each in reversed(outputs) if each.shape[2:].numel() > 1), None)
    if last is None:
        raise ValueError("Grad-CAM needs a convolution with more than one output pixel, and the network has none")
    (gradient,) = torch.autograd.grad(logit, last)
    weighted = (gradient.mean((2, 3), keepdim=True) * last).sum(1, keepdim=True).relu()
    return F.interpolate(weighted, image.shape[2:], mode="bilinear", align_corners=False)[0, 0].detach()


def integrated_gradients(module: nn.Module, image: Tensor, grey: Tensor, label: int) -> Tensor:
    """image and grey (1, C, H, W) -> (H, W): the mean gradient between both, times their difference.

    The straight line between both is cut into STEPS equal parts, and the gradient is taken in the middle of each. Parts
    whose sum is the furthest from the change of the logit are cut into halves until the total is within TOLERANCE, or
    there are MOST_STEPS parts. With quantized activations nothing is cut: straight-through gradients do not sum to the
    change. Channels are added up. Source: Sundararajan et al. 2017 (arXiv:1703.01365), equation 1.
    """
    places = [step / STEPS for step in range(STEPS + 1)]
    with torch.no_grad():
        logits = module(torch.cat([grey + place * (image - grey) for place in places]))[:, label].tolist()
    most = STEPS if _is_quantized(module) else MOST_STEPS
    parts = _measure(module, image, grey, label, [*zip(pairwise(places), pairwise(logits), strict=True)])
    while abs(sum(part.error for part in parts)) > TOLERANCE * abs(logits[-1] - logits[0]) and len(parts) < most:
        parts.sort(key=lambda part: -abs(part.error))
        halves = [half for part in parts[:CUTS] for half in part.halves]
        parts = parts[CUTS:] + _measure(module, image, grey, label, halves)
    return torch.stack([part.values for part in parts]).sum(0)


Ends = tuple[float, float]


@dataclass(frozen=True, eq=False)
class _Part:
    """A part of the line from grey (0) to the image (1): its ends, the logit there and in the middle, and its values.

    `values` (H, W) is what the part adds to the map.
    """

    places: Ends
    logits: Ends
    middle: float
    values: Tensor

    @property
    def error(self) -> float:
        """The change of the logit minus the sum of the values."""
        return self.logits[1] - self.logits[0] - float(self.values.sum())

    @property
    def halves(self) -> list[tuple[Ends, Ends]]:
        """The ends of both halves, and the logits there."""
        (start, end), (first, last) = self.places, self.logits
        half = (start + end) / 2
        return [((start, half), (first, self.middle)), ((half, end), (self.middle, last))]


def _measure(module: nn.Module, image: Tensor, grey: Tensor, label: int, parts: list[tuple[Ends, Ends]]) -> list[_Part]:
    """Returns the parts with these ends and logits, with the gradient in the middle of each."""
    middles = [(start + end) / 2 for (start, end), _ in parts]
    between = torch.cat([grey + middle * (image - grey) for middle in middles]).requires_grad_()
    logits = module(between)[:, label]
    (gradients,) = torch.autograd.grad(logits.sum(), between)
    values = (gradients * (image - grey)).sum(1)
    return [
        _Part(places, ends, middle, (places[1] - places[0]) * value)
        for (places, ends), middle, value in zip(parts, logits.tolist(), values, strict=True)
    ]


def occlusion(module: nn.Module, image: Tensor, grey: Tensor, label: int) -> Tensor:
    """image and grey (1, C, H, W) -> (H, W): how far the logit falls while a grey square covers the pixel.

    The squares have SQUARE x SQUARE pixels and begin every STRIDE pixels; a pixel has the mean of the squares that
    cover it. Source: Zeiler and Fergus 2014 (arXiv:1311.2901), section 4.2.
    """
    height, width = image.shape[2:]
    masks = torch.stack(
        [_square(height, width, top, left) for top in _starts(height) for left in _starts(width)]
    )  # (squares, H, W) bool
    with torch.no_grad():
        whole = module(image)[0, label]
        falls = whole - module(torch.where(masks[:, None], grey, image))[:, label]
    return torch.einsum("s,shw->hw", falls, masks.float()) / masks.sum(0)


METHODS = {
    Method.GRAD_CAM: grad_cam,
    Method.INTEGRATED_GRADIENTS: integrated_gradients,
    Method.OCCLUSION: occlusion,
    Method.LIME: lime,
    Method.KERNEL_SHAP: kernel_shap,
}


def _starts(size: int) -> Iterable[int]:
    """Returns where squares begin; the last one ends at the edge."""
    last = max(size - SQUARE, 0)
    return sorted({*range(0, last, STRIDE), last})


def _square(height: int, width: int, top: int, left: int) -> Tensor:
    mask = torch.zeros(height, width, dtype=torch.bool)
    mask[top : top + SQUARE, left : left + SQUARE] = True
    return mask


def with_gradients(module: nn.Module) -> nn.Module:
    """Returns a copy of `module` that shares its tensors, computes the same, and whose quantizers let gradients pass.

    The copy is the caller's own: hooks on it do not meet other users of `module`.
    """
    tensors = [*module.parameters(), *module.buffers()]
    memo: dict[int, Any] = {id(each): each.clone() if each.is_inference() else each for each in tensors}
    module = copy.deepcopy(module, memo)
    for layer in module.modules():
        for key, hook in layer._forward_pre_hooks.items():
            if isinstance(hook, InputQuantizer):
                layer._forward_pre_hooks[key] = TrainedInput(hook, torch.ones(()))
    return module


def _is_quantized(module: nn.Module) -> bool:
    """Returns whether a network of `with_gradients` quantizes inputs of layers."""
    hooks = (hook for layer in module.modules() for hook in layer._forward_pre_hooks.values())
    return any(isinstance(hook, TrainedInput) for hook in hooks)


@dataclass(frozen=True, eq=False)
class MapPair:
    """The maps of the float network (`before`) and of the compressed one (`after`), for one image and the same class.

    `seconds` is the time that both took.
    """

    before: Saliency
    after: Saliency
    seconds: float

    @property
    def correlation(self) -> float | None:
        """The rank correlation (-1..1) of both maps; None if one of them has equal values everywhere."""
        return rank_correlation(self.before.values, self.after.values)

    @property
    def most(self) -> float:
        """The largest absolute value of both maps, the end of their common colour scale."""
        return max(float(each.values.abs().max()) for each in (self.before, self.after))


def explain_both(
    before: nn.Module, after: nn.Module, pixels: Tensor, normalize: Normalization, label: int, method: Method
) -> MapPair:
    """Returns the maps of both networks, as `explain` makes them. Raises ValueError as it does."""
    start = time.perf_counter()
    first, second = (explain(each, pixels, normalize, label, method) for each in (before, after))
    return MapPair(first, second, time.perf_counter() - start)


def explain_prediction(model: FloatModel, after: nn.Module, pixels: Tensor, method: Method) -> MapPair:
    """Returns the maps of `model` and of the compressed network `after` for the class that `model` predicts."""
    label = int(probabilities(model.module, pixels[None], model.normalization).argmax())
    return explain_both(model.module, after, pixels, model.normalization, label, method)


def rank_correlation(first: Tensor, second: Tensor) -> float | None:
    """Returns Spearman's rank correlation (-1..1) of two maps of one shape; None if one has equal values everywhere.

    Equal values share the mean of their ranks.
    """
    ranks = np.stack([_ranks(each.flatten().numpy()) for each in (first, second)])
    ranks -= ranks.mean(1, keepdims=True)
    spread = np.sqrt((ranks**2).sum(1).prod())
    return float(ranks.prod(0).sum() / spread) if spread else None


def _ranks(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = counts.cumsum()
    return (ends - (counts - 1) / 2)[places]
