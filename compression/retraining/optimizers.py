"""What makes steps of gradients: one optimizer for weights, biases and batch norm, and one for learned scales."""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from compression.retraining.latent import Latent
from compression.retraining.recipe import FIXED_VALUES, Optimizer, Quantizers, Recipe

LEAST_GAIN = 0.02  # of a learned scale, which must stay positive; they begin between 0.2 and 1


class Optimizers:
    """The optimizers of a network in training.

    Learned scales have Adam of their own, whose steps do not depend on the size of the gradient; so LSQ's factor of the
    gradient is not needed.
    """

    def __init__(self, latent: Latent, recipe: Recipe) -> None:
        self._parameters = dict(latent.module.named_parameters())
        weights = [each for each in self._parameters.values() if each.dim() > 1]
        vectors = [each for each in self._parameters.values() if each.dim() <= 1]
        groups = [{"params": weights, "weight_decay": recipe.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
        self._main: torch.optim.Optimizer
        if recipe.optimizer is Optimizer.ADAM:
            self._main = torch.optim.AdamW(groups, lr=recipe.rate)
        else:
            self._main = torch.optim.SGD(groups, lr=recipe.rate, momentum=recipe.momentum, nesterov=recipe.momentum > 0)
        self._gains: torch.optim.Optimizer | None = None
        self._learned: list[Tensor] = []
        if recipe.quantizers is Quantizers.LEARNED:
            weights_of_spec = latent.start.spec.weights
            is_fixed = weights_of_spec is not None and weights_of_spec.scheme in FIXED_VALUES
            learned = [*([] if is_fixed else latent.gains.values()), *latent.input_gains.values()]
            self._learned = [each.requires_grad_() for each in learned]
            self._gains = torch.optim.Adam(self._learned, lr=recipe.gain_rate) if learned else None
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
