"""The learning rate and the sparsity at each step of a training run: pure functions of the recipe."""

import math
from bisect import bisect_right

from compression.retraining.recipe import RateSchedule, Recipe, SparsitySchedule

STAGES = 5  # of iterative pruning

PRUNING_TIMES = 50  # of the cubic schedule


def rate_share(recipe: Recipe, step: int, total: int) -> float:
    """Returns the learning rate of `step` (0..total - 1) as a share (0..1) of the highest.

    It starts high again and falls in a line to zero, as the default: with few epochs that recovers more than the low
    rate at which training ended (Le and Hua 2021, arXiv:2105.03193). Rewound: it does so in each stage of iterative
    pruning (learning rate rewinding, Renda et al. 2020, arXiv:2003.02389, section 3).
    """
    if recipe.rate_schedule is RateSchedule.CONSTANT:
        return 1.0
    if recipe.rate_schedule is RateSchedule.COSINE:
        return (1 + math.cos(math.pi * step / total)) / 2
    if recipe.rate_schedule is RateSchedule.REWOUND:
        ends = _stage_ends(recipe, total)
        stage = min(bisect_right(ends, step), STAGES - 1)
        start, end = ([0, *ends][stage], [*ends[:-1], total][stage])
        return 1 - (step - start) / (end - start)
    return 1 - step / total


def sparsity_at(recipe: Recipe, target: float, step: int, total: int) -> float:
    """Returns the sparsity (0..target) with which `step` is trained.

    Cubic: target * (1 - (1 - t)^3) for the share t of the pruning time (Zhu and Gupta 2017, arXiv:1710.01878,
    equation 1, from sparsity 0), in PRUNING_TIMES changes. Iterative: in STAGES stages that each prune the same share
    of the weights that are left (Han et al. 2015, arXiv:1506.02626).
    """
    end = recipe.pruned_by * total
    if recipe.sparsity_schedule is SparsitySchedule.ONE_SHOT or step >= end:
        return target
    if recipe.sparsity_schedule is SparsitySchedule.CUBIC:
        t = math.ceil((step + 1) / end * PRUNING_TIMES) / PRUNING_TIMES
        return target * (1 - (1 - min(t, 1.0)) ** 3)
    stage = bisect_right(_stage_ends(recipe, total), step) + 1
    return 1 - (1 - target) ** (min(stage, STAGES) / STAGES) if target < 1 else target


def _stage_ends(recipe: Recipe, total: int) -> list[int]:
    """Returns after how many steps each stage of iterative pruning ends; some stages of a short run have no steps."""
    return [math.floor(recipe.pruned_by * total * stage / STAGES) for stage in range(1, STAGES + 1)]


def bits_at(recipe: Recipe, step: int, total: int) -> int | None:
    """Returns the bits per weight with which `step` is trained, or None for those of the spec."""
    number = 2 * len(recipe.bit_schedule) * step // total
    return recipe.bit_schedule[number] if number < len(recipe.bit_schedule) else None


def is_settled(recipe: Recipe, target: float | None, step: int, total: int) -> bool:
    """Returns whether `step` is trained with the sparsity `target`, if there is one, and with the bits of the spec."""
    is_pruned = target is None or sparsity_at(recipe, target, step, total) == target
    return is_pruned and bits_at(recipe, step, total) is None


def point_steps(recipe: Recipe, total: int) -> tuple[int, ...]:
    """Returns after how many steps the held-out images are counted: 0, then `points` times, at last at the end."""
    return tuple(sorted({round(number * total / recipe.points) for number in range(recipe.points + 1)} | {total}))
