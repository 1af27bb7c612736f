"""Error-compensating rounding: each column is rounded, and the columns after it make up for its error."""

import torch
from torch import Tensor

from compression.reconstruction.factor import Factor
from compression.reconstruction.grids import Grid

BLOCK = 64  # columns whose updates are held back from the others, and then applied in one product


def importance_order(second: Tensor) -> Tensor:
    """second (G, d, d) -> order (G, d): columns by falling energy of their inputs; of equal ones the first first."""
    return second.diagonal(dim1=1, dim2=2).argsort(dim=1, descending=True, stable=True)


def reorder(matrix: Tensor, order: Tensor) -> Tensor:
    """matrix (G, d, d), order (G, d) -> rows and columns in that order."""
    size = matrix.shape[1]
    lines = matrix.gather(1, order[:, :, None].expand(-1, -1, size))
    return lines.gather(2, order[:, None].expand(-1, size, -1))


def compensated(rows: Tensor, factor: Factor, order: Tensor, grid: Grid | None, keep: Tensor | None) -> Tensor:
    r"""Returns rows (G, r, d) rounded to `grid`, column by column in `order`; the rest makes up for each error.

    Formula: e_j = (w_j - \hat w_j) / U_{jj}, \quad w_k \leftarrow w_k - e_j U_{jk} \text{ for } k > j
    Source: GPTQ, Frantar et al. 2022 (arXiv:2210.17323), algorithm 1; with pruning SparseGPT, Frantar and Alistarh 2023
        (arXiv:2301.00774), section 3.
    Fails: if the sample is small or unlike the images later: the errors then cancel on the sample alone.

    `factor` is of the second moments in this order. Weights outside `keep` (G, r, d) bool become zero, an error that is
    made up for like any other. Without a `grid`, only these change the others.
    """
    size = rows.shape[2]
    place = order[:, None].expand_as(rows)
    work = rows.double().gather(2, place)
    mask = None if keep is None else keep.gather(2, place)
    result = torch.empty_like(work)
    for start in range(0, size, BLOCK):
        stop = min(start + BLOCK, size)
        block = work[:, :, start:stop].clone()
        errors = torch.empty_like(block)
        upper = factor.upper[:, start:stop, start:stop]
        for j in range(stop - start):
            column = block[:, :, j]
            value = column if grid is None else grid.nearest(column, order[:, start + j])
            if mask is not None:
                value = value * mask[:, :, start + j]
            result[:, :, start + j] = value
            error = (column - value) / upper[:, j, j, None]
            errors[:, :, j] = error
            block[:, :, j + 1 :] -= error[:, :, None] * upper[:, None, j, j + 1 :]
        work[:, :, stop:] -= errors @ factor.upper[:, start:stop, stop:]
    return torch.empty_like(result).scatter_(2, place, result)
