"""Training in bfloat16: the passes compute in it, weights stay float32, and what is learned is nearly the same."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from compression.core.evidence import Evidence
from compression.core.observe import observe
from compression.experiments.duration import seconds_per_training_image
from compression.quantization.activations import InputQuantizer
from compression.quantization.straight_through import TrainedInput
from compression.retraining.loss import loss_of
from compression.retraining.recipe import Precision, Recipe, recipe_from_json
from compression.retraining.start import prepare
from compression.retraining.training import Training
from compression.spec import ActivationSpec, CompressionSpec, PruneSpec, QuantSpec
from tests.retraining.test_training import RECIPE, finish, images, model

FLOAT32 = replace(RECIPE, distillation=0.5)
BFLOAT16 = replace(FLOAT32, precision="bfloat16")
SPECS = [
    CompressionSpec("resnet8", PruneSpec(sparsity=0.5)),
    CompressionSpec("resnet8", weights=QuantSpec(4), activations=ActivationSpec(4)),
    CompressionSpec("resnet8", weights=QuantSpec(1, "binary")),
    CompressionSpec("resnet8", weights=QuantSpec(3, "k-means", "tensor")),
]


def training(spec: CompressionSpec, recipe: Recipe) -> Training:
    parent = model()
    evidence = Evidence(calibration=observe(parent.module, parent.normalization(images().pixels)))
    return Training(prepare(parent, spec, evidence), recipe, images())


def passes(spec: CompressionSpec, recipe: Recipe) -> tuple[float, Tensor]:
    """Returns the loss of one batch, and its gradient."""
    latent, batch = training(spec, recipe)._latent, images(32)
    with torch.enable_grad():
        loss, _ = loss_of(latent, model(), model(), recipe, batch.pixels, batch.labels)
        gradients = torch.autograd.grad(loss, [each for each in latent.module.parameters() if each.requires_grad])
    assert {each.dtype for each in gradients} == {torch.float32}
    return float(loss.detach()), torch.cat([each.flatten() for each in gradients])


@pytest.mark.parametrize("spec", SPECS, ids=["sparse", "4 bits", "binary", "k-means"])
def test_the_loss_and_its_gradient_are_nearly_those_of_float32(spec: CompressionSpec) -> None:
    (exact, gradient), (rounded, other) = passes(spec, FLOAT32), passes(spec, BFLOAT16)
    assert rounded != exact  # it was not computed in float32
    assert rounded == pytest.approx(exact, rel=0.02)
    assert torch.cosine_similarity(gradient, other, dim=0) > 0.95


def test_the_gradient_of_a_learned_scale_is_summed_in_float32() -> None:
    """In bfloat16 a sum has three digits, and this one is the difference of two."""
    generator = torch.Generator().manual_seed(0)
    inputs, weights = (torch.randn(20_000, generator=generator).bfloat16() for _ in range(2))
    gradients = []
    for dtype in (torch.bfloat16, torch.float64):
        gain = torch.ones((), requires_grad=True)
        [rounded] = TrainedInput(InputQuantizer(2, 0.5, 0), gain)(torch.nn.Identity(), (inputs.to(dtype),))
        rounded.backward(weights.to(dtype))
        gradients.append(float(gain.grad))
    assert gradients[0] == pytest.approx(gradients[1], rel=1e-4)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_what_comes_out_is_float32_and_was_trained(optimizer: str) -> None:
    recipe = replace(BFLOAT16, optimizer=optimizer, learning_rate=0.001)
    run = finish(training(SPECS[1], recipe))
    assert not run.problem
    assert {each.dtype for each in run._latent.module.parameters()} == {torch.float32}
    assert {each.dtype for each in run.network().module.parameters()} == {torch.float32}
    assert recipe_from_json(run.lineage().recipe.to_json()).precision is Precision.BFLOAT16


def test_recipes_of_before_are_of_float32_and_have_the_text_that_they_had() -> None:
    assert recipe_from_json("{}").precision is Precision.FLOAT32
    assert "precision" not in Recipe().to_json()
    with pytest.raises(ValueError, match="precision must be one of float32, bfloat16"):
        Recipe(precision="float16")


@pytest.mark.parametrize("precision", list(Precision))
def test_its_time_can_be_estimated(precision: Precision) -> None:
    assert seconds_per_training_image(model(), precision) > 0
