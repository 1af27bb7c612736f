"""Groups of weights that share a scale: `size` consecutive weights of a channel, and fewer at its end.

Channels are the rows of a weight. Each row is cut into groups from its beginning: (C_out, C_in, kH, kW) becomes
(C_out * G, size), where G = ceil(C_in * kH * kW / size).
"""

from collections.abc import Sequence

from torch import Size, Tensor, cat
from torch.nn.functional import pad


def as_channels(weight: Tensor) -> Tensor:
    """(C_out, ...) -> (C_out, n). A weight with one dimension is one channel."""
    return weight.reshape(len(weight) if weight.dim() > 1 else 1, -1)


def to_groups(weight: Tensor, size: int) -> Tensor:
    """(C_out, ...) -> (C_out * G, size). Zeros fill the last group of each channel."""
    rows = as_channels(weight)
    return pad(rows, (0, -rows.shape[1] % size)).view(-1, size)


def from_groups(groups: Tensor, shape: Size) -> Tensor:
    """Reverses `to_groups`: (C_out * G, size) -> the weight in its own `shape`."""
    rows = shape[0] if len(shape) > 1 else 1
    return groups.view(rows, -1)[:, : shape.numel() // rows].reshape(shape)


def join_groups(parts: Sequence[Tensor], rows: int) -> Tensor:
    """Joins the values of whole groups and of shorter last groups, row by row.

    parts (rows * g, k), each with a g of its own -> (rows * G, k).
    """
    return cat([part.view(rows, -1, part.shape[1]) for part in parts], 1).flatten(0, 1)
