"""Reconstructs a network layer by layer, in the order in which images reach the layers. No labels, no training."""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from compression.networks.folding import norms_after
from compression.quantization.activations import InputQuantizer
from compression.quantization.quantizers import dequantize, quantize
from compression.reconstruction.rows import layers_with_rows, weight_groups
from compression.reconstruction.solve import (
    LayerPlan,
    LayerSolution,
    Steps,
    has_channel_scales,
    scale_channels,
    solve_layer,
)
from compression.reconstruction.walk import walk
from compression.spec import Granularity, QuantSpec


@dataclass(frozen=True, eq=False)
class _Layer:
    """A layer of the network that is being changed, its name, and the batch norm that alone reads it, if any."""

    name: str
    module: nn.Module
    norm_name: str
    norm: _BatchNorm | None

    @property
    def bias(self) -> Tensor | None:
        return self.module._parameters.get("bias")


def reconstruct(
    original: nn.Module,
    start: nn.Module,
    plans: Mapping[str, LayerPlan],
    steps: Steps,
    images: Tensor,
    quantizers: Mapping[str, InputQuantizer] | None = None,
) -> Iterator[LayerSolution]:
    """Yields each layer of `plans` as soon as it is reconstructed; both networks stay unchanged.

    `original`: the float network, whose outputs are the target. `start`: the same network, in which filters to be
    pruned are silent already, or `original` itself. `images` (N, ...): normalised training images. `quantizers`: layer
    name -> the quantizer of its inputs. Each layer sees the inputs that it has in the network compressed so far.

    To cancel, close the iterator. A layer that no image reaches, or that is neither a convolution nor linear, is not
    yielded. Raises ValueError without images, or if a layer has inputs that are NaN or infinite.

    Source: the target from the float network as in Li et al. 2025 (GPTAQ, arXiv:2504.02692).
    """
    if not len(images):
        raise ValueError("reconstruction needs training images, and none were given")
    original, changing = copy.deepcopy(original).eval(), copy.deepcopy(start).eval()
    for name, quantizer in (quantizers or {}).items():
        changing.get_submodule(name).register_forward_pre_hook(quantizer)
    names = layers_with_rows(changing, plans)
    norms = norms_after(changing)
    norm_names = {id(part): name for name, part in changing.named_modules()}
    for name, moments in walk(original, changing, names, images):
        norm = norms.get(name)
        layer = _Layer(name, changing.get_submodule(name), norm_names.get(id(norm), ""), norm)
        weight = layer.module.get_parameter("weight").detach()
        possible = _possible_steps(steps, layer, plans[name].quant)
        solution = solve_layer(name, weight, weight_groups(layer.module), moments, plans[name], possible)
        solution = _settled(solution, layer)
        _write_(layer, changing, solution)
        yield solution


def _possible_steps(steps: Steps, layer: _Layer, quant: QuantSpec | None) -> Steps:
    """Returns `steps` without those that have no place in this layer.

    A shift needs a bias or a batch norm. A gain needs a batch norm with scales, or weights with scales per channel.
    """
    own_scales = quant is None or quant.granularity is not Granularity.TENSOR
    gain = own_scales if layer.norm is None else layer.norm.affine
    return replace(
        steps,
        mean=steps.mean and (layer.norm is not None or layer.bias is not None),
        spread=steps.spread and gain,
    )


def _settled(solution: LayerSolution, layer: _Layer) -> LayerSolution:
    """Returns `solution` with its gain and shift in the weight and its scales, the bias, or the batch norm after it.

    Outputs without bias y become a y + s. With the bias b, and batch norm of the scale g and the mean m, that is
    g (a y + s + b - m) = (g a) ((y + b) - (b + (m - b - s) / a)).
    """
    gain, shift = solution.gain, solution.shift
    bias = torch.zeros_like(shift) if layer.bias is None else layer.bias.detach()
    vectors: dict[str, Tensor] = {}
    if (gain == 1).all() and not shift.any():
        return solution
    if layer.norm is not None:
        assert layer.norm.running_mean is not None
        vectors[f"{layer.norm_name}.running_mean"] = bias + (layer.norm.running_mean - bias - shift) / gain
        if layer.norm.affine:
            vectors[f"{layer.norm_name}.weight"] = layer.norm.weight.detach() * gain
        return replace(solution, vectors=vectors)
    if layer.bias is not None:
        vectors[f"{layer.name}.bias"] = bias + shift
    return replace(_scaled(solution), vectors=vectors)


def _scaled(solution: LayerSolution) -> LayerSolution:
    """Returns `solution` with its gain in the weight, whose codes stay as they are."""
    weight, qparams = solution.weight, solution.qparams
    if (solution.gain == 1).all():
        return solution
    if qparams is None:
        return replace(solution, weight=weight * solution.gain.view(-1, *[1] * (weight.dim() - 1)))
    assert has_channel_scales(qparams, len(weight))
    scaled = scale_channels(qparams, solution.gain, len(weight))
    values = dequantize(quantize(weight, qparams), scaled)
    if not qparams.zero_is_exact:
        values = values * (weight != 0)
    return replace(solution, weight=values, qparams=scaled)


def _write_(layer: _Layer, network: nn.Module, solution: LayerSolution) -> None:
    """Writes the weight and the vectors of `solution` into `network`."""
    with torch.no_grad():
        layer.module.get_parameter("weight").copy_(solution.weight)
        write_vectors_(network, solution.vectors)


def write_vectors_(network: nn.Module, vectors: Mapping[str, Tensor]) -> None:
    """Writes biases and statistics of batch norm, by their names in the state dict, into `network`."""
    state = network.state_dict(keep_vars=True)
    with torch.no_grad():
        for name, vector in vectors.items():
            state[name].copy_(vector)
