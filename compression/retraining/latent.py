"""A network in training: float weights that are pruned and rounded on every way through, and what becomes of them.

The optimizer moves latent float weights. Each forward pass uses their pruned and rounded values, so that the network
that is trained is the compressed one. Pruned weights are zero in the latent weights too, and get no gradient: momentum
and weight decay leave them at zero.
"""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from compression.core.evidence import Evidence
from compression.core.pruning_plan import plan_pruning
from compression.core.record import CompressedModel, LayerRecord, sqnr_db
from compression.networks.checkpoints.names import COUNTERS
from compression.networks.folding import norms_after
from compression.networks.weights import compressible_weights, swap_channels
from compression.pruning.masks import LayerMask
from compression.quantization.quantizers import QParams
from compression.quantization.straight_through import (
    Quantizer,
    TrainedInput,
    centred,
    dorefa_weight,
    gains_of,
    grown_input,
    least_error_gain,
    round_weight,
    scaled,
)
from compression.reconstruction.reconstruct import write_vectors_
from compression.retraining.float_start import start_weights
from compression.retraining.more_bits import inputs_with_bits, weights_with_bits
from compression.retraining.rate import mean_bits
from compression.retraining.recipe import FIXED_VALUES
from compression.spec import CompressionSpec, Order, Rounding, Scheme

Masks = Mapping[str, LayerMask]
LARGEST = 1e15


