"""What goes or stays as one when weights are pruned: each weight, n of each m, or whole filters."""

from collections.abc import Callable

import torch
from torch import Tensor

from compression.spec import Structure


def single_weights(weight: Tensor) -> Tensor:
    r"""Each weight goes or stays by itself, so the best stay wherever they stand.

    Formula: m_{oi} \in \{0, 1\}
    Source: Han et al. 2015 (arXiv:1506.02626), section 3.
    Fails: to be faster: ordinary kernels multiply zeros that lie about like any other number.

    weight (C_out, ...) -> rows (weights, 1).
    """
    return weight.reshape(-1, 1)


def keep_n_of_m(scores: Tensor, n: int, m: int) -> Tensor:
    r"""Of each m weights in a row along the inputs, the n best stay: of 2:4, graphics cards skip the zeros.

    Formula: \textstyle\sum_{i=1}^{m} m_{o,\,mg+i} = n \text{ in each group } g
    Source: Mishra et al. 2021 (arXiv:2104.08378), section 3.
    Fails: where the good weights stand together; and inputs that are no full group of m, as of a first layer, stay.

    scores (C_out, C_in, ...) -> bool of the same shape, for each place of a kernel alone; of equal ones the first go.
    """
    inputs = scores.shape[1] // m * m
    groups = scores[:, :inputs].unflatten(1, (inputs // m, m))
    better_than = torch.zeros_like(groups, dtype=torch.int16)
    for place in range(m):  # a fifth of the time of sorting them
        one = groups[:, :, place : place + 1]
        better_than[:, :, :place] += one < groups[:, :, :place]
        better_than[:, :, place + 1 :] += one <= groups[:, :, place + 1 :]
    keep = torch.ones_like(scores, dtype=torch.bool)
    keep[:, :inputs] = (better_than >= m - n).flatten(1, 2)
    return keep


def whole_filters(weight: Tensor) -> Tensor:
    r"""A whole output channel goes or stays, with its bias and batch norm: what goes can be taken out of the network.

    Formula: m_{oi} = m_o \in \{0, 1\}
    Source: Li et al. 2017 (arXiv:1608.08710), section 3.
    Fails: sooner than single weights do, since good weights go with bad ones.

    weight (C_out, ...) -> rows (C_out, k).
    """
    return weight.reshape(len(weight), -1)


STRUCTURES: dict[Structure, Callable[..., Tensor]] = {
    Structure.WEIGHT: single_weights,
    Structure.N_M: keep_n_of_m,
    Structure.FILTER: whole_filters,
}
