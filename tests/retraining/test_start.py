"""Training on from a network that is compressed already: as it is, or pruned and quantized one after the other."""

from dataclasses import replace

import pytest
import torch

from compression.core.evidence import NO_EVIDENCE, Evidence
from compression.core.observe import observe
from compression.files.exported import load_exported
from compression.files.packed_file import fingerprint, to_bytes
from compression.files.stored import StoredNetwork
from compression.networks.untrained import load_untrained
from compression.retraining.start import choose_teacher, prepare, whole_spec
from compression.retraining.training import Training
from compression.spec import ActivationSpec, CompressionSpec, LayerSpec, PruneSpec, QuantSpec
from tests.retraining.test_training import RECIPE, finish, images, model

PRUNED = CompressionSpec("resnet8", PruneSpec(sparsity=0.8))
QUANTIZED = CompressionSpec("resnet8", weights=QuantSpec(3))


def evidence() -> Evidence:
    network = model()
    return Evidence(calibration=observe(network.module, network.normalization(images().pixels)))


def trained(spec: CompressionSpec) -> StoredNetwork:
    """Returns a network that was trained with `spec`, as its packed file holds it."""
    run = finish(Training(prepare(model(), spec, evidence()), RECIPE, images()))
    return load_exported(to_bytes(run.network(), run.start.model), "first.safetensors", "first")


@pytest.mark.parametrize(
    "spec",
    [
        PRUNED,
        replace(PRUNED, weights=QuantSpec(3), fold_bn=True),
        replace(QUANTIZED, activations=ActivationSpec(3)),
        replace(QUANTIZED, weights=QuantSpec(2, "ternary", "group")),  # type: ignore[arg-type]
        replace(QUANTIZED, weights=QuantSpec(3, "k-means", "tensor")),  # type: ignore[arg-type]
        replace(PRUNED, prune=PruneSpec(structure="n:m")),  # type: ignore[arg-type]
        replace(PRUNED, prune=PruneSpec(sparsity=0.5, structure="filter")),  # type: ignore[arg-type]
    ],
    ids=lambda spec: spec.to_json()[-120:],
)
def test_training_goes_on_with_the_network_of_the_file(spec: CompressionSpec) -> None:
    first = trained(spec)
    whole = whole_spec(first, CompressionSpec("first"))
    assert whole == replace(spec, model="first")
    start = prepare(first, whole, evidence())
    assert start.continues
    run = Training(start, RECIPE, images())
    assert fingerprint(run.network().module) == fingerprint(first.module)
    again = finish(run).network()
    for before, after in zip(first.compressed.layers, again.layers, strict=True):
        assert after.bits == before.bits
        if mask := start.masks.get(after.name):
            assert not before.channels_first[~mask.mask].any()
            assert not after.channels_first[~mask.mask].any()
    assert fingerprint(again.module) != fingerprint(first.module)


@pytest.mark.parametrize(
    ("one", "other"), [(PRUNED, QUANTIZED), (QUANTIZED, PRUNED)], ids=["prune first", "quantize first"]
)
def test_a_network_is_pruned_and_quantized_in_either_order(one: CompressionSpec, other: CompressionSpec) -> None:
    first = trained(one)
    spec = whole_spec(first, replace(other, model="first"))
    assert (spec.prune, spec.weights) == (PRUNED.prune, QUANTIZED.weights)
    start = prepare(first, spec, evidence())
    assert not start.continues
    both = finish(Training(start, RECIPE, images())).network()
    assert both.sparsity >= 0.8 - 1e-3
    assert {layer.bits for layer in both.layers} == {3}
    for layer in both.layers:
        assert not layer.channels_first[~start.masks[layer.name].mask].any()
    if one is PRUNED:  # its zeros are the ones that stay
        for before, after in zip(first.compressed.layers, both.layers, strict=True):
            assert not after.weight[before.weight == 0].any()


@pytest.mark.parametrize(
    "prune",
    [
        PruneSpec(threshold=0.05),
        PruneSpec(threshold=1.0, unit="stds"),  # type: ignore[arg-type]
        PruneSpec(threshold=0.05, criterion="signed"),  # type: ignore[arg-type]
        PruneSpec(sparsity=0.3, criterion="signed"),  # type: ignore[arg-type]
        PruneSpec(threshold=0.1, structure="filter"),  # type: ignore[arg-type]
        PruneSpec(sparsity=0.8, criterion="random"),  # type: ignore[arg-type]
    ],
    ids=lambda prune: f"{prune.criterion} {prune.structure} {prune.threshold} {prune.sparsity}",
)
def test_weights_that_training_has_moved_below_the_threshold_are_not_pruned_again(prune: PruneSpec) -> None:
    first = trained(CompressionSpec("resnet8", prune))
    run = Training(prepare(first, whole_spec(first, CompressionSpec("first")), evidence()), RECIPE, images())
    run.advance(1)
    run.advance(1)
    again = run._latent.network()
    for before, after in zip(first.compressed.layers, again.layers, strict=True):
        assert torch.equal(before.weight != 0, after.weight != 0), before.name


def test_own_settings_of_layers_are_added_to_those_that_the_network_has() -> None:
    own = (LayerSpec("conv1", sparsity=0.5), LayerSpec("fc", sparsity=0.2))
    first = trained(replace(PRUNED, layers=own))
    added = (LayerSpec("fc", sparsity=0.1), LayerSpec("layer1.0.conv1", sparsity=0.3))
    assert set(whole_spec(first, CompressionSpec("first", layers=added)).layers) == {own[0], *added}


def test_a_student_that_was_trained_is_trained_on_and_is_not_its_own_teacher() -> None:
    student = load_untrained("untrained:resnet8")
    run = finish(Training(prepare(student, CompressionSpec(student.name), NO_EVIDENCE), RECIPE, images()))
    first = load_exported(to_bytes(run.network(), student), "first.safetensors", "first")
    spec = whole_spec(first, CompressionSpec("first"))
    start = prepare(first, spec, evidence())
    assert start.continues
    again = finish(Training(start, RECIPE, images())).network()
    assert fingerprint(again.module) != fingerprint(first.module)
    assert choose_teacher(first, spec, replace(RECIPE, distillation=0.5), model())
    with pytest.raises(ValueError, match="a network of a packed file cannot be its own teacher"):
        choose_teacher(first, spec, replace(RECIPE, distillation=0.5), None)


def test_a_network_with_quantized_inputs_keeps_one_quantizer_for_each() -> None:
    first = trained(replace(QUANTIZED, activations=ActivationSpec(4)))
    spec = whole_spec(first, CompressionSpec("first", PruneSpec(sparsity=0.5)))
    run = finish(Training(prepare(first, spec, evidence()), RECIPE, images()))
    result = run.network()
    for layer in result.layers:
        assert len(result.module.get_submodule(layer.name)._forward_pre_hooks) == 1
    assert not torch.equal(result.layers[1].weight, first.compressed.layers[1].weight)
