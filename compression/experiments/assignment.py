"""Assigns a setting to each layer, so that all together keep a budget: the multiple-choice knapsack problem.

The loss that a setting causes in a layer comes from a scan, where that layer alone was compressed. That these losses
add up is an assumption (Dong et al. 2020, HAWQ-V2, arXiv:1911.03852, choose bits in the same way, with the trace of a
Hessian in place of the loss).
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from compression.experiments.scan import ScanReading
from compression.spec import FLOAT_BITS, CompressionSpec, LayerSpec

MOST_LEVELS = 100_000


def assign(reading: ScanReading, weights: Mapping[str, int], budget: float) -> tuple[LayerSpec, ...]:
    """Returns for each layer one of the settings of a scan that is done, with the least sum of losses in the budget.

    `weights` has the number of weights of each layer. `budget` is the average of bits per weight, or, in a scan of
    sparsities, the share (0..1) of weights that stay. Raises ValueError if the scan is not done or the budget is too
    small.
    """
    scan = reading.scan
    if not reading.done:
        raise ValueError("the scan is not whole yet: each layer needs to be measured at each setting")
    costs = [[weights[layer] * cost_per_weight(spec) for spec in scan.specs] for layer in scan.layers]
    losses = [[reading.cells[layer, spec].loss for spec in scan.specs] for layer in scan.layers]
    total = sum(weights[layer] for layer in scan.layers)
    try:
        indices = least_loss(costs, losses, budget * total)
    except ValueError:
        least = sum(min(row) for row in costs) / total
        raise ValueError(
            f"the smallest settings of the scan come to {least:.3g}, above the budget {budget:.3g}"
        ) from None
    return tuple(_layer_spec(scan.specs[index], layer) for index, layer in zip(indices, scan.layers, strict=True))


def cost_per_weight(spec: CompressionSpec) -> float:
    """Returns the bits of a code, or, if nothing is quantized, the share (0..1) of weights that are not pruned."""
    if spec.weights:
        return spec.weights.bits
    return 1 - (spec.prune.sparsity or 0.0) if spec.prune else FLOAT_BITS


def least_loss(costs: Sequence[Sequence[float]], losses: Sequence[Sequence[float]], budget: float) -> tuple[int, ...]:
    """Returns one index into each row, with the least sum of losses whose costs sum to at most `budget`.

    It is solved by dynamic programming over the budget (Kellerer, Pferschy and Pisinger 2004, Knapsack Problems,
    section 11.5). That is exact for whole costs whose greatest common divisor goes into the budget at most MOST_LEVELS
    times. Other costs are rounded up to a level, so that the budget is kept, and a level or two per row may stay
    unused. Raises ValueError if every choice costs more than the budget.
    """
    level = _level(costs, budget)
    top = math.floor(budget / level + 1e-9)
    steps = [[math.ceil(cost / level - 1e-9) for cost in row] for row in costs]
    if sum(min(row) for row in steps) > top:
        raise ValueError("every choice costs more than the budget")
    best = np.zeros(top + 1)  # the least loss of the rows so far, by the budget in levels
    choices = []
    for row, row_losses in zip(steps, losses, strict=True):
        options = np.full((len(row), top + 1), np.inf)
        for index, (step, loss) in enumerate(zip(row, row_losses, strict=True)):
            if step <= top:
                options[index, step:] = best[: top + 1 - step] + loss
        choices.append(options.argmin(0))
        best = options.min(0)
    indices, rest = [], top
    for row, choice in zip(reversed(steps), reversed(choices), strict=True):
        indices.append(int(choice[rest]))
        rest -= row[indices[-1]]
    return tuple(reversed(indices))


def _layer_spec(spec: CompressionSpec, layer: str) -> LayerSpec:
    if spec.weights:
        return LayerSpec(layer, bits=spec.weights.bits)
    return LayerSpec(layer, sparsity=spec.prune.sparsity if spec.prune else 0.0)


def _level(costs: Sequence[Sequence[float]], budget: float) -> float:
    """Returns the unit in which costs are counted."""
    flat = [cost for row in costs for cost in row]
    whole = math.gcd(*(int(cost) for cost in flat)) if all(float(cost).is_integer() for cost in flat) else 0
    return max(whole, budget / MOST_LEVELS) or 1
