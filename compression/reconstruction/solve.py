"""Reconstructs one layer: its weight after pruning and rounding, with what is given back besides, from its moments."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from compression.quantization.codebooks import Codebook
from compression.quantization.quantizers import QParams, choose_qparams, fake_quantize, quantize
from compression.reconstruction.factor import Damping, Factor, damped, factor_inverse
from compression.reconstruction.grids import EvenGrid, Grid, grid_of
from compression.reconstruction.learned import learned
from compression.reconstruction.moments import Moments
from compression.reconstruction.rounding import compensated, importance_order, rate_aware, rate_steps, reorder
from compression.reconstruction.rows import as_rows
from compression.reconstruction.statistics import mean_shift, spread_gain
from compression.reconstruction.survivors import move_survivors
from compression.spec import QuantSpec
from compression.spec.rounding import Rounding


@dataclass(frozen=True)
class Steps:
    """Which steps are taken. `survivors`: the weights that pruning kept move. `spread`, `mean`: of the outputs.

    `bit_error`: for rate-aware rounding, the error that a bit of a weight is worth, as a share of the outputs' energy.
    """

    rounding: Rounding = Rounding.NEAREST
    survivors: bool = False
    spread: bool = False
    mean: bool = False
    bit_error: float = 0.0


@dataclass(frozen=True, eq=False)
class LayerPlan:
    """What happens to the weight (C_out, ...) of a layer: pruned outside `keep`, bool, and quantized by `quant`.

    `filters`: bool (C_out,), False for filters that are pruned as a whole and whose output stays zero, or None.
    """

    keep: Tensor | None = None
    quant: QuantSpec | None = None
    filters: Tensor | None = None


@dataclass(frozen=True, eq=False)
class LayerSolution:
    """A reconstructed layer.

    `weight` (C_out, ...) and its quantizer `qparams`, None if it is float: quantizing the weight changes nothing.
    `gain` and `shift` (C_out,) float32: how outputs change, y * gain + shift, to have their spread and mean again.
    `simple_error` and `error`: the squared error of the outputs on the sample, as a share of their energy, with the
    weight pruned and rounded to nearest, and with all steps. `damping`: what was unusual about the inputs, or None if
    the inputs were not needed for the weight. `vectors`: the biases and statistics of batch norm that have changed with
    it, by their names in the state dict.
    """

    name: str
    weight: Tensor
    qparams: QParams | Codebook | None
    gain: Tensor
    shift: Tensor
    simple_error: float
    error: float
    damping: Damping | None
    vectors: Mapping[str, Tensor] = field(default_factory=dict)


def solve_layer(
    name: str, weight: Tensor, groups: int, moments: Moments, plan: LayerPlan, steps: Steps
) -> LayerSolution:
    """Returns weight (C_out, ...) pruned and rounded by `plan`, with the `steps` that make its outputs the float ones.

    `moments` are those of its inputs, and of the outputs to reach. Each channel gets the better of the weights found
    and of the simple ones, so its error on the sample is never above that of pruning and rounding to nearest.
    Zeros stay exactly zero: those pruned here, and those of the float network.
    Raises ValueError for inputs that are NaN or infinite.
    """
    objective = moments.centred if steps.mean else moments
    quant = plan.quant
    qparams = choose_qparams(weight if plan.keep is None else weight * plan.keep, quant) if quant else None
    nonzero = weight != 0 if plan.keep is None else plan.keep & (weight != 0)
    keep = None if plan.keep is None and nonzero.all() else as_rows(nonzero, groups)
    rows = as_rows(weight, groups).double()
    moves = (quant and steps.rounding is not Rounding.NEAREST) or (plan.keep is not None and steps.survivors)
    system = _system(objective, rows) if moves else None
    bit_error = _bit_error(objective.energy, qparams, steps)
    if system and isinstance(qparams, QParams) and bit_error is not None:
        qparams = _with_rate_steps(system, qparams, weight, as_rows(nonzero, groups), bit_error)
    simple = _on_grid(rows, weight, keep, qparams)
    simple_error = objective.error(simple)
    best, error = simple, simple_error
    if system:
        for candidate in _candidates(system, weight, keep, qparams, steps, bit_error):
            rows = _on_grid(candidate, weight, keep, qparams)
            other = objective.error(rows)
            best = torch.where((other < error)[:, :, None], rows, best)
            error = torch.minimum(error, other)
    if isinstance(qparams, QParams) and bit_error is not None:
        qparams = _with_codes_of(qparams, best.reshape(weight.shape).float())
    gain = spread_gain(moments, best) if steps.spread else torch.ones_like(moments.output_sum)
    if steps.spread:
        error = objective.error(best * gain[:, :, None])
    shift = mean_shift(moments, best * gain[:, :, None]) if steps.mean else torch.zeros_like(gain)
    if plan.filters is not None:
        shift = shift * plan.filters.view(shift.shape)
    energy = float(objective.energy.sum()) or 1.0
    return LayerSolution(
        name,
        best.float().reshape(weight.shape),
        qparams,
        gain.float().flatten(),
        shift.float().flatten(),
        float(simple_error.sum()) / energy,
        float(error.sum()) / energy,
        system.factor.damping if system else None,
    )


def _bit_error(energy: Tensor, qparams: QParams | Codebook | None, steps: Steps) -> Tensor | None:
    """energy (G, r) of output channels -> the squared error that a bit of their weights is worth, if rounding needs it.

    With one step for all channels, errors count as a share of the energy of all; else each as one of its own.
    """
    if steps.rounding is not Rounding.RATE_AWARE or not isinstance(qparams, QParams):
        return None
    shared = qparams.scale.dim() == 0
    return steps.bit_error * (energy.sum().expand_as(energy) if shared else energy * energy.numel())


def _with_rate_steps(system: "_System", qparams: QParams, weight: Tensor, keep: Tensor, bit_error: Tensor) -> QParams:
    """Returns `qparams`, whose range is that of the weights, with the steps that `rate_steps` chooses."""
    grid = grid_of(qparams, weight, len(keep))
    assert isinstance(grid, EvenGrid)
    shared = qparams.scale.dim() == 0
    steps = rate_steps(system.factor, system.order, grid, keep, bit_error, shared).float()
    return replace(qparams, scale=steps.flatten()[0] if shared else steps.reshape(qparams.scale.shape))


def _with_codes_of(qparams: QParams, weight: Tensor) -> QParams:
    """Returns `qparams` with no more codes than `weight`, which has values of it, needs on both sides of zero."""
    top = max(1, int(quantize(weight, qparams).abs().max()))
    return replace(qparams, low=-top, high=top)


@dataclass(frozen=True, eq=False)
class _System:
    """The damped normal equations of a layer: `second` (G, d, d), `cross` (G, r, d), and the solution `target`.

    `factor` is of `second` with its columns in `order` (G, d).
    """

    second: Tensor
    cross: Tensor
    target: Tensor
    order: Tensor
    factor: Factor


def _system(moments: Moments, rows: Tensor) -> _System:
    """Returns the normal equations of weights that reach the outputs of `moments`; damping pulls them to `rows`."""
    order = importance_order(moments.second)
    factor = factor_inverse(reorder(moments.second, order), moments.count)
    second = damped(moments.second, factor.damping.share)
    added = (second - moments.second).diagonal(dim1=1, dim2=2)
    cross = moments.cross + rows * added[:, None]
    place = order[:, None].expand_as(cross)
    ordered = cross.gather(2, place) @ factor.upper.transpose(1, 2) @ factor.upper
    return _System(second, cross, torch.empty_like(cross).scatter_(2, place, ordered), order, factor)


def _candidates(
    system: _System,
    weight: Tensor,
    keep: Tensor | None,
    qparams: QParams | Codebook | None,
    steps: Steps,
    bit_error: Tensor | None,
) -> list[Tensor]:
    """Returns rows (G, r, d) that may have less error than the simple ones."""
    target = system.target
    if keep is not None and steps.survivors:
        target = move_survivors(system.second, system.cross, keep)
    if qparams is None or steps.rounding is Rounding.NEAREST:
        return [target]
    grid: Grid = grid_of(qparams, weight, len(system.order))
    if isinstance(grid, EvenGrid) and bit_error is not None:
        return [rate_aware(target, system.factor, system.order, grid, keep, bit_error)]
    rounded = compensated(target, system.factor, system.order, grid, keep)
    if steps.rounding is Rounding.COMPENSATED:
        return [rounded]
    return [rounded, learned(target, system.second, grid, keep)]


def _on_grid(rows: Tensor, weight: Tensor, keep: Tensor | None, qparams: QParams | Codebook | None) -> Tensor:
    """Returns rows (G, r, d) with zeros outside `keep`, quantized by `qparams`, as float32 numbers."""
    masked = rows if keep is None else rows * keep
    if qparams is None:
        return masked.float().double()
    values = fake_quantize(masked.reshape(weight.shape).float(), qparams).reshape(rows.shape)
    return (values if keep is None or qparams.zero_is_exact else values * keep).double()


def has_channel_scales(qparams: QParams | Codebook, channels: int) -> bool:
    """Whether each of the output channels has values of its own, so that they can be scaled without changing codes."""
    return (len(qparams.values) if isinstance(qparams, Codebook) else qparams.scale.numel()) >= channels


def scale_channels(qparams: QParams | Codebook, gain: Tensor, channels: int) -> QParams | Codebook:
    """Returns `qparams` with all values of each channel multiplied by gain (C_out,); codes stay as they are.

    Raises ValueError for one scale per tensor, which all channels share.
    """
    if not has_channel_scales(qparams, channels):
        raise ValueError("one scale per tensor cannot be changed for one channel alone")
    if isinstance(qparams, Codebook):
        factor = gain.repeat_interleave(len(qparams.values) // channels)[:, None]
        return replace(qparams, values=qparams.values * factor, bounds=qparams.bounds * factor)
    factor = gain.repeat_interleave(qparams.scale.numel() // channels)
    return replace(qparams, scale=qparams.scale * factor.view(qparams.scale.shape))
