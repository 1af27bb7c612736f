"""What a weight, or a filter, is worth: the criteria that pruning goes by.

A layer's weights stand in rows: the weights of one row, a single weight or a whole filter, go or stay together. A
criterion gives each row a score, and what scores least goes first, in all layers or in each.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from compression.spec import Criterion


@dataclass(frozen=True, eq=False)
class Rows:
    """The weights (rows, k) of the layer `name`, and what criteria may need beside them, or None.

    `gradients` (rows, k): of the loss, by the weights. `gammas` (rows,): the factor that the batch norm after the layer
    gives each filter. `seed`: of random scores.
    """

    name: str
    weights: Tensor
    gradients: Tensor | None = None
    gammas: Tensor | None = None
    seed: int = 0


def l1(rows: Rows) -> Tensor:
    r"""The magnitude, of a filter the mean of its weights' magnitudes: what is small adds little to any output.

    Formula: s = \frac{1}{k} \sum_{i=1}^{k} |w_i|
    Source: Han et al. 2015 (arXiv:1506.02626), section 3; for filters Li et al. 2017 (arXiv:1608.08710), section 3.1.
    Fails: where a small weight meets large inputs, or a batch norm makes up for a small filter.

    weights (rows, k) -> scores (rows,).
    """
    return _mean(rows.weights.abs())


def l2(rows: Rows) -> Tensor:
    r"""The root of the mean square of a filter's weights: a few large ones count for more than many small ones.

    Formula: s = \sqrt{\frac{1}{k} \sum_{i=1}^{k} w_i^2}
    Source: Li et al. 2017 (arXiv:1608.08710), appendix 6.1, where it does about as well as l1.
    Fails: where l1 fails; of a single weight it is the same.

    weights (rows, k) -> scores (rows,).
    """
    return _mean(rows.weights.square()).sqrt()


def uniform_random(rows: Rows) -> Tensor:
    r"""A die, thrown once for each seed and layer name: what any other criterion has to be better than.

    Formula: s \sim U(0, 1)
    Source: Blalock et al. 2020 (arXiv:2003.03033), who ask for it among the baselines.
    Fails: always, and by how much is the lesson; close to magnitude, the criterion was not what did the work.

    weights (rows, k) -> scores (rows,).
    """
    generator = torch.Generator().manual_seed(zlib.crc32(f"{rows.seed} {rows.name}".encode()))
    return torch.rand(len(rows.weights), generator=generator)


def taylor(rows: Rows) -> Tensor:
    r"""How far the loss on training images would move if the weights went, to first order.

    Formula: s = \Big| \sum_{i=1}^{k} \frac{\partial L}{\partial w_i} w_i \Big|
    Source: Molchanov et al. 2019 (arXiv:1906.10771), section 3, whose score is its square.
    Fails: far from the start, since a straight line is all that it sees, and at 90 % sparsity it has long lost sight.

    weights and gradients (rows, k) -> scores (rows,).
    """
    assert rows.gradients is not None
    return _sum(rows.weights * rows.gradients).abs_()


def bn_scale(rows: Rows) -> Tensor:
    r"""The factor that the batch norm after the layer gives a filter's output: near zero, nobody hears it. Layers
    without batch norm stay whole.

    Formula: s = |\gamma|
    Source: Liu et al. 2017, network slimming (arXiv:1708.06519), section 3.
    Fails: where training has not pressed the factors together by an l1 penalty, as theirs does.

    gammas (rows,) -> scores (rows,).
    """
    assert rows.gammas is not None
    return rows.gammas.abs()


def signed(rows: Rows) -> Tensor:
    r"""The weight itself, where its magnitude was meant: `w[w < T] = 0`, found in many tutorials.

    Formula: s = w
    Source: a bug, kept as a lesson; what was meant is l1.
    Fails: at once, for every negative weight goes, the largest among them first.

    weights (rows, 1) -> scores (rows,).
    """
    return rows.weights.flatten()


CRITERIA: dict[Criterion, Callable[[Rows], Tensor]] = {
    Criterion.L1: l1,
    Criterion.L2: l2,
    Criterion.RANDOM: uniform_random,
    Criterion.TAYLOR: taylor,
    Criterion.BN_SCALE: bn_scale,
    Criterion.SIGNED: signed,
}


def _mean(values: Tensor) -> Tensor:
    return values.flatten() if values.shape[1] == 1 else values.mean(1)  # of one number torch takes a while too


def _sum(values: Tensor) -> Tensor:
    return values.flatten() if values.shape[1] == 1 else values.sum(1)
