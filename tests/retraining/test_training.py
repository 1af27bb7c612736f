"""Trained compressed networks: zeros stay, files hold the result, the seed decides, gradients are those of torch."""

import copy
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from compression.core.evidence import NO_EVIDENCE, Evidence, Sample
from compression.core.network import with_source
from compression.data.cifar10 import TEST, TRAIN
from compression.data.images import ImageSet
from compression.evaluation.evaluation import Evaluation, evaluate
from compression.files.packed_file import fingerprint, to_bytes
from compression.files.packed_reader import verify_file
from compression.networks.model import FloatModel, freeze_
from compression.networks.normalization import NORMALIZATIONS
from compression.quantization.activations import InputQuantizer
from compression.quantization.quantizers import QParams
from compression.quantization.straight_through import TrainedInput, round_weight
from compression.retraining import training as trainings
from compression.retraining.lineage import lineage_from_json
from compression.retraining.optimizers import shrink_
from compression.retraining.recipe import Recipe, WeightPenalty, recipe_from_json
from compression.retraining.run import recover
from compression.retraining.schedules import bits_at, point_steps, rate_share, sparsity_at
from compression.retraining.start import prepare
from compression.retraining.training import Training
from compression.spec import CompressionSpec, PruneSpec, QuantSpec
from tests.support.networks import network

RECIPE = Recipe(steps=4, batch_size=16, held_out=32, points=2, learning_rate=0.05, weight_decay=0.1)


def images(count: int = 96) -> ImageSet:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 255, (count, 3, 32, 32), generator=generator, dtype=torch.uint8)
    return ImageSet(pixels, torch.arange(count) % 10, "made up", TRAIN)


def model(arch: str = "resnet8") -> FloatModel:
    return FloatModel(arch, freeze_(network(arch)), NORMALIZATIONS["cifar10"], about={"arch": arch})


def training(spec: CompressionSpec, recipe: Recipe = RECIPE, arch: str = "resnet8") -> Training:
    return Training(prepare(model(arch), replace(spec, model=arch), NO_EVIDENCE), recipe, images())


def finish(run: Training) -> Training:
    while not run.is_done:
        run.advance(1)
    return run


SPECS = [
    CompressionSpec(prune=PruneSpec(sparsity=0.9)),
    CompressionSpec(prune=PruneSpec(structure="n:m")),
    CompressionSpec(prune=PruneSpec(sparsity=0.5, structure="filter"), fold_bn=True),
    CompressionSpec(weights=QuantSpec(2)),
    CompressionSpec(weights=QuantSpec(2, "ternary", "group")),
    CompressionSpec(weights=QuantSpec(1, "binary")),
    CompressionSpec(weights=QuantSpec(3, "k-means", "tensor")),
    CompressionSpec(weights=QuantSpec(4, "power-of-two")),
    CompressionSpec(weights=QuantSpec(4, "min-max"), prune=PruneSpec(sparsity=0.5)),
]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.to_json()[-150:])
def test_zeros_stay_zero_and_the_file_holds_what_was_evaluated(spec: CompressionSpec, tmp_path: Path) -> None:
    run = finish(training(spec))
    assert not run.problem
    result, start = run.network(), run.start.compressed
    for after, mask in ((layer, run.start.masks.get(layer.name)) for layer in result.layers):
        if mask:
            assert not after.channels_first[~mask.mask].any(), after.name
    assert any(
        not torch.equal(one.weight, other.weight) for one, other in zip(result.layers, start.layers, strict=True)
    )
    path = tmp_path / "net.safetensors"
    path.write_bytes(to_bytes(with_source(result, run.start.model), run.start.model))
    verify_file(path, result)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("schedule", ["cubic", "iterative"])
def test_gradual_pruning_ends_at_the_target(schedule: str, optimizer: str) -> None:
    recipe = replace(RECIPE, sparsity_schedule=schedule, optimizer=optimizer)
    result = finish(training(CompressionSpec(prune=PruneSpec(sparsity=0.8)), recipe)).network()
    assert result.nonzero == result.weights - int(0.8 * result.weights)


