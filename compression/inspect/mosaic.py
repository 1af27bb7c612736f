"""Which weights are left, as a picture that fits a screen. Each cell counts all of its weights; none is sampled.

One layer: a row a filter, a column a weight of it. Several layers: a row a layer, a column a filter. Where that is
more than 64 x 96 cells, neighbours share one: several filters down, whole kernels (and then several of them) across.
What is left is what is not zero.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

MOST_ROWS, MOST_COLUMNS = 64, 96

Cells = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Mosaic:
    """`left` of the `weights` in each cell are not zero; a cell without weights is beyond the last filter of its layer.

    A cell stands for `tall` rows and `wide` columns, fewer at the far edges.
    """

    nonzero: Cells
    weights: Cells
    rows_per_cell: int
    columns_per_cell: int


@dataclass(frozen=True)
class Overlap:
    """Two ways to prune one network: in each cell the weights that both keep, that one alone takes, that both take."""

    neither: Cells
    only_first: Cells
    only_second: Cells
    both: Cells
    rows_per_cell: int
    columns_per_cell: int

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """Kept by both, taken by the first alone, by the second alone, by both: all weights once."""
        kept, first, second, taken = (
            sum(map(sum, cells)) for cells in (self.neither, self.only_first, self.only_second, self.both)
        )
        return kept, first, second, taken


def mosaic(weights: Sequence[Tensor]) -> Mosaic:
    """The weights (C_out, ...) of one layer, or of several, after pruning."""
    left = [weight != 0 for weight in weights]
    tall, wide = _cell(left)
    everywhere = [torch.ones_like(mask) for mask in left]
    return Mosaic(_cells(left, tall, wide), _cells(everywhere, tall, wide), tall, wide)


def overlap(first: Sequence[Tensor], second: Sequence[Tensor]) -> Overlap:
    """The same weights (C_out, ...) of one or several layers, pruned in two ways."""
    pairs = [(one != 0, other != 0) for one, other in zip(first, second, strict=True)]
    tall, wide = _cell([one for one, _ in pairs])
    return Overlap(
        _cells([one & other for one, other in pairs], tall, wide),
        _cells([~one & other for one, other in pairs], tall, wide),
        _cells([one & ~other for one, other in pairs], tall, wide),
        _cells([~one & ~other for one, other in pairs], tall, wide),
        tall,
        wide,
    )


def _cell(masks: Sequence[Tensor]) -> tuple[int, int]:
    """How many rows and columns share a cell."""
    if len(masks) > 1:
        return 1, math.ceil(max(len(mask) for mask in masks) / MOST_COLUMNS)
    (mask,) = masks
    columns, kernel = mask[0].numel(), mask[0, 0].numel()
    kernels = math.ceil(columns / kernel / MOST_COLUMNS)
    return math.ceil(len(mask) / MOST_ROWS), 1 if columns <= MOST_COLUMNS else kernel * kernels


def _cells(masks: Sequence[Tensor], tall: int, wide: int) -> Cells:
    """How many weights are True in each cell."""
    table = _by_filter(masks) if len(masks) > 1 else masks[0].flatten(1).int()
    rows, columns = table.shape
    whole = F.pad(table, (0, -columns % wide, 0, -rows % tall))
    counts = whole.view(len(whole) // tall, tall, -1, wide).sum((1, 3))
    return tuple(map(tuple, counts.tolist()))


def _by_filter(masks: Sequence[Tensor]) -> Tensor:
    """(layers, the most filters that one has): how many weights of each filter are True, and 0 beyond the last."""
    most = max(len(mask) for mask in masks)
    return torch.stack([F.pad(mask.flatten(1).sum(1), (0, most - len(mask))) for mask in masks])
