"""LIME and KernelSHAP over superpixels: which squares of an image speak for a class.

The image is divided into a grid of GRID x GRID squares. Both methods put grey squares in place of some of them, ask the
network for the logit each time, and fit a linear model of the squares that stay, by weighted least squares. They differ
in which squares they cover and in how the samples are weighted.
"""

import math

import numpy as np
import torch
from torch import Tensor, nn

GRID = 4  # squares across and down

SAMPLES = 500

KERNEL_WIDTH = 0.25  # of LIME, in units of the cosine distance

RIDGE = 1.0  # the penalty of LIME's linear model

BATCH = 125

SEED = 0


def lime(module: nn.Module, image: Tensor, grey: Tensor, label: int) -> Tensor:
    """image and grey (1, C, H, W) -> (H, W): what each square adds to the logit near the image.

    Each sample keeps every square with probability 1/2; samples like the image weigh more: exp(-d² / width²), where d
    is the cosine distance of the squares that stay from all squares. Ridge regression with an intercept gives what
    each square adds. Source: Ribeiro, Singh and Guestrin 2016 (arXiv:1602.04938), equation 1, and their code.
    """
    generator = torch.Generator().manual_seed(SEED)
    squares = GRID * GRID
    present = (torch.rand(SAMPLES, squares, generator=generator) < 0.5).double()
    present[0] = 1
    logits = masked_logits(module, image, grey, label, present)
    distance = 1 - (present.sum(1) / squares).sqrt()
    weights = torch.exp(-((distance / KERNEL_WIDTH) ** 2))
    return as_map(weighted_ridge(present, logits, weights, RIDGE), image)


def kernel_shap(module: nn.Module, image: Tensor, grey: Tensor, label: int) -> Tensor:
    """image and grey (1, C, H, W) -> (H, W): an estimate of the Shapley value of each square.

    The values sum to the logit of the image minus that of the grey one, exactly. Sizes of coalitions are drawn as the
    Shapley kernel weighs them, and each coalition comes with its complement. Source: Lundberg and Lee 2017
    (arXiv:1705.07874), theorem 2; the pairs: Covert and Lee 2021 (arXiv:2012.01536).
    """
    squares = GRID * GRID
    present = coalitions(squares, SAMPLES, SEED)
    ends = torch.stack([torch.zeros(squares), torch.ones(squares)]).double()
    nothing, everything, *_ = logits = masked_logits(module, image, grey, label, torch.cat([ends, present]))
    return as_map(constrained_least_squares(present, logits[2:] - nothing, float(everything - nothing)), image)


def coalitions(players: int, count: int, seed: int) -> Tensor:
    """Returns `count` coalitions (count, players) of 0 and 1, each followed by its complement.

    Their sizes are drawn with the probabilities of the Shapley kernel, (n - 1) / (s (n - s)), up to a factor.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    sizes = np.arange(1, players)
    shares = 1 / (sizes * (players - sizes))
    pair_sizes = generator.choice(sizes, math.ceil(count / 2), p=shares / shares.sum())
    rows = np.zeros((len(pair_sizes), 2, players))
    for row, size in zip(rows, pair_sizes, strict=True):
        row[0, generator.choice(players, size, replace=False)] = 1
        row[1] = 1 - row[0]
    return torch.from_numpy(rows.reshape(-1, players)[:count])


def masked_logits(module: nn.Module, image: Tensor, grey: Tensor, label: int, present: Tensor) -> Tensor:
    """present (N, squares) of 0 and 1 -> the logits (N,) float64 of the class, with grey in place of absent squares."""
    masks = as_map(present, image) > 0
    with torch.no_grad():
        parts = [module(torch.where(part[:, None], image, grey))[:, label] for part in masks.split(BATCH)]
    return torch.cat(parts).double()


def as_map(values: Tensor, image: Tensor) -> Tensor:
    """values (..., squares) -> (..., H, W): each pixel of image (1, C, H, W) has the value of its square."""
    height, width = image.shape[2:]
    rows, columns = (torch.arange(size) * GRID // size for size in (height, width))
    return values[..., rows[:, None] * GRID + columns]


def weighted_ridge(features: Tensor, targets: Tensor, weights: Tensor, penalty: float) -> Tensor:
    """features (N, K), targets and weights (N,) -> the K coefficients of weighted ridge regression with an intercept.

    The intercept is not penalised.
    """
    share = weights / weights.sum()
    centred = features - share @ features
    scaled = centred * weights[:, None]
    matrix = scaled.T @ centred + penalty * torch.eye(features.shape[1], dtype=features.dtype)
    return torch.linalg.solve(matrix, scaled.T @ (targets - share @ targets))


def constrained_least_squares(features: Tensor, targets: Tensor, total: float) -> Tensor:
    """features (N, K), targets (N,) -> the K coefficients with the least squared error among those that sum to `total`.

    There is no intercept. The last coefficient follows from the sum of the others.
    """
    last = features[:, -1:]
    others = features[:, :-1] - last
    solution = torch.linalg.lstsq(others, (targets - total * last[:, 0])[:, None], driver="gelsd").solution[:, 0]
    return torch.cat([solution, total - solution.sum(0, keepdim=True)])
