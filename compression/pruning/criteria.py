"""Importance criteria: scores of single weights or of whole filters. The lowest scores are pruned first.

The weights of a layer are given as rows. A row is a single weight or a whole filter, and its weights are pruned
together. A criterion gives each row a score.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from compression.spec import Criterion


@dataclass(frozen=True, eq=False)
class Rows:
    """The weights (rows, k) of the layer `name`, with the other data that criteria may need, or None.

    `gradients` (rows, k): of the loss with respect to the weights; for obs of the error of the layer's output.
    `gammas` (rows,): the scale of each filter in the batch norm after the layer. `seed`: of random scores.
    """

    name: str
    weights: Tensor
    gradients: Tensor | None = None
    gammas: Tensor | None = None
    seed: int = 0


def l1(rows: Rows) -> Tensor:
    r"""The score is the magnitude of the weight, or the mean magnitude of the weights of a filter. Small weights
    contribute little to the output.

    Formula: s = \frac{1}{k} \sum_{i=1}^{k} |w_i|
    Source: Han et al. 2015 (arXiv:1506.02626), section 3; for filters Li et al. 2017 (arXiv:1608.08710), section 3.1.
    Fails: if a small weight has large inputs, or if a batch norm scales up the output of a small filter.

    weights (rows, k) -> scores (rows,).
    """
    return _mean(rows.weights.abs())


def l2(rows: Rows) -> Tensor:
    r"""The score is the root mean square of the weights of a filter. A few large weights count more than many small
    ones.

    Formula: s = \sqrt{\frac{1}{k} \sum_{i=1}^{k} w_i^2}
    Source: Li et al. 2017 (arXiv:1608.08710), appendix 6.1, where it does about as well as l1.
    Fails: in the same cases as l1. For single weights it equals l1.

    weights (rows, k) -> scores (rows,).
    """
    return _mean(rows.weights.square()).sqrt()


def uniform_random(rows: Rows) -> Tensor:
    r"""The score is a random number, fixed by the seed and the name of the layer. It is the baseline that any other
    criterion must beat.

    Formula: s \sim U(0, 1)
    Source: Blalock et al. 2020 (arXiv:2003.03033), who recommend it as a baseline.
    Fails: always, since it ignores the weights. A criterion that is hardly more accurate than this contributes little.

    weights (rows, k) -> scores (rows,).
    """
    generator = torch.Generator().manual_seed(zlib.crc32(f"{rows.seed} {rows.name}".encode()))
    return torch.rand(len(rows.weights), generator=generator)


def taylor(rows: Rows) -> Tensor:
    r"""The score estimates how much the loss on training images changes if the weights become zero, by a first-order
    Taylor expansion.

    Formula: s = \Big| \sum_{i=1}^{k} \frac{\partial L}{\partial w_i} w_i \Big|
    Source: Molchanov et al. 2019 (arXiv:1906.10771), section 3, who use its square.
    Fails: at high sparsity: the expansion holds for small changes, and pruning 90 % of the weights is a large one.

    weights and gradients (rows, k) -> scores (rows,).
    """
    assert rows.gradients is not None
    return _sum(rows.weights * rows.gradients).abs_()


def obs(rows: Rows) -> Tensor:
    r"""The score is how far the output of the layer moves on training images if the weight becomes zero and the other
    weights of its channel make up for it: the optimal brain surgeon. A whole filter leaves no weight to make up for it.
    Both are shares of the energy of the layer's output, so that layers can be compared.

    Formula: s = \frac{w_j^2}{[H^{-1}]_{jj} \|Y\|^2} \text{; a filter: } s = \frac{w^\top H w}{\|Y\|^2}; \, H = X X^\top
    Source: Hassibi and Stork 1993; for single layers Frantar and Alistarh 2022 (arXiv:2208.11580), section 3.
    Fails: for many weights at once, since each score assumes that all others stay; and if the survivors do not move.

    weights (rows, k), gradients (rows, k) by `core.output_gradients` -> scores (rows,).
    """
    assert rows.gradients is not None
    return _sum(rows.weights * rows.gradients)


def bn_scale(rows: Rows) -> Tensor:
    r"""The score of a filter is the magnitude of its scale in the batch norm after the layer. A filter with a scale
    near zero has almost no effect. Layers without batch norm are not pruned.

    Formula: s = |\gamma|
    Source: Liu et al. 2017, network slimming (arXiv:1708.06519), section 3.
    Fails: without an L1 penalty in training, which pushes the scales of unimportant filters towards zero.

    gammas (rows,) -> scores (rows,).
    """
    assert rows.gammas is not None
    return rows.gammas.abs()


def signed(rows: Rows) -> Tensor:
    r"""The score is the weight itself instead of its magnitude: `w[w < T] = 0`, a bug in many tutorials.

    Formula: s = w
    Source: A bug, included as a lesson. The correct criterion is l1.
    Fails: immediately: every negative weight is pruned, the ones with the largest magnitudes first.

    weights (rows, 1) -> scores (rows,).
    """
    return rows.weights.flatten()


CRITERIA: dict[Criterion, Callable[[Rows], Tensor]] = {
    Criterion.L1: l1,
    Criterion.L2: l2,
    Criterion.RANDOM: uniform_random,
    Criterion.TAYLOR: taylor,
    Criterion.OBS: obs,
    Criterion.BN_SCALE: bn_scale,
    Criterion.SIGNED: signed,
}


def _mean(values: Tensor) -> Tensor:
    return values.flatten() if values.shape[1] == 1 else values.mean(1)  # skips a slow no-op


def _sum(values: Tensor) -> Tensor:
    return values.flatten() if values.shape[1] == 1 else values.sum(1)
