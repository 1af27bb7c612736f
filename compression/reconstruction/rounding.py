"""Error-compensating rounding: each column is rounded, and the columns after it make up for its error.

Rate-aware rounding also chooses the steps, and prefers codes that the file stores in few bits.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from compression.reconstruction.factor import Factor
from compression.reconstruction.grids import EvenGrid, Grid

BLOCK = 64  # columns whose updates are held back from the others, and then applied in one product


def importance_order(second: Tensor) -> Tensor:
    """second (G, d, d) -> order (G, d): columns by falling energy of their inputs; of equal ones the first first."""
    return second.diagonal(dim1=1, dim2=2).argsort(dim=1, descending=True, stable=True)


def reorder(matrix: Tensor, order: Tensor) -> Tensor:
    """matrix (G, d, d), order (G, d) -> rows and columns in that order."""
    size = matrix.shape[1]
    lines = matrix.gather(1, order[:, :, None].expand(-1, -1, size))
    return lines.gather(2, order[:, None].expand(-1, size, -1))


RATE_PASSES = 2  # that round again, with the prices that follow from the codes of the pass before

RATE_SHARE = 0.5  # of the price of a bit that decides between codes; more of it loses more accuracy than bytes


def compensated(
    rows: Tensor,
    factor: Factor,
    order: Tensor,
    grid: Grid | None,
    keep: Tensor | None,
    prices: Tensor | None = None,
) -> Tensor:
    r"""Weights are rounded one input after another, and those not yet rounded make up for each error of the output.

    Formula: e_j = (w_j - \hat w_j) / U_{jj}, \quad w_k \leftarrow w_k - e_j U_{jk} \text{ for } k > j
    Source: GPTQ, Frantar et al. 2022 (arXiv:2210.17323), algorithm 1; with pruning SparseGPT, Frantar and Alistarh 2023
        (arXiv:2301.00774), section 3.
    Fails: if the sample is small or unlike the images later: the errors then cancel on the sample alone.

    Returns rows (G, r, d) rounded to `grid`, in `order`; `factor` is of the second moments in this order.
    Weights outside `keep` (G, r, d) bool become zero, an error made up for like any other. Without a `grid`, only these
    change the others. With `prices` (G, r, codes) of the codes of an even grid, in units of the squared output error,
    each weight becomes the value with the least error plus price, instead of the nearest.
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
            places = order[:, start + j]
            if grid is None:
                value = column
            elif prices is None:
                value = grid.nearest(column, places)
            else:
                assert isinstance(grid, EvenGrid)
                value = grid.cheapest(column, places, prices * upper[:, j, j, None, None] ** 2)
            if mask is not None:
                value = value * mask[:, :, start + j]
            result[:, :, start + j] = value
            error = (column - value) / upper[:, j, j, None]
            errors[:, :, j] = error
            block[:, :, j + 1 :] -= error[:, :, None] * upper[:, None, j, j + 1 :]
        work[:, :, stop:] -= errors @ factor.upper[:, start:stop, stop:]
    return torch.empty_like(result).scatter_(2, place, result)


def rate_aware(
    rows: Tensor, factor: Factor, order: Tensor, grid: EvenGrid, keep: Tensor | None, bit_error: Tensor
) -> Tensor:
    r"""Like compensated rounding, but each layer has the steps that are worth their bytes in the file, and codes that
    take few bits are preferred to those that are a little nearer.

    Formula: \hat w_j = \arg\min_v\ (w_j - v)^2 / U_{jj}^2 + \lambda \log_2 (1 / p_v)
    Source: rate-constrained quantization, 2025 (arXiv:2505.18758); here p is the share of a value in the layer, as
        rounded in the pass before.
    Fails: with a penalty so large that most weights become zero: too little of the signal passes such layers.

    Returns rows (G, r, d) rounded to `grid`, whose steps are those of `rate_steps`. `bit_error` (G, r): the squared
    error \lambda of a channel's output that a bit is worth.
    """
    result = compensated(rows, factor, order, grid, keep)
    for _ in range(RATE_PASSES):
        codes = grid.codes(result) if keep is None else grid.codes(result)[keep]
        counts = torch.bincount(codes.flatten(), minlength=grid.high - grid.low + 1).double() + 0.1
        bits = -(counts / counts.sum()).log2()
        result = compensated(rows, factor, order, grid, keep, RATE_SHARE * bit_error[:, :, None] * bits)
    return result


def rate_steps(factor: Factor, order: Tensor, grid: EvenGrid, keep: Tensor, bit_error: Tensor, shared: bool) -> Tensor:
    r"""Returns the steps, as `grid.scale`, at which a bit more per weight saves as much error as it is worth.

    Formula: \Delta^2 = \frac{6}{\ln 2}\, \lambda\, n \Big/ \sum_j U_{jj}^{-2}
    Source: with many bits, the error is D = \Delta^2 / 12 \sum_j U_{jj}^{-2}, and a bit that all n weights have more
        divides it by 4: dD / dR = -2 \ln 2 \cdot D / n for entropy-coded even steps (Gish and Pierce 1968).
    Fails: below a bit per weight, where a bit saves less error: the steps are then smaller than they should be.

    `keep` (G, r, d) bool: the n weights that are not zero. `bit_error`: see `rate_aware`. `shared`: all channels have
    one step, and n and the sum are those of the whole tensor. The smallest steps are those of the grid, whose range is
    that of the weights, and the largest is this range.
    """
    squares = factor.upper.diagonal(dim1=1, dim2=2).square().reciprocal()
    by_column = torch.empty_like(squares).scatter_(1, order, squares)[:, None].expand_as(keep)
    count, total = (_sums(each * keep, grid.size) for each in (torch.ones_like(by_column), by_column))
    if shared:
        count, total = (each.sum().expand_as(each) for each in (count, total))
    steps = (6 / math.log(2) * bit_error[:, :, None] * count / total.clamp_min(torch.finfo(total.dtype).tiny)).sqrt()
    return torch.minimum(torch.maximum(steps, grid.scale), grid.scale * grid.high)


def _sums(columns: Tensor, size: int) -> Tensor:
    """columns (G, r, d) -> the sums of parts of `size` columns each, (G, r, m)."""
    groups, channels, width = columns.shape
    return F.pad(columns, (0, -width % size)).view(groups, channels, -1, size).sum(3)
