"""Decides which weights of a network a spec prunes: which layers are pruned, and by which scores."""

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
    """Layer name -> the mask of each layer that is pruned, for `weights` (C_out, ...) of `module` by layer name.

    Layers with a sparsity of their own do not count towards the network's target. Raises ValueError if one of them
    cannot lose filters, if the criterion needs a batch norm and there is none, or if gradients are missing.
    """
    gradients = _gradients(spec, evidence)
    gammas = _gammas(module, spec)
    exempt = _exempt_layers(module, weights, spec.prune, gammas)
    overrides = {layer.name: layer.sparsity for layer in spec.layers if layer.sparsity is not None}
    for name, sparsity in overrides.items():
        if sparsity and name in exempt:
            raise ValueError(f"layer {name} cannot lose filters: {exempt[name]}")
    plans = [(_layer_plan(spec.prune, sparsity), {name}) for name, sparsity in overrides.items() if sparsity]
    if spec.prune:
        plans.append((spec.prune, weights.keys() - overrides.keys() - exempt.keys()))
    masks: dict[str, LayerMask] = {}
    for plan, names in plans:
        masks |= prune({name: weight for name, weight in weights.items() if name in names}, plan, gradients, gammas)
    return masks


def score_layers(module: nn.Module, weights: Tensors, spec: CompressionSpec, evidence: Evidence) -> dict[str, Tensor]:
    """Layer name -> the importance scores (rows,) that `plan_pruning` uses, for the layers that `spec.prune` prunes.

    Raises ValueError if the criterion needs a batch norm and there is none, or if gradients are missing.
    """
    assert spec.prune is not None
    gammas = _gammas(module, spec)
    exempt = _exempt_layers(module, weights, spec.prune, gammas)
    prunable = {name: weight.detach() for name, weight in weights.items() if name not in exempt}
    return score_weights(prunable, spec.prune, _gradients(spec, evidence), gammas)


def zero_pruned_filters_(module: nn.Module, filters: Tensors) -> None:
    """Sets the bias and the batch norm of pruned filters to zero, so that their outputs are zero and can be removed.

    `filters`: layer name -> bool (C_out,), False for pruned filters. Their weights are zero already.
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
        assert spec.prune is not None
        kind = "outputs of layers" if spec.prune.criterion is Criterion.OBS else "loss"
        raise ValueError(
            f"{spec.prune.criterion} scores need the gradients of the {kind} on training images, and none are available"
        )
    return evidence.gradients


def _gammas(module: nn.Module, spec: CompressionSpec) -> Tensors | None:
    """Layer name -> gamma (C_out,) of the batch norm that follows it; None if the criterion does not use it."""
    if spec.prune is None or spec.prune.criterion is not Criterion.BN_SCALE:
        return None
    gammas = {name: norm.weight.detach() for name, norm in norms_after(module).items() if norm.affine}
    if not gammas:
        reason = " because batch norm is folded into the convolutions" if spec.folds_first else ""
        raise ValueError(f"bn-scale needs a batch norm after a convolution, and {spec.model} has none{reason}")
    return gammas


def _exempt_layers(
    module: nn.Module, weights: Tensors, spec: PruneSpec | None, gammas: Tensors | None
) -> dict[str, str]:
    """The layers that cannot lose filters, each with the reason."""
    if spec is None or spec.structure is not Structure.FILTER:
        return {}
    modules = dict(module.named_modules())
    prunable = [name for name in weights if isinstance(modules.get(name), (nn.Linear, *CONVOLUTIONS, *TRANSPOSED))]
    no_filters = {name: "its rows are not outputs of their own" for name in weights if name not in prunable}
    no_norm = {name: "no batch norm follows it" for name in prunable if gammas and name not in gammas}
    return no_filters | no_norm | dict.fromkeys(prunable[-1:], "it is the last layer, and its outputs are the classes")


def _layer_plan(spec: PruneSpec | None, sparsity: float) -> PruneSpec:
    """How a layer with a `sparsity` of its own is pruned if the network is pruned as `spec` says."""
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
