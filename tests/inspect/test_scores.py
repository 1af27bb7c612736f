"""Where the cut lies on the scores that pruning goes by: on paper, and beside what compress does."""

import pytest
import torch

from compression.core.compress import compress
from compression.core.evidence import NO_EVIDENCE, Evidence
from compression.inspect.scores import (
    Cut,
    filter_scoring_spec,
    find_cut,
    find_equivalent_sparsity,
    score_in_units,
    scoring_spec,
)
from compression.networks.bundled import load_bundled
from compression.networks.weights import weighted_layers
from compression.spec import CompressionSpec, Criterion, PruneSpec, Scope, Structure, Unit

SCORES = {"a": torch.tensor([0.1, 0.4, 0.2, 0.8]), "b": torch.tensor([0.3, 0.9])}
SPECS = [
    PruneSpec(sparsity=0.7),
    PruneSpec(0.02),
    PruneSpec(1.1, unit=Unit.STDS),
    PruneSpec(0.9, unit=Unit.MEANS),
    PruneSpec(sparsity=0.7, criterion=Criterion.RANDOM),
    PruneSpec(sparsity=0.7, criterion=Criterion.SIGNED),
    PruneSpec(sparsity=0.3, criterion=Criterion.TAYLOR),
    PruneSpec(sparsity=0.3, structure=Structure.FILTER),
    PruneSpec(sparsity=0.3, criterion=Criterion.L2, structure=Structure.FILTER),
    PruneSpec(0.03, structure=Structure.FILTER),
    PruneSpec(sparsity=0.3, criterion=Criterion.BN_SCALE, structure=Structure.FILTER),
]


@pytest.fixture(scope="module")
def module():
    return load_bundled("resnet20").module


@pytest.fixture(scope="module")
def evidence(module):
    """Returns evidence with random gradients, which suffice for these tests."""
    generator = torch.Generator().manual_seed(0)
    weights = weighted_layers(module)
    return Evidence(gradients={name: torch.randn(w.shape, generator=generator) for name, w in weights.items()})


def test_a_threshold_is_the_cut_of_all_layers():
    assert find_cut(PruneSpec(0.35), SCORES, None) == Cut(0.35, 0.35, 0.5)
    assert find_cut(PruneSpec(0.35), SCORES, "a") == Cut(0.35, 0.35, 0.5)


def test_the_cut_of_a_sparsity_target_is_the_smallest_remaining_score():
    assert find_cut(PruneSpec(sparsity=0.5), SCORES, None) == Cut(
        pytest.approx(0.4), pytest.approx(0.4), pytest.approx(0.5)
    )


def test_the_scope_layer_has_a_cut_per_layer():
    target = PruneSpec(sparsity=0.5, scope=Scope.LAYER)
    assert find_cut(target, SCORES, "a") == Cut(pytest.approx(0.4), pytest.approx(0.4), 0.5)
    cut = find_cut(target, SCORES, None)
    assert (cut.low, cut.high) == pytest.approx((0.4, 0.9))


def test_a_spec_that_compares_no_scores_has_no_cut():
    assert find_cut(PruneSpec(structure=Structure.N_M), SCORES, None) is None
    assert find_cut(PruneSpec(sparsity=0), SCORES, None) is None


@pytest.mark.parametrize("prune", SPECS, ids=str)
def test_compress_prunes_the_scores_below_the_cut(module, evidence, prune):
    scores = score_in_units(module, CompressionSpec("resnet20", scoring_spec(prune)), evidence)
    low = find_cut(prune, scores, None).low
    for layer in compress(module, CompressionSpec("resnet20", prune), evidence).layers:
        if layer.name not in scores:
            assert not layer.pruned
            continue
        width = layer.weight[0].numel() if prune.structure is Structure.FILTER else 1
        was_zero, is_zero = ((w == 0).reshape(-1, width).all(1) for w in (layer.original.detach(), layer.weight))
        below = scores[layer.name] < low
        if below.all():  # then one filter stays all the same
            below[scores[layer.name].argmax()] = False
        differ = (is_zero != below) & ~was_zero
        at_the_edge = scores[layer.name] - low  # what rounding in another order decides otherwise
        assert at_the_edge[differ].abs().le(1e-6 * abs(low)).all()


@pytest.mark.parametrize("prune", SPECS, ids=str)
def test_specs_that_differ_in_the_target_have_the_same_scores(prune):
    if prune.threshold is None:
        other = PruneSpec(None, 0.1, Scope.LAYER, criterion=prune.criterion, structure=prune.structure)
    else:
        other = PruneSpec(0.7, unit=prune.unit, criterion=prune.criterion, structure=prune.structure)
    assert scoring_spec(prune) == scoring_spec(other) == scoring_spec(scoring_spec(prune))
    assert filter_scoring_spec(prune) == filter_scoring_spec(other)


@pytest.mark.parametrize("prune", [spec for spec in SPECS if spec.threshold is not None], ids=str)
def test_the_equivalent_sparsity_prunes_as_many_weights_as_the_threshold(module, prune):
    scores = score_in_units(module, CompressionSpec("resnet20", scoring_spec(prune)), NO_EVIDENCE)
    below = sum(int((of_rows < prune.threshold).count_nonzero()) for of_rows in scores.values())
    assert int(find_equivalent_sparsity(prune, scores) * sum(map(len, scores.values()))) == below


def test_a_threshold_in_stds_is_one_in_the_layers_own_stds(module):
    scores = score_in_units(module, CompressionSpec("resnet20", PruneSpec(1.0, unit=Unit.STDS)), NO_EVIDENCE)
    weight = module.conv1.weight.detach()
    assert torch.allclose(scores["conv1"], weight.flatten().abs() / weight.numpy().std())


def test_scores_without_the_evidence_of_the_criterion_are_refused(module):
    with pytest.raises(ValueError, match="gradients"):
        score_in_units(
            module, CompressionSpec("resnet20", PruneSpec(sparsity=0.5, criterion=Criterion.TAYLOR)), NO_EVIDENCE
        )
