"""Which layer gets which setting, when all together have a budget: the multiple-choice knapsack.

Each layer's harm is taken from a scan of sensitivity, where it was compressed alone; that harms add up is an
assumption (Dong et al. 2020, HAWQ-V2, arXiv:1911.03852, choose bits in the same way, with a Hessian's trace for harm).
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from compression.experiments.scan import ScanReading
from compression.spec import FLOAT_BITS, CompressionSpec, LayerSpec

MOST_LEVELS = 100_000


def assigned(reading: ScanReading, weights: Mapping[str, int], budget: float) -> tuple[LayerSpec, ...]:
    """For each layer one of the settings of a whole scan, with the least sum of losses that keeps within `budget`.

    `weights`: how many each layer has. `budget`: bits a weight on average, or, where the scan is one of sparsities,
    the share of weights that may stay (0..1). Raises ValueError where the scan lacks cells or no choice keeps within.
    """
    scan = reading.scan
    if not reading.done:
        raise ValueError("the scan is not whole yet: each layer needs to be measured at each setting")
    costs = [[weights[layer] * cost(spec) for spec in scan.specs] for layer in scan.layers]
    harms = [[reading.cells[layer, spec].loss for spec in scan.specs] for layer in scan.layers]
    total = sum(weights[layer] for layer in scan.layers)
    try:
        chosen = least_harm(costs, harms, budget * total)
    except ValueError:
        least = sum(min(row) for row in costs) / total
        raise ValueError(
            f"the smallest settings of the scan come to {least:.3g}, above the budget {budget:.3g}"
        ) from None
    return tuple(setting(scan.specs[place], layer) for place, layer in zip(chosen, scan.layers, strict=True))


def cost(spec: CompressionSpec) -> float:
    """What a weight costs: the bits of its code, or, where nothing is quantized, the share that is not pruned."""
    if spec.weights:
        return spec.weights.bits
    return 1 - (spec.prune.sparsity or 0.0) if spec.prune else FLOAT_BITS


def setting(spec: CompressionSpec, layer: str) -> LayerSpec:
    """`spec`, said of one layer of a network."""
    if spec.weights:
        return LayerSpec(layer, bits=spec.weights.bits)
    return LayerSpec(layer, sparsity=spec.prune.sparsity if spec.prune else 0.0)


def least_harm(costs: Sequence[Sequence[float]], harms: Sequence[Sequence[float]], budget: float) -> tuple[int, ...]:
    """One place in each row, so that the harms there sum to the least that costs of at most `budget` allow.

    By dynamic programming over the budget (Kellerer, Pferschy and Pisinger 2004, Knapsack Problems, section 11.5):
    exact for whole costs whose greatest common divisor goes into the budget at most MOST_LEVELS times. Otherwise
    costs are rounded up to a level, so that the budget is kept, and a last level or two for each row may stay unused.
    Raises ValueError where every choice costs more.
    """
    level = _level(costs, budget)
    top = math.floor(budget / level + 1e-9)
    steps = [[math.ceil(cost / level - 1e-9) for cost in row] for row in costs]
    if sum(min(row) for row in steps) > top:
        raise ValueError("every choice costs more than the budget")
    best = np.zeros(top + 1)  # of the rows so far, by what they may cost
    choices = []
    for row, harm in zip(steps, harms, strict=True):
        options = np.full((len(row), top + 1), np.inf)
        for place, (step, each) in enumerate(zip(row, harm, strict=True)):
            if step <= top:
                options[place, step:] = best[: top + 1 - step] + each
        choices.append(options.argmin(0))
        best = options.min(0)
    found, left = [], top
    for row, choice in zip(reversed(steps), reversed(choices), strict=True):
        found.append(int(choice[left]))
        left -= row[found[-1]]
    return tuple(reversed(found))


def _level(costs: Sequence[Sequence[float]], budget: float) -> float:
    """The unit in which costs are counted."""
    flat = [each for row in costs for each in row]
    whole = math.gcd(*(int(each) for each in flat)) if all(float(each).is_integer() for each in flat) else 0
    return max(whole, budget / MOST_LEVELS) or 1
