"""Pruning granularities: single weights, n of every m weights, or whole filters."""

from collections.abc import Callable

import torch
from torch import Tensor

from compression.spec import Structure


def single_weights(weight: Tensor) -> Tensor:
    r"""Each weight is pruned or kept independently, so the most important weights are kept wherever they are.

    Formula: m_{oi} \in \{0, 1\}
    Source: Han et al. 2015 (arXiv:1506.02626), section 3.
    Fails: to make the network faster: ordinary hardware multiplies by scattered zeros as by any other number.

    weight (C_out, ...) -> rows (weights, 1).
    """
    return weight.reshape(-1, 1)


def keep_n_of_m(scores: Tensor, n: int, m: int) -> Tensor:
    r"""Of every m consecutive weights along the input channels, the n with the highest scores are kept. Some graphics
    cards skip the zeros of the pattern 2:4.

    Formula: \textstyle\sum_{i=1}^{m} m_{o,\,mg+i} = n \text{ in each group } g
    Source: Mishra et al. 2021 (arXiv:2104.08378), section 3.
    Fails: if important weights are next to each other. Input channels that do not fill a group of m are not pruned.

    scores (C_out, C_in, ...) -> bool of the same shape. Each position of a kernel has groups of its own. Of equal
    scores the first are pruned.
    """
    inputs = scores.shape[1] // m * m
    groups = scores[:, :inputs].unflatten(1, (inputs // m, m))
    rank = torch.zeros_like(groups, dtype=torch.int16)  # how many scores of the group are lower
    for index in range(m):  # takes a fifth of the time of sorting
        score = groups[:, :, index : index + 1]
        rank[:, :, :index] += score < groups[:, :, :index]
        rank[:, :, index + 1 :] += score <= groups[:, :, index + 1 :]
    keep = torch.ones_like(scores, dtype=torch.bool)
    keep[:, :inputs] = (rank >= m - n).flatten(1, 2)
    return keep


def whole_filters(weight: Tensor) -> Tensor:
    r"""A whole output channel is pruned or kept, with its bias and batch norm. Pruned filters can be removed from the
    network, which makes it faster on any hardware.

    Formula: m_{oi} = m_o \in \{0, 1\}
    Source: Li et al. 2017 (arXiv:1608.08710), section 3.
    Fails: at lower sparsity than single weights: important weights are pruned together with unimportant ones.

    weight (C_out, ...) -> rows (C_out, k).
    """
    return weight.reshape(len(weight), -1)


STRUCTURES: dict[Structure, Callable[..., Tensor]] = {
    Structure.WEIGHT: single_weights,
    Structure.N_M: keep_n_of_m,
    Structure.FILTER: whole_filters,
}
