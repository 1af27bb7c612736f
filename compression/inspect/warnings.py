"""What a reader must be told about a compressed network before any of its numbers: sentences, usually none.

A network in which a layer became all zero may give every image the same answer, and then its accuracy is that of
chance. A clipping range that clips nothing changes nothing.
"""

from dataclasses import replace

import torch
from torch import Tensor

from compression.core.constant import is_constant
from compression.core.record import CompressedModel, LayerRecord
from compression.evaluation.evaluation import Evaluation
from compression.networks.weights import swap_channels
from compression.quantization.quantizers import QParams, choose_qparams
from compression.spec import Clip, QuantSpec

LEAST_IMAGES = 100  # fewer images may have the same answer by chance

INPUTS = 8  # of noise, on which outputs are compared

MOST_NAMES = 3  # of layers in one sentence


def find_warnings(compressed: CompressedModel, example: Tensor) -> tuple[str, ...]:
    """Returns sentences on layers without nonzero weights and on clipping without effect.

    `example` (N, ...) is an input of the network. Only if a layer is all zero, the network runs on inputs of noise of
    this shape, which shows whether its output depends on its input at all.
    """
    return (*_zero_layers(compressed, example), *_clipping(compressed))


def constant_answer(evaluation: Evaluation | None) -> str | None:
    """Returns a sentence if the network gives each of the counted images the same answer, else None."""
    if evaluation is None or evaluation.total < LEAST_IMAGES:
        return None
    first = evaluation.predictions[0]
    if not bool((evaluation.predictions == first).all()):
        return None
    return f"All {evaluation.total:,} images counted so far get the same answer: {evaluation.classes[int(first)]}."


def _zero_layers(compressed: CompressedModel, example: Tensor) -> list[str]:
    names = [layer.name for layer in compressed.layers if not layer.nonzero]
    if not names:
        return []
    others = f" and of {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    noise = torch.Generator().manual_seed(0)
    where = f"layer{'s' * (len(names) > 1)} {', '.join(names[:MOST_NAMES])}{others}"
    effect = (
        "so the network gives every image the same answer"
        if is_constant(compressed.module, torch.randn(INPUTS, *example.shape[1:], generator=noise))
        else f"but other layers bypass {'it' if len(names) == 1 else 'them'}, and the answers still depend on the image"
    )
    return [f"All weights of {where} are zero, {effect}."]


def _clipping(compressed: CompressedModel) -> list[str]:
    """Returns a sentence if a clipping range is set and every layer has the quantizer of the full range."""
    quant = compressed.spec.weights
    layers = [layer for layer in compressed.layers if isinstance(layer.qparams, QParams)]
    if quant is None or quant.clip is Clip.FULL or not layers or any(_clips(layer, quant) for layer in layers):
        return []
    few = ", because each group has too few weights" if quant.clip is Clip.PERCENTILE else ""
    return [f"The clipping range {quant.clip} clips no weight of any layer{few}. The result is that of the full range."]


def _clips(layer: LayerRecord, quant: QuantSpec) -> bool:
    """Returns whether the quantizer of `layer` differs from that of the full range of the weights that were kept."""
    original = swap_channels(layer.original.detach(), layer.transposed_groups)
    kept = torch.where(layer.channels_first != 0, original, 0.0) if layer.pruned else original
    full = choose_qparams(kept, replace(quant, bits=layer.bits, clip=Clip.FULL, clip_at=None))
    assert isinstance(full, QParams)
    assert isinstance(layer.qparams, QParams)
    return not torch.allclose(full.scale, layer.qparams.scale, rtol=1e-5, atol=0)