@dataclass(eq=False)
class Latent:
    """The network `start` in training.

    `module`: a copy of its float network in train mode, whose parameters are the latent ones. `keys`: layer name -> the
    name of its weight there. `masks`: layer name -> which of its weights are pruned now. `held`: names of parameters ->
    where they are not zero (bool). `quantizers`: layer name -> what rounds its weights now; those of `start`, but for a
    bit schedule. `gains`: layer name -> the factor of the scale of each group. `inputs`: layer name -> what rounds its
    inputs now, with the factor of their scale. `is_pact`: whether weights fill the range of their quantizers, as in
    DoReFa-Net, and the scale of inputs learns from values beyond the clip alone, as in PACT.
    """

    start: CompressedModel
    module: nn.Module
    keys: Mapping[str, str]
    masks: Masks
    held: dict[str, Tensor]
    quantizers: dict[str, Quantizer]
    gains: dict[str, Tensor]
    inputs: dict[str, TrainedInput]
    is_pact: bool = False

    def __call__(self, inputs: Tensor) -> Tensor:
        """inputs (N, ...) -> the logits (N, classes) of the compressed network; gradients reach the latent weights."""
        return functional_call(self.module, self._used(), (inputs,))

    def mean_bits(self) -> Tensor:
        """Returns the bits per weight of the layers with even steps, (); gradients reach weights and gains."""
        parameters = dict(self.module.named_parameters())
        return mean_bits(
            (
                swap_channels(parameters[self.keys[record.name]], record.transposed_groups),
                qparams,
                self.gains[record.name],
            )
            for record in self.start.layers
            if isinstance(qparams := self.quantizers.get(record.name), QParams)
        )

    def network(self) -> CompressedModel:
        """Returns the compressed network of the latent weights of now. Their masks must be those of the whole spec."""
        with torch.no_grad():
            used = dict(self.module.named_parameters()) | self._used()
            weights = {name: used[key].detach().clone() for name, key in self.keys.items()}
            state = {key: value.clone() for key, value in (self.module.state_dict() | used).items()}
        layers = tuple(self._record(record, weights[record.name]) for record in self.start.layers)
        own = set(self.keys.values())
        vectors = {
            key: value for key, value in state.items() if key not in own and key.rpartition(".")[2] not in COUNTERS
        }
        return CompressedModel(self.start.spec, self.start.original, layers, None, vectors)

    @property
    def has_fixed_scales(self) -> bool:
        """Whether the scales of weights are not learned: their range is given, or their values are."""
        quant = self.start.spec.weights
        return self.is_pact or (quant is not None and quant.scheme in FIXED_VALUES)

    def is_bounded(self) -> bool:
        """Returns whether the squares of all parameters can be summed as float32."""
        return all(float(each.detach().abs().max()) < LARGEST for each in self.module.parameters())

    def pruned(self, masks: Masks) -> "Latent":
        """Returns the network as `masks` prune it, with the same latent weights, which stay as they are."""
        return replace(self, masks=masks, held=_held(self.module, self.keys, masks, self.start.layers))

    def prune_(self, masks: Masks) -> None:
        """Prunes by `masks` from now on: what they prune becomes zero in the latent weights."""
        self.masks, self.held = masks, self.pruned(masks).held
        with torch.no_grad():
            parameters = dict(self.module.named_parameters())
            for key, keep in self.held.items():
                parameters[key].mul_(keep)

    def start_gains_(self, inputs: Mapping[str, float]) -> None:
        """Sets all gains to where learning begins: the least squared error of the latent weights.

        Rate-aware rounding has chosen its steps for few bytes, and they stay: finer ones always have a smaller error.
        The gains of layer inputs become those of `inputs` (layer name -> gain).
        """
        if self.start.spec.rounding is not Rounding.RATE_AWARE:
            self._fit_gains_(self.quantizers)
        for name, gain in inputs.items():
            self.inputs[name].gain.data.fill_(gain)

    def use_bits_(self, bits: int | None) -> None:
        """Rounds weights and inputs to `bits` from now on, in the range of the start; None: as the start.

        With FLOAT_BITS nothing is rounded. Layers that have as many bits or more stay as they are. The gains stay those
        of before.
        """
        scheme = self.start.spec.weights.scheme if self.start.spec.weights else Scheme.SYMMETRIC
        self.quantizers = {
            record.name: quantizer
            for record in self.start.layers
            if record.qparams and (quantizer := weights_with_bits(record.qparams, scheme, bits))
        }
        for record in self.start.layers:
            if record.inputs:
                self.inputs[record.name].quantizer = inputs_with_bits(record.inputs, bits)

    def change_bits_(self, bits: int | None, input_shares: Mapping[str, float]) -> None:
        """As `use_bits_`, with gains of the least squared error of the latent weights where their quantizer changes.

        Those of layer inputs are multiplied by `input_shares` (layer name -> factor).
        """
        before = self.quantizers
        self.use_bits_(bits)
        self._fit_gains_(name for name, each in self.quantizers.items() if each is not before.get(name))
        for name, share in input_shares.items():
            self.inputs[name].gain.data.mul_(share)

    def with_last_bits(self, input_shares: Mapping[str, float]) -> "Latent":
        """Returns the network rounded as the spec says, with the same latent weights and gains of its own.

        `input_shares`: as of `change_bits_`.
        """
        gains = {name: gain.detach().clone() for name, gain in self.gains.items()}
        inputs = {name: replace(each, gain=each.gain.detach().clone()) for name, each in self.inputs.items()}
        latent = replace(self, gains=gains, inputs=inputs)
        latent.change_bits_(None, input_shares)
        return latent

    def _fit_gains_(self, layers: Iterable[str]) -> None:
        """Sets the gains of the weights of `layers` to the least squared error of the latent ones, if they learn."""
        if self.has_fixed_scales:
            return
        with torch.no_grad():
            parameters = dict(self.module.named_parameters())
            groups = {record.name: record.transposed_groups for record in self.start.layers}
            for name in layers:
                key = self.keys[name]
                weight = swap_channels(parameters[key] * self.held.get(key, 1), groups[name])
                self.gains[name].copy_(least_error_gain(weight, self.quantizers[name]))

    def state(self) -> dict[str, Any]:
        """Returns a copy of all that training changes, as `load_` takes it."""
        return {
            "module": {key: value.clone() for key, value in self.module.state_dict().items()},
            "gains": {name: gain.detach().clone() for name, gain in self.gains.items()},
            "input_gains": {name: each.gain.detach().clone() for name, each in self.inputs.items()},
            "masks": {name: tuple(mask) for name, mask in self.masks.items()},
        }

    def load_(self, state: dict[str, Any]) -> None:
        """Continues from what `state` returned. Raises RuntimeError if it belongs to another network."""
        self.module.load_state_dict(state["module"])
        with torch.no_grad():
            for name, gain in self.gains.items():
                gain.copy_(state["gains"][name])
            for name, each in self.inputs.items():
                each.gain.copy_(state["input_gains"][name])
        self.prune_({name: LayerMask(*mask) for name, mask in state["masks"].items()})

    def _used(self) -> dict[str, Tensor]:
        """Returns the values of parameters in a forward pass, where they differ from the latent ones."""
        parameters = dict(self.module.named_parameters())
        used = {key: parameters[key] * keep for key, keep in self.held.items()}
        for record in self.start.layers:
            quantizer = self.quantizers.get(record.name)
            if quantizer is None:
                continue
            key, groups = self.keys[record.name], record.transposed_groups
            values = swap_channels(used.get(key, parameters[key]), groups)
            rounded = swap_channels(self._rounded(values, record.name, quantizer), groups)
            used[key] = rounded if quantizer.zero_is_exact or key not in self.held else rounded * self.held[key]
        return used

    def _rounded(self, weight: Tensor, name: str, quantizer: Quantizer) -> Tensor:
        if not self.is_pact:
            return round_weight(weight, quantizer, self.gains[name])
        rounded, self.gains[name] = dorefa_weight(weight, quantizer)
        return rounded

    def _record(self, record: LayerRecord, weight: Tensor) -> LayerRecord:
        mask, gain = self.masks.get(record.name), self.gains.get(record.name)
        return replace(
            record,
            weight=weight,
            pruned=int((~mask.mask).sum()) if mask else 0,
            threshold=mask.threshold if mask else 0.0,
            nonzero=int(np.count_nonzero(weight.numpy())),
            qparams=scaled(record.qparams, gain.detach()) if record.qparams and gain is not None else record.qparams,
            sqnr_db=sqnr_db(record.original.detach(), weight),
            filters=mask.filters if mask else None,
            pattern=mask.pattern if mask else None,
            inputs=grown_input(record.inputs, self.inputs[record.name].gain.detach()) if record.inputs else None,
        )


