"""Nonzero weights as a picture that fits a screen. Each cell counts all of its weights; there is no sampling.

A picture of one layer has one row per filter and one column per weight of a filter. A picture of several layers has one
row per layer and one column per filter. If that is more than 64 x 96 cells, neighbours share a cell: several filters
vertically, and one or more whole kernels horizontally.
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
    """The number of `nonzero` weights and of all `weights` per cell. A cell without weights is after the last filter.

    Cells at the far edges may have fewer rows and columns than the others.
    """

    nonzero: Cells
    weights: Cells
    rows_per_cell: int
    columns_per_cell: int


@dataclass(frozen=True)
class Overlap:
    """Two ways to prune one network: the number of weights per cell that neither, one or both of them prune."""

    neither: Cells
    only_first: Cells
    only_second: Cells
    both: Cells
    rows_per_cell: int
    columns_per_cell: int

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """The weights that neither, only the first, only the second, and both prune; together all weights."""
        neither, first, second, both = (
            sum(map(sum, cells)) for cells in (self.neither, self.only_first, self.only_second, self.both)
        )
        return neither, first, second, both


def build_mosaic(weights: Sequence[Tensor]) -> Mosaic:
    """Returns the picture of the weights (C_out, ...) of one or several layers after pruning."""
    masks = [weight != 0 for weight in weights]
    rows, columns = _cell_size(masks)
    ones = [torch.ones_like(mask) for mask in masks]
    return Mosaic(_count_cells(masks, rows, columns), _count_cells(ones, rows, columns), rows, columns)


def build_overlap(first: Sequence[Tensor], second: Sequence[Tensor]) -> Overlap:
    """Compares the weights (C_out, ...) of one or several layers that were pruned in two ways."""
    pairs = [(one != 0, other != 0) for one, other in zip(first, second, strict=True)]
    rows, columns = _cell_size([one for one, _ in pairs])
    return Overlap(
        _count_cells([one & other for one, other in pairs], rows, columns),
        _count_cells([~one & other for one, other in pairs], rows, columns),
        _count_cells([one & ~other for one, other in pairs], rows, columns),
        _count_cells([~one & ~other for one, other in pairs], rows, columns),
        rows,
        columns,
    )


def _cell_size(masks: Sequence[Tensor]) -> tuple[int, int]:
    """Returns how many rows and how many columns share a cell."""
    if len(masks) > 1:
        return 1, math.ceil(max(len(mask) for mask in masks) / MOST_COLUMNS)
    (mask,) = masks
    columns, kernel = mask[0].numel(), mask[0, 0].numel()
    kernels = math.ceil(columns / kernel / MOST_COLUMNS)
    return math.ceil(len(mask) / MOST_ROWS), 1 if columns <= MOST_COLUMNS else kernel * kernels


def _count_cells(masks: Sequence[Tensor], rows: int, columns: int) -> Cells:
    """Returns how many weights are True in each cell."""
    table = _count_filters(masks) if len(masks) > 1 else masks[0].flatten(1).int()
    height, width = table.shape
    whole = F.pad(table, (0, -width % columns, 0, -height % rows))
    counts = whole.view(len(whole) // rows, rows, -1, columns).sum((1, 3))
    return tuple(map(tuple, counts.tolist()))


def _count_filters(masks: Sequence[Tensor]) -> Tensor:
    """Returns how many weights of each filter are True: (layers, largest number of filters), 0 after the last."""
    most = max(len(mask) for mask in masks)
    return torch.stack([F.pad(mask.flatten(1).sum(1), (0, most - len(mask))) for mask in masks])
