"""The weights with which training begins, where a network was not rounded to nearest."""

import torch
from torch import Tensor

from compression.core.record import CompressedModel, LayerRecord
from compression.networks.weights import swap_channels
from compression.quantization.quantizers import fake_quantize
from compression.spec import Rounding

SHARES = tuple(tenths / 10 for tenths in range(10, 0, -1))


def start_weights(start: CompressedModel) -> dict[str, Tensor]:
    """Returns layer name -> weights that are rounded to those of `start`: those of `float_start`.

    After rate-aware rounding they are the rounded ones, which have cheap codes and keep them longest: from the others
    many weights leave zero in the first steps, and the file grows by more than the accuracy is worth.
    """
    is_cheap = start.spec.rounding is Rounding.RATE_AWARE
    return {record.name: record.weight if is_cheap else float_start(record) for record in start.layers}


def float_start(record: LayerRecord) -> Tensor:
    """Returns weights of the shape of `record.weight` that are rounded to those of `record`, close to its float ones.

    Each goes from its rounded weight towards the float one by the largest of SHARES that keeps its code. So training
    knows how far the next code is, which rounded weights do not tell: after one epoch from those, resnet20 at 2 bits
    has fewer images right than after one from the float weights (docs/measured.md).
    """
    if record.qparams is None:
        return record.weight
    target, rounded = (
        swap_channels(each.detach(), record.transposed_groups) for each in (record.original, record.weight)
    )
    start, found = rounded.clone(), torch.zeros_like(rounded, dtype=torch.bool)
    for share in SHARES:
        moved = rounded + share * (target - rounded) if share < 1 else target
        keeps = (fake_quantize(moved, record.qparams) == rounded) & ~found
        start, found = torch.where(keeps, moved, start), found | keeps
    return swap_channels(start, record.transposed_groups)
