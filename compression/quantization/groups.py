"""Weights in groups along the input: `size` of them in a row share a scale, and so do the fewer left at the end.

Channels are rows; each is cut into groups from its beginning, (C_out, C_in, kH, kW) -> (C_out * G, size), where
G = ceil(C_in * kH * kW / size).
"""

from collections.abc import Sequence

from torch import Size, Tensor, cat
from torch.nn.functional import pad


def as_channels(weight: Tensor) -> Tensor:
    """(C_out, ...) -> (C_out, n). What has one dimension is one channel."""
    return weight.reshape(len(weight) if weight.dim() > 1 else 1, -1)


def to_groups(weight: Tensor, size: int) -> Tensor:
    """(C_out, ...) -> (C_out * G, size); zeros fill the last group of a channel."""
    rows = as_channels(weight)
    return pad(rows, (0, -rows.shape[1] % size)).view(-1, size)


def from_groups(groups: Tensor, shape: Size) -> Tensor:
    """What `in_groups` has grouped, in its own shape again."""
    rows = shape[0] if len(shape) > 1 else 1
    return groups.view(rows, -1)[:, : shape.numel() // rows].reshape(shape)


def join_groups(parts: Sequence[Tensor], rows: int) -> Tensor:
    """Values (rows * g, k) of whole groups, and of the last ones, with a g of their own -> (rows * G, k), by row."""
    return cat([part.view(rows, -1, part.shape[1]) for part in parts], 1).flatten(0, 1)
