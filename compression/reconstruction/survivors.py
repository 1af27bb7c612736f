"""Optimal Brain Surgeon: which weight costs least, and how the weights that were kept make up for the others."""

import torch
from torch import Tensor

from compression.reconstruction.factor import Factor

BATCH_VALUES = 2**24  # values of the systems that are solved at once


def obs_gradients(rows: Tensor, factor: Factor) -> Tensor:
    r"""rows (G, r, d), factor of their inputs in the same order -> (G, r, d), half the gradient of the least error.

    That is the least squared error of the layer's output if this weight shrinks and all others of its channel move to
    make up for it. The gradient times the weight is that error for a weight of zero: the score of pruning it.

    Formula: g_j = w_j \,/\, [H^{-1}]_{jj}
    Source: Optimal Brain Surgeon, Hassibi and Stork 1993; for layers Frantar and Alistarh 2022 (arXiv:2208.11580).
    """
    return rows.double() / factor.upper.square().sum(1)[:, None]


def move_survivors(second: Tensor, cross: Tensor, keep: Tensor) -> Tensor:
    r"""second (G, d, d), cross (G, r, d), keep (G, r, d) bool -> the rows (G, r, d) with the least squared error.

    Formula: w_S = H_{SS}^{-1} c_S \text{ with } S \text{ the weights that are kept,} \quad w_{\bar S} = 0
    Source: the normal equations; for pruning Hassibi and Stork 1993 (Optimal Brain Surgeon), here for all at once.
    Fails: if the sample is small: the weights then fit the sample. Damping of `second` keeps them back.

    `second` is positive definite, thus damped. Each output channel has a system of its own, as large as the number of
    its survivors.
    """
    rows = torch.zeros_like(cross)
    channels, size = cross.shape[1:]
    flat_keep = keep.reshape(-1, size)
    counts = flat_keep.sum(1)
    flat_cross, flat_rows = cross.reshape(-1, size), rows.view(-1, size)
    order = counts.argsort(stable=True)
    order = order[counts[order] > 0]
    start = 0
    while start < len(order):
        width = int(counts[order[start]])
        stop = start + 1
        while stop < len(order) and (stop - start + 1) * int(counts[order[stop]]) ** 2 <= BATCH_VALUES:
            width = int(counts[order[stop]])
            stop += 1
        batch = order[start:stop]
        flat_rows[batch] = _solve(second, flat_cross[batch], flat_keep[batch], batch // channels, width)
        start = stop
    return rows


def _solve(second: Tensor, cross: Tensor, keep: Tensor, group: Tensor, width: int) -> Tensor:
    """cross, keep (b, d), group (b,) -> the solutions (b, d) of systems with at most `width` unknowns each."""
    index = keep.to(torch.int8).argsort(dim=1, descending=True, stable=True)[:, :width]
    used = keep.gather(1, index)
    systems = second[group[:, None, None], index[:, :, None], index[:, None, :]]
    systems = systems * (used[:, :, None] & used[:, None, :]) + torch.diag_embed((~used).to(second.dtype))
    target = (cross.gather(1, index) * used)[:, :, None]
    solution = torch.cholesky_solve(target, torch.linalg.cholesky(systems))[:, :, 0]
    return torch.zeros_like(cross).scatter_(1, index, solution * used)
