"""Which layers of a network are pruned, and by what: what a spec says, held against the network that there is."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from compression.core.evidence import Evidence
from compression.networks.folding import norms_after
from compression.networks.weights import CONVOLUTIONS, TRANSPOSED
from compression.pruning.masks import LayerMask, Tensors, prune, score_weights
from compression.spec import CompressionSpec, Criterion, PruneSpec, Scope, Structure, Unit


def plan_pruning(
    module: nn.Module, weights: Tensors, spec: CompressionSpec, evidence: Evidence
) -> dict[str, LayerMask]:
    """`weights` (C_out, ...) of `module`, by layer name in its order -> what stays of each layer that is pruned.

    Layers with a sparsity of their own keep out of the network's budget. Raises ValueError where one of them can lose
    no filter, where the criterion is a batch norm's and there is none, or a gradient's and there is none.
    """
    gradients = _gradients(spec, evidence)
    gammas = _gammas(module, spec)
    stay = _stay_whole(module, weights, spec.prune, gammas)
    own = {layer.name: layer.sparsity for layer in spec.layers if layer.sparsity is not None}
    for name, sparsity in own.items():
        if sparsity and name in stay:
            raise ValueError(f"no filter of layer {name} can go: {stay[name]}")
    plans = [(_alone(spec.prune, sparsity), {name}) for name, sparsity in own.items() if sparsity]
    if spec.prune:
        plans.append((spec.prune, weights.keys() - own.keys() - stay.keys()))
    kept: dict[str, LayerMask] = {}
    for plan, names in plans:
        kept |= prune({name: weight for name, weight in weights.items() if name in names}, plan, gradients, gammas)
    return kept


def score_layers(module: nn.Module, weights: Tensors, spec: CompressionSpec, evidence: Evidence) -> dict[str, Tensor]:
    """The scores (rows,) that `what_is_kept` goes by, of the layers of `weights` that the pruning of `spec` touches.

    Raises ValueError where `what_is_kept` does for want of a batch norm or of gradients.
    """
    assert spec.prune is not None
    gammas = _gammas(module, spec)
    stay = _stay_whole(module, weights, spec.prune, gammas)
    touched = {name: weight.detach() for name, weight in weights.items() if name not in stay}
    return score_weights(touched, spec.prune, _gradients(spec, evidence), gammas)


def zero_pruned_filters_(module: nn.Module, filters: Tensors) -> None:
    """`filters`: layer name -> bool (C_out,), True for those that stay. Of the others, bias and batch norm become zero,
    so that with weights of zero their output is zero, and they can be taken out.
    """
    norms = norms_after(module)
    with torch.no_grad():
        for name, keep in filters.items():
            norm = norms.get(name)
            for vector in (module.get_submodule(name).bias, norm and norm.weight, norm and norm.bias):
                if isinstance(vector, Tensor):
                    vector[~keep] = 0


def _gradients(spec: CompressionSpec, evidence: Evidence) -> Tensors | None:
    if not spec.needs_gradients:
        return None
    if evidence.gradients is None:
        raise ValueError("taylor scores need the gradients of the loss on training images, and there are none at hand")
    return evidence.gradients


def _gammas(module: nn.Module, spec: CompressionSpec) -> Tensors | None:
    """Layer name -> gamma (C_out,) of the batch norm after it, where there is one; None where nobody asks."""
    if spec.prune is None or spec.prune.criterion is not Criterion.BN_SCALE:
        return None
    gammas = {name: norm.weight.detach() for name, norm in norms_after(module).items() if norm.affine}
    if not gammas:
        folded = ", for it is folded into the convolutions" if spec.folds_first else ""
        raise ValueError(f"bn-scale needs a batch norm after a convolution, and {spec.model} has none{folded}")
    return gammas


def _stay_whole(module: nn.Module, weights: Tensors, spec: PruneSpec | None, gammas: Tensors | None) -> dict[str, str]:
    """The layers that can lose no filter, and why."""
    if spec is None or spec.structure is not Structure.FILTER:
        return {}
    parts = dict(module.named_modules())
    able = [name for name in weights if isinstance(parts.get(name), (nn.Linear, *CONVOLUTIONS, *TRANSPOSED))]
    others = {name: "its rows are no outputs of their own" for name in weights if name not in able}
    without = {name: "no batch norm follows it to go by" for name in able if gammas and name not in gammas}
    return others | without | dict.fromkeys(able[-1:], "it is the last layer, and its outputs are the classes")


def _alone(spec: PruneSpec | None, sparsity: float) -> PruneSpec:
    """What a layer with a sparsity of its own loses by where the network is pruned as `spec` says."""
    if spec is None:
        return PruneSpec(sparsity=sparsity)
    structure = Structure.WEIGHT if spec.structure is Structure.N_M else spec.structure
    return replace(
        spec,
        threshold=None,
        sparsity=sparsity,
        scope=Scope.LAYER,
        unit=Unit.ABSOLUTE,
        structure=structure,
        pattern=None,
    )
