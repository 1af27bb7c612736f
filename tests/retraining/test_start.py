"""Training on from a network that is compressed already: as it is, or pruned and quantized one after the other."""

from dataclasses import replace

import pytest
import torch

from compression.core.evidence import Evidence
from compression.core.observe import observe
from compression.files.exported import load_exported
from compression.files.packed_file import fingerprint, to_bytes
from compression.files.stored import StoredNetwork
from compression.retraining.start import prepare, whole_spec
from compression.retraining.training import Training
from compression.spec import ActivationSpec, CompressionSpec, PruneSpec, QuantSpec
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


def test_a_network_with_quantized_inputs_keeps_one_quantizer_for_each() -> None:
    first = trained(replace(QUANTIZED, activations=ActivationSpec(4)))
    spec = whole_spec(first, CompressionSpec("first", PruneSpec(sparsity=0.5)))
    run = finish(Training(prepare(first, spec, evidence()), RECIPE, images()))
    result = run.network()
    for layer in result.layers:
        assert len(result.module.get_submodule(layer.name)._forward_pre_hooks) == 1
    assert not torch.equal(result.layers[1].weight, first.compressed.layers[1].weight)
