"""What makes steps of gradients: one optimizer for weights, biases and batch norm, and one for learned scales."""

import copy
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from compression.quantization.quantizers import SMALLEST_SCALE
from compression.retraining.latent import Latent
from compression.retraining.recipe import Optimizer, Quantizers, Recipe, WeightPenalty

LEAST_GAIN = 0.02  # of a learned scale, which must stay positive; they begin between 0.2 and 1


class Optimizers:
    """The optimizers of a network in training.

    Learned scales have Adam of their own, whose steps do not depend on the size of the gradient; so LSQ's factor of the
    gradient is not needed. With PACT they have its L2 penalty, with the weight decay of the recipe.
    """

    def __init__(self, latent: Latent, recipe: Recipe) -> None:
        self._parameters = dict(latent.module.named_parameters())
        weights = [each for each in self._parameters.values() if each.dim() > 1]
        vectors = [each for each in self._parameters.values() if each.dim() <= 1]
        self._weights = weights
        decay = recipe.weight_decay if recipe.weight_penalty is WeightPenalty.L2 else 0.0
        groups = [{"params": weights, "weight_decay": decay}, {"params": vectors, "weight_decay": 0.0}]
        self._main: torch.optim.Optimizer
        if recipe.optimizer is Optimizer.ADAM:
            self._main = torch.optim.AdamW(groups, lr=recipe.rate)
        else:
            self._main = torch.optim.SGD(groups, lr=recipe.rate, momentum=recipe.momentum, nesterov=recipe.momentum > 0)
        self._gains: torch.optim.Optimizer | None = None
        self._learned: list[Tensor] = []
        if recipe.quantizers is not Quantizers.FROZEN:
            gains = [] if latent.has_fixed_scales else latent.gains.values()
            inputs = (each.gain for each in latent.inputs.values())
            self._learned = [each.requires_grad_() for each in (*gains, *inputs)]
        if self._learned:
            gain_decay = recipe.weight_decay if latent.is_pact else 0.0
            self._gains = torch.optim.Adam(self._learned, lr=recipe.gain_rate, weight_decay=gain_decay)
        self._recipe = recipe

    def step_(self, loss: Tensor, share: float) -> None:
        """Moves all parameters down the gradient of `loss`, by `share` (0..1) of the highest learning rates."""
        for optimizer, rate in self._all:
            optimizer.zero_grad(set_to_none=True)
            for group in optimizer.param_groups:
                group["lr"] = rate * share
        loss.backward()
        for optimizer, _ in self._all:
            optimizer.step()
        if self._recipe.weight_penalty is not WeightPenalty.L2:
            for weight in self._weights:
                shrink_(weight.data, self._recipe.weight_penalty, self._recipe.weight_decay * self._recipe.rate * share)
        for gain in self._learned:
            gain.data.clamp_(min=LEAST_GAIN)

    def forget_(self, held: Mapping[str, Tensor]) -> None:
        """Sets the momentum of pruned weights to zero; `held` is that of the network."""
        for key, keep in held.items():
            for value in self._main.state.get(self._parameters[key], {}).values():
                if isinstance(value, Tensor) and value.shape == keep.shape:
                    value.mul_(keep)

    def state(self) -> list[dict[str, Any]]:
        """Returns a copy of the state, as `load_` takes it."""
        return [copy.deepcopy(optimizer.state_dict()) for optimizer, _ in self._all]

    def load_(self, states: list[dict[str, Any]]) -> None:
        """Continues from what `state` returned."""
        for (optimizer, _), state in zip(self._all, states, strict=True):
            optimizer.load_state_dict(state)

    @property
    def _all(self) -> list[tuple[torch.optim.Optimizer, float]]:
        """The optimizers, each with its highest learning rate."""
        gains = [(self._gains, self._recipe.gain_rate)] if self._gains else []
        return [(self._main, self._recipe.rate), *gains]


def shrink_(weight: Tensor, penalty: WeightPenalty, step: float) -> None:
    r"""Moves weight, of any shape, a `step` down the slope of a penalty; with L1, to zero and not beyond.

    Formula: \mathrm{L1:}\; w \leftarrow \mathrm{sign}(w) \max(\lvert w \rvert - s, 0), \quad
        \mathrm{Huber:}\; w \leftarrow w - s \,\mathrm{clip}(w / \delta, -1, 1), \quad
        \delta = \sqrt{\mathrm{mean}(w^2)}
    Source: L1: the proximal step of Daubechies et al. 2004 (arXiv:math/0307152). Huber: the derivative of Huber's
        function (Huber 1964, doi:10.1214/aoms/1177703732), with the layer's root mean square as its bound.
    Fails: if the step is so large that whole layers become zero before training can object.
    """
    if penalty is WeightPenalty.L1:
        weight.copy_(F.softshrink(weight, step))
    else:
        weight.sub_((weight / weight.square().mean().sqrt().clamp_min(SMALLEST_SCALE)).clamp_(-1, 1), alpha=step)