@pytest.mark.parametrize(
    "changes",
    [
        {"sparsity_schedule": "cubic"},
        {"sparsity_schedule": "iterative", "rate_schedule": "rewound", "weight_penalty": "huber"},
        {"bit_schedule": (32, 4), "bit_penalty": 0.1, "weight_penalty": "l1"},
        {"precision": "bfloat16", "distillation": 0.5},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_run_that_is_killed_after_any_step_ends_with_the_same_bits(changes: dict) -> None:
    spec = CompressionSpec(weights=QuantSpec(2), prune=PruneSpec(sparsity=0.5))
    recipe = replace(RECIPE, **changes)
    whole = finish(training(spec, recipe))
    run = training(spec, recipe)
    while not run.is_done:
        run.advance(1)
        state = copy.deepcopy(run.state())
        run = training(spec, recipe)
        run.load(state)
    assert fingerprint(run.network().module) == fingerprint(whole.network().module)
    other = finish(training(spec, replace(recipe, seed=1)))
    assert fingerprint(other.network().module) != fingerprint(whole.network().module)
    with pytest.raises(ValueError, match="another network, spec or recipe"):
        training(spec, RECIPE).load(state)


def test_penalties_move_weights_as_on_paper() -> None:
    weight = torch.tensor([-3.0, -0.2, 0.0, 0.1, 1.0])
    by_l1, by_huber = weight.clone(), weight.clone().requires_grad_()
    shrink_(by_l1, WeightPenalty.L1, 0.25)
    assert torch.equal(by_l1, torch.tensor([-2.75, 0.0, 0.0, 0.0, 0.75]))
    delta = float(weight.square().mean().sqrt())
    torch.nn.functional.huber_loss(by_huber, torch.zeros(5), reduction="sum", delta=delta).backward()
    expected = weight - 0.25 * by_huber.grad / delta
    shrink_(weight, WeightPenalty.HUBER, 0.25)
    assert torch.allclose(weight, expected)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_an_l1_penalty_makes_weights_exactly_zero(optimizer: str) -> None:
    recipe = replace(RECIPE, steps=8, optimizer=optimizer, learning_rate=0.01, weight_decay=0.5)
    spec, zeros = CompressionSpec(weights=QuantSpec(8)), {}
    for penalty in WeightPenalty:
        run = finish(training(spec, replace(recipe, weight_penalty=penalty)))
        zeros[penalty] = int((run._latent.module.fc.weight == 0).sum())
    assert zeros["l1"] > 10
    assert zeros["l2"] == zeros["huber"] == 0


@pytest.mark.parametrize("rate", [1e18, 1e30])
def test_training_that_diverges_ends_with_a_sentence_and_keeps_the_best_so_far(rate: float) -> None:
    run = finish(training(CompressionSpec(weights=QuantSpec(2)), replace(RECIPE, steps=40, learning_rate=rate)))
    assert "lower the learning rate" in run.problem
    assert run.lineage().steps == 0
    assert run.lineage().after.correct == max(point.correct for point in run.points)
    assert all(layer.weight.isfinite().all() for layer in run.network().layers)


@pytest.mark.parametrize(
    "schedule", [{}, {"sparsity_schedule": "cubic"}, {"bit_schedule": (6,)}], ids=["one-shot", "cubic", "bits first"]
)
def test_a_run_starts_at_the_compressed_network_with_all_of_its_steps(schedule: dict) -> None:
    """Whatever is trained first: float weights if pruning is gradual."""
    spec = CompressionSpec("resnet8", PruneSpec(sparsity=0.8), QuantSpec(4), reconstruct=True)
    start = prepare(model(), spec, Evidence(Sample(model().normalization(images().pixels), images().labels)))
    run = Training(start, replace(RECIPE, steps=12, held_out=96 - 16, **schedule), images())
    run.advance(1)
    held_out = images()[16:]
    assert run.points[0].correct == evaluate(start.compressed.module, held_out, start.model.normalization).correct
    assert fingerprint(run.network().module) == fingerprint(start.compressed.module)


def test_a_run_ends_if_it_diverges_and_not_because_gradual_pruning_makes_it_worse_at_first(
    simple_cnn: FloatModel,
) -> None:
    """With a teacher, the loss is far above that of guessing, log 10, before the network has recovered."""
    inputs = simple_cnn.normalization(images().pixels)
    answers = replace(images(), labels=simple_cnn.module(inputs).argmax(1))
    spec = CompressionSpec("simple_cnn", PruneSpec(sparsity=0.98))
    recipe = replace(RECIPE, steps=40, points=20, learning_rate=0.01, distillation=0.9, sparsity_schedule="cubic")
    start = prepare(simple_cnn, spec, NO_EVIDENCE)
    run = finish(Training(start, recipe, answers))
    assert (run.problem, run.step) == ("", 40)
    losses = [point.loss for point in run.points if point.loss is not None]
    assert max(losses) > max(losses[0], math.log(10))
    run = finish(Training(start, replace(recipe, learning_rate=1.0), answers))
    assert "weights grow without end" in run.problem
    spec = CompressionSpec("simple_cnn", PruneSpec(sparsity=0.5))
    one_shot = replace(recipe, learning_rate=0.05, distillation=0.0, sparsity_schedule="one-shot")
    run = finish(Training(prepare(simple_cnn, spec, NO_EVIDENCE), one_shot, answers))
    assert "the cross-entropy has risen from" in run.problem


def test_a_run_ends_if_pruning_leaves_no_weight_in_a_layer_that_nothing_bypasses(simple_cnn: FloatModel) -> None:
    """Of simple_cnn a layer with small weights loses all; of resnet8 a layer that its shortcut bypasses does."""
    spec, recipe = CompressionSpec("simple_cnn", PruneSpec(sparsity=0.9)), replace(RECIPE, steps=20, points=5)
    small = copy.deepcopy(simple_cnn.module)
    with torch.no_grad():
        small.get_parameter("conv2.weight").mul_(1e-3)
    recipe = replace(recipe, sparsity_schedule="cubic", learning_rate=1e-4)
    run = finish(Training(prepare(replace(simple_cnn, module=small), spec, NO_EVIDENCE), recipe, images()))
    assert run.problem.startswith("training ended after step 12: no weight of conv2 is left")
    assert run.network().layers
    bypassed = model()
    with torch.no_grad():
        bypassed.module.get_parameter("layer2.0.conv1.weight").mul_(1e-3)
    run = finish(Training(prepare(bypassed, replace(spec, model="resnet8"), NO_EVIDENCE), recipe, images()))
    assert (run.problem, run.step) == ("", 20)
    assert not next(layer for layer in run.network().layers if layer.name == "layer2.0.conv1").nonzero


def test_ctrl_c_in_the_last_count_gives_the_best_network_that_was_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[object] = []

    def count(*arguments: Any) -> Evaluation:
        counts.append(arguments)
        if len(counts) > RECIPE.points:
            raise KeyboardInterrupt
        return evaluate(*arguments)

    monkeypatch.setattr(trainings, "evaluate", count)
    lineage = recover(model(), CompressionSpec("resnet8", weights=QuantSpec(4)), RECIPE, images())[1]
    assert lineage.steps < RECIPE.total_steps(96)
    assert lineage.after.step == lineage.steps


def test_a_run_saved_to_a_file_is_not_repeated_and_its_lineage_is_text(tmp_path: Path) -> None:
    spec = CompressionSpec("resnet8", prune=PruneSpec(sparsity=0.5))
    first, lineage = recover(model(), spec, RECIPE, images(), tmp_path / "run.pt")
    steps: list[int] = []
    again, _ = recover(model(), spec, RECIPE, images(), tmp_path / "run.pt", lambda run: steps.append(run.step))
    assert steps == []
    assert fingerprint(first.module) == fingerprint(again.module)
    assert lineage_from_json(lineage.to_json()) == lineage
    assert (lineage.parent, lineage.steps, lineage.epochs) == ("resnet8", 4, 1.0)
    assert recipe_from_json(RECIPE.to_json()) == RECIPE
    assert "penalty" not in RECIPE.to_json()
    assert "bit_schedule" not in RECIPE.to_json()
    later = replace(RECIPE, bit_schedule=[32, 4], weight_penalty="l1", bit_penalty=0.1)
    assert recipe_from_json(later.to_json()) == later


def test_the_gradient_of_weights_is_that_of_torch_and_zero_outside_the_clip() -> None:
    weight = torch.tensor([[-3.0, -0.2, 0.4, 0.9], [2.0, 0.1, 9.0, -0.6]], requires_grad=True)
    scale, zero = torch.tensor([0.5, 1.0]), torch.zeros(2, dtype=torch.int32)
    ours = round_weight(weight, QParams(scale[:, None], zero[:, None], -3, 3), torch.ones(2, 1))
    theirs = torch.fake_quantize_per_channel_affine(weight, scale, zero, 0, -3, 3)
    assert torch.equal(ours, theirs)
    assert torch.equal(gradient(ours, weight), gradient(theirs, weight))
    assert gradient(ours, weight)[0, 0] == 0


def test_the_gradient_of_a_learned_scale_is_that_of_torch() -> None:
    weight, scale = torch.randn(40, generator=torch.Generator().manual_seed(0)), torch.tensor([0.5], requires_grad=True)
    theirs = torch._fake_quantize_learnable_per_tensor_affine(weight, scale, torch.zeros(1), -3, 3, 1.0)
    gain = torch.ones((), requires_grad=True)
    ours = round_weight(weight, QParams(torch.tensor(0.5), torch.zeros((), dtype=torch.int32), -3, 3), gain)
    assert float(gradient(ours, gain)) == pytest.approx(0.5 * float(gradient(theirs, scale)), rel=1e-4)


def test_the_gradients_of_inputs_and_of_their_learned_scale_are_those_of_torch() -> None:
    """Outside of the clip, that of the scale is PACT's, which learns where the clip is."""
    inputs = (2 * torch.randn(40, generator=torch.Generator().manual_seed(0))).requires_grad_()
    scale, gain = torch.tensor([0.5], requires_grad=True), torch.ones((), requires_grad=True)
    theirs = torch._fake_quantize_learnable_per_tensor_affine(inputs, scale, torch.ones(1), 0, 7, 1.0)
    [ours] = TrainedInput(InputQuantizer(3, 0.5, 1), gain)(torch.nn.Identity(), (inputs,))
    assert torch.equal(ours, theirs)
    assert torch.equal(gradient(ours, inputs), gradient(theirs, inputs))
    assert 0 < (gradient(ours, inputs) == 0).sum() < 40
    assert float(gradient(ours, gain)) == pytest.approx(0.5 * float(gradient(theirs, scale)), rel=1e-4)


def gradient(output: Tensor, by: Tensor) -> Tensor:
    return torch.autograd.grad((output * torch.arange(output.numel()).view(output.shape)).sum(), by, retain_graph=True)[
        0
    ]


def test_schedules_on_paper() -> None:
    cubic = Recipe(sparsity_schedule="cubic", pruned_by=0.5)
    assert [sparsity_at(cubic, 0.8, step, 100) for step in (24, 50, 99)] == pytest.approx([0.8 * 0.875, 0.8, 0.8])
    iterative = Recipe(sparsity_schedule="iterative", pruned_by=0.5)
    assert sparsity_at(iterative, 0.9, 0, 100) == pytest.approx(1 - 0.1 ** (1 / 5))
    assert [rate_share(Recipe(), step, 10) for step in (0, 5, 9)] == pytest.approx([1.0, 0.5, 0.1])
    rewound = replace(iterative, rate_schedule="rewound")
    shares = [rate_share(rewound, step, 20) for step in range(20)]
    assert shares == pytest.approx([*[1.0, 0.5] * 4, *(1 - step / 12 for step in range(12))])
    assert all(rate_share(rewound, step, 3) > 0 for step in range(3))
    stepwise = Recipe(bit_schedule=(32, 4, 3))
    assert [bits_at(stepwise, step, 12) for step in range(12)] == [32, 32, 4, 4, 3, 3, *[None] * 6]
    assert bits_at(Recipe(), 0, 12) is None
    assert point_steps(Recipe(points=2), 5) == (0, 2, 5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"epochs": 0}, "epochs must be above 0"),
        ({"steps": 0}, "steps must be a whole number"),
        ({"learning_rate": -1.0}, "learning_rate must be"),
        ({"distillation": 2.0}, "distillation must be in 0..1"),
        ({"bit_schedule": (3, 4)}, "bit_schedule must be falling whole numbers"),
        ({"bit_schedule": (2,)}, "bit_schedule must be falling whole numbers"),
        ({"weight_penalty": "l3"}, "l3"),
    ],
)
def test_nonsense_in_a_recipe_is_refused(change: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(RECIPE, **change)


def test_what_cannot_be_trained_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to recover from"):
        training(CompressionSpec())
    with pytest.raises(ValueError, match="needs a sparsity target"):
        training(CompressionSpec(prune=PruneSpec(threshold=0.1)), replace(RECIPE, sparsity_schedule="cubic"))
    with pytest.raises(ValueError, match="starts again at each stage"):
        training(SPECS[0], replace(RECIPE, rate_schedule="rewound"))
    for spec, recipe, words in (
        (
            CompressionSpec(weights=QuantSpec(2, "ternary")),
            RECIPE,
            "a scheme that has bits: symmetric, affine, min-max",
        ),
        (CompressionSpec(weights=QuantSpec(4)), RECIPE, "must be more than the 4 of the spec"),
        (CompressionSpec(weights=QuantSpec(2)), replace(RECIPE, quantizers="frozen"), "needs learned scales"),
    ):
        with pytest.raises(ValueError, match=words):
            training(spec, replace(recipe, bit_schedule=(8, 3)))
    with pytest.raises(ValueError, match="too few for a batch"):
        training(CompressionSpec(weights=QuantSpec(2)), replace(RECIPE, batch_size=1000))


def test_test_images_are_never_trained_on() -> None:
    start = prepare(model(), replace(SPECS[0], model="resnet8"), NO_EVIDENCE)
    with pytest.raises(ValueError, match="test images measure a network and never train it"):
        Training(start, RECIPE, replace(images(), split=TEST))


def test_a_run_is_not_continued_on_other_images() -> None:
    start = prepare(model(), replace(SPECS[0], model="resnet8"), NO_EVIDENCE)
    run = Training(start, RECIPE, images())
    run.advance(1)
    same, shorter = images(), images(80)
    poisoned = replace(same, labels=same.labels.flip(0))
    Training(start, RECIPE, same).load(run.state())
    for others in (shorter, poisoned):
        with pytest.raises(ValueError, match="or of other images"):
            Training(start, RECIPE, others).load(run.state())


def test_a_run_whose_last_count_was_interrupted_is_counted_and_done() -> None:
    run = finish(training(SPECS[0]))
    state = run.state()
    state["points"].pop()
    again = training(SPECS[0])
    again.load(state)
    assert not again.is_done
    assert finish(again).step == run.step
    assert fingerprint(again.network().module) == fingerprint(run.network().module)


def test_learned_scales_stay_positive_at_any_rate() -> None:
    run = finish(training(CompressionSpec(weights=QuantSpec(2)), replace(RECIPE, gain_rate=5.0)))
    scales = [layer.qparams.scale for layer in run.network().layers]
    assert all((scale > 0).all() for scale in scales)