def latent_network(start: CompressedModel, masks: Masks, keeps_codes: bool, is_pact: bool = False) -> Latent:
    """Returns `start`, with all weights pruned that `masks` prune, ready for training.

    The latent weights are the float weights; with `keeps_codes` those that are rounded to the weights of `start`.
    `is_pact`: as of the result.
    """
    module = copy.deepcopy(start.original).train().requires_grad_(True)
    write_vectors_(module, start.vectors)
    names = {id(parameter): key for key, parameter in start.original.named_parameters()}
    keys = {record.name: names[id(record.original)] for record in start.layers}
    if keeps_codes:
        write_vectors_(module, {keys[name]: weight for name, weight in start_weights(start).items()})
    if is_pact:
        start = replace(start, layers=tuple(_with_symmetric_range(record) for record in start.layers))
    gains = {record.name: gains_of(record.qparams) for record in start.layers if record.qparams}
    inputs = {
        record.name: TrainedInput(record.inputs, torch.ones(()), is_pact) for record in start.layers if record.inputs
    }
    for name, hook in inputs.items():
        module.get_submodule(name).register_forward_pre_hook(hook)
    quantizers = {record.name: record.qparams for record in start.layers if record.qparams}
    latent = Latent(start, module, keys, masks, {}, quantizers, gains, inputs, is_pact)
    latent.prune_(masks)
    return latent


def masks_of(network: nn.Module, spec: CompressionSpec, evidence: Evidence) -> Masks:
    """Returns the masks with which `spec` prunes `network`, which is folded, merged and equalized already."""
    weights = {name: weight.channels_first for name, weight in compressible_weights(network, spec.also).items()}
    return plan_pruning(network, weights, spec, evidence)


def plans_on_folded(spec: CompressionSpec) -> bool:
    """Whether the weights that are scored for pruning are those that are trained: not if they are folded later."""
    return not (spec.fold_bn and spec.order is Order.QUANTIZE_FIRST)


def _with_symmetric_range(record: LayerRecord) -> LayerRecord:
    return replace(record, qparams=centred(record.qparams)) if isinstance(record.qparams, QParams) else record


def _held(
    module: nn.Module, keys: Mapping[str, str], masks: Masks, layers: tuple[LayerRecord, ...]
) -> dict[str, Tensor]:
    """Returns where parameters are not zero, by their names: of pruned weights, and of what belongs to pruned filters.

    Where no code stands for zero, the zeros of the start are held too.
    """
    held: dict[str, Tensor] = {}
    norms = norms_after(module)
    names = {id(parameter): key for key, parameter in module.named_parameters()}
    for record in layers:
        mask = masks.get(record.name)
        if mask:
            held[keys[record.name]] = swap_channels(mask.mask, record.transposed_groups).clone()
        elif record.qparams and not record.qparams.zero_is_exact and record.nonzero < record.weights:
            held[keys[record.name]] = record.weight != 0
        if mask and mask.filters is not None:
            norm = norms.get(record.name)
            for vector in (module.get_submodule(record.name).bias, norm and norm.weight, norm and norm.bias):
                if isinstance(vector, Tensor):
                    held[names[id(vector)]] = mask.filters
    return held
