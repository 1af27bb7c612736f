"""Learned rounding: whether each weight is rounded up or down is optimized, all weights of a layer together."""

import math

import torch
from torch import Tensor

from compression.reconstruction.grids import Grid

STEPS = 300

RATE = 0.05  # of Adam

STRETCH = 1.2  # of the sigmoid, so that it reaches 0 and 1

WEIGHT = 2.0  # of the term that pushes choices to up or down, per weight; 1 is the mean error of nearest rounding

WARM_UP = 0.2  # share of the steps without that term

SHARPEST, SOFTEST = 2.0, 20.0  # the exponent of that term falls from the second to the first

MOST_OPERATIONS = 2e11  # multiply-adds per layer; larger layers take fewer steps


def learned(rows: Tensor, second: Tensor, grid: Grid, keep: Tensor | None) -> Tensor:
    r"""Whether each weight is rounded up or down is found by gradient descent, for all weights of a layer together.

    Formula: \min_V \lVert (W - \hat W(V)) X \rVert^2 + \lambda \sum (1 - \lvert 2 h(V) - 1 \rvert^\beta), \quad
        h(V) = \mathrm{clip}(1.2\,\sigma(V) - 0.1, 0, 1)
    Source: AdaRound, Nagel et al. 2020 (arXiv:2004.10568), section 3; here errors of the outputs follow from the second
        moments of the inputs, instead of batches of images.
    Fails: at two bits, where the best value is often not one of the two nearest; and it takes a hundred times as long
        as error-compensating rounding.

    Returns rows (G, r, d) with each weight at one of its two neighbours on `grid`. `second` (G, d, d) is damped.
    Weights outside `keep` are zero, and their error is made up for.
    """
    lower, upper = (each.float() for each in grid.neighbours(rows.double()))
    mask = torch.ones_like(lower) if keep is None else keep.float()
    target, matrix = rows.float(), second.float()
    gap = upper - lower
    share = torch.where(gap > 0, (target - lower) / torch.where(gap > 0, gap, 1.0), 0.5).clamp(0.01, 0.99)
    inner = (share + (STRETCH - 1) / 2) / STRETCH
    choice = (inner / (1 - inner)).log().requires_grad_()
    nearest = torch.where(share < 0.5, lower, upper) * mask
    unit = float(((target - nearest) @ matrix * (target - nearest)).sum()) / max(rows.numel(), 1)
    if unit <= 0:
        return nearest.double()
    steps = max(20, min(STEPS, int(MOST_OPERATIONS / (3 * rows.numel() * rows.shape[2]))))
    optimizer = torch.optim.Adam([choice], lr=RATE * STEPS / steps)
    with torch.enable_grad():
        for step in range(steps):
            soft = (STRETCH * choice.sigmoid() - (STRETCH - 1) / 2).clamp(0, 1)
            error = target - (lower + soft * gap) * mask
            loss = (error @ matrix * error).sum() / unit
            progress = (step / steps - WARM_UP) / (1 - WARM_UP)
            if progress > 0:
                exponent = SHARPEST + (SOFTEST - SHARPEST) * (1 + math.cos(math.pi * progress)) / 2
                loss = loss + WEIGHT * (1 - (2 * soft - 1).abs().pow(exponent)).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return (torch.where(choice.detach() > 0, upper, lower) * mask).double()
