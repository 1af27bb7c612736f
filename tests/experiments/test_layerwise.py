"""Scans of layers: the predictions of whole networks, each measured once, and the best assignment within a budget."""

import copy
import itertools
import json
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from compression.__main__ import main
from compression.core.compress import compress
from compression.core.training_evidence import evidence_for
from compression.data.cifar10 import TEST
from compression.data.images import ImageSet
from compression.engine.cluster import Engine
from compression.evaluation.evaluation import BATCH, Evaluation, evaluate, join
from compression.evaluation.subsets import first
from compression.experiments.assignment import assign, least_loss
from compression.experiments.layerwise import StagedNetwork, Walk, single_layer_spec
from compression.experiments.scan import Scan, ScanReading
from compression.experiments.scanner import Scanner
from compression.networks.architectures.stages import run_stages, stages_of
from compression.networks.model import FloatModel, freeze_
from compression.networks.normalization import NORMALIZATIONS
from compression.networks.weights import weighted_layers
from compression.results.store import Key, Store
from compression.spec import ActivationSpec, CompressionSpec, LayerSpec, Order, PruneSpec, QuantSpec, Scheme
from tests.support.networks import images, network

SMALL = ("cnn3", "mobilenetv2", "repvgg_a0", "resnet8", "resnet8-a", "shufflenetv2_x0_5", "simple_cnn", "vgg11_bn")
THREE_BITS = CompressionSpec("simple_cnn", weights=QuantSpec(3))
HALF = CompressionSpec("simple_cnn", PruneSpec(sparsity=0.5))
TERNARY = CompressionSpec("simple_cnn", weights=QuantSpec(2, Scheme.TERNARY, "tensor"), fold_bn=True)

INPUTS = CompressionSpec("simple_cnn", weights=QuantSpec(4), activations=ActivationSpec(4))
FOLDED = CompressionSpec("resnet20", weights=QuantSpec(3), fold_bn=True)
FOLDED_LAST = replace(FOLDED, order=Order.QUANTIZE_FIRST)


def model_of(module: nn.Module) -> FloatModel:
    return FloatModel("simple_cnn", freeze_(copy.deepcopy(module)), NORMALIZATIONS["cifar10"])


def noise(count: int) -> ImageSet:
    pixels = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return ImageSet(pixels, torch.arange(count) % 10, "noise", TEST)


def whole_network(model: FloatModel, spec: CompressionSpec, layer: str, of: ImageSet) -> Evaluation:
    """Evaluates the whole network with only `layer` compressed by `spec`."""
    whole = single_layer_spec(spec, layer, list(weighted_layers(model.module)))
    return evaluate(compress(model.module, whole, evidence_for(model, whole)).module, of, model.normalization)


def scan_in_this_process(
    model: FloatModel, specs: Sequence[CompressionSpec], of: ImageSet
) -> dict[tuple[str, CompressionSpec], Evaluation]:
    """Returns what a scan measures: (layer, spec) -> the evaluation with only that layer compressed by the spec."""
    staged = StagedNetwork(model)
    changes = {layer: [staged.change(layer, spec) for spec in specs] for layer in staged.names}
    parts: dict[tuple[str, CompressionSpec], list[Evaluation]] = defaultdict(list)
    for start in range(0, len(of), BATCH):
        walk = Walk(staged, of[start : start + BATCH])
        for layer in staged.names:
            for spec, part in zip(specs, walk.evaluate(layer, changes[layer]), strict=True):
                parts[layer, spec].append(part)
    return {cell: join(evaluations) for cell, evaluations in parts.items()}


# ---- the numbers


@pytest.mark.parametrize("arch", SMALL)
def test_the_stages_in_turn_are_the_network(arch: str) -> None:
    module = network(arch)
    with torch.inference_mode():
        assert torch.equal(run_stages(stages_of(module), images()), module(images()))
    assert len(stages_of(module)) >= 4


@pytest.mark.parametrize("arch", SMALL)
def test_each_layer_alone_has_the_margins_of_the_whole_network(arch: str) -> None:
    model, some = model_of(network(arch)), noise(4)
    staged = StagedNetwork(model)
    walk = Walk(staged, some)
    for layer in (staged.names[0], staged.names[len(staged.names) // 2], staged.names[-1]):
        (evaluation,) = walk.evaluate(layer, [staged.change(layer, THREE_BITS)])
        expected = whole_network(model, THREE_BITS, layer, some)
        assert torch.equal(evaluation.margins, expected.margins)
        assert evaluation.loss_sum == expected.loss_sum


@pytest.mark.parametrize("order", [{}, {"fold_bn": True}], ids=["", "folded"])
@pytest.mark.parametrize("arch", ["resnet8", "simple_cnn"])
def test_filters_that_one_layer_loses_are_silent_as_in_the_whole_network(arch: str, order: dict) -> None:
    model, some = model_of(network(arch)), noise(4)
    spec = CompressionSpec("simple_cnn", PruneSpec(sparsity=0.5, structure="filter"), QuantSpec(6), **order)
    staged = StagedNetwork(model)
    walk = Walk(staged, some)
    for layer in staged.names:
        (evaluation,) = walk.evaluate(layer, [staged.change(layer, spec)])
        assert torch.equal(evaluation.margins, whole_network(model, spec, layer, some).margins)


def test_in_a_scan_batch_norm_keeps_its_statistics() -> None:
    spec = CompressionSpec("resnet8", reestimate_bn=True)
    assert not single_layer_spec(spec, "conv1", ["conv1", "fc"]).reestimate_bn


@pytest.mark.parametrize("spec", [THREE_BITS, HALF, TERNARY, INPUTS], ids=["bits", "sparsity", "ternary", "inputs"])
def test_a_scan_is_the_same_as_whole_networks_one_after_another(
    simple_cnn: FloatModel, test_images: ImageSet, spec: CompressionSpec
) -> None:
    some = test_images[:200]
    for (layer, of), evaluation in scan_in_this_process(simple_cnn, [spec], some).items():
        expected = whole_network(simple_cnn, of, layer, some)
        assert torch.equal(evaluation.predictions, expected.predictions)
        assert evaluation.loss_sum == expected.loss_sum


@pytest.mark.parametrize("spec", [FOLDED, FOLDED_LAST], ids=["first", "last"])
def test_batch_norm_may_be_folded_first_or_last(random_resnet: nn.Module, spec: CompressionSpec) -> None:
    model, some = model_of(random_resnet), noise(3)
    staged = StagedNetwork(model)
    walk = Walk(staged, some)
    for layer in ("conv1", "layer2.0.conv2", "fc"):
        (evaluation,) = walk.evaluate(layer, [staged.change(layer, spec)])
        assert torch.equal(evaluation.margins, whole_network(model, spec, layer, some).margins)


def test_layers_may_come_in_any_order(simple_cnn: FloatModel, test_images: ImageSet) -> None:
    staged = StagedNetwork(simple_cnn)
    walk = Walk(staged, test_images[:50])
    for layer in ("fc1", "conv1", "fc2", "conv2"):
        (evaluation,) = walk.evaluate(layer, [staged.change(layer, THREE_BITS)])
        assert torch.equal(evaluation.margins, whole_network(simple_cnn, THREE_BITS, layer, test_images[:50]).margins)


def test_a_scan_leaves_the_float_network_as_it_is(simple_cnn: FloatModel) -> None:
    before = simple_cnn.digest
    scan_in_this_process(simple_cnn, [THREE_BITS], noise(2))
    assert FloatModel(simple_cnn.name, simple_cnn.module, simple_cnn.normalization).digest == before


class Plain(nn.Module):
    """A network that does not define its stages."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.conv(x).mean((2, 3)))


def test_a_network_without_stages_is_run_as_a_whole() -> None:
    model, some = model_of(Plain()), noise(3)
    assert len(stages_of(model.module)) == 1
    for (layer, of), evaluation in scan_in_this_process(model, [THREE_BITS], some).items():
        assert torch.equal(evaluation.margins, whole_network(model, of, layer, some).margins)


def test_the_layers_before_a_layer_are_not_run_again(random_resnet: nn.Module) -> None:
    """Multiply-accumulates, counted as calls of convolutions: ResNet-20 has 22 layers, and half of them on average."""
    staged = StagedNetwork(model_of(random_resnet))
    walk = Walk(staged, noise(1))
    changes = {layer: [staged.change(layer, THREE_BITS)] * 6 for layer in staged.names}
    calls = []
    hooks = [
        staged._module.get_submodule(name).register_forward_hook(lambda *_: calls.append(1)) for name in staged.names
    ]
    for layer in staged.names:
        walk.evaluate(layer, changes[layer])
    for hook in hooks:
        hook.remove()
    assert len(calls) < 0.6 * 6 * len(staged.names) ** 2


# ---- on the engine


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results.sqlite")


def test_workers_compute_what_this_process_computes(
    here: Engine, store: Store, simple_cnn: FloatModel, test_images: ImageSet
) -> None:
    *_, last = Scanner(here, store, test_images).follow(simple_cnn, [THREE_BITS, HALF], 250)
    expected = scan_in_this_process(simple_cnn, [THREE_BITS, HALF], test_images[:250])
    assert last.cells.keys() == expected.keys()
    for cell, evaluation in last.cells.items():
        assert torch.equal(evaluation.predictions, expected[cell].predictions)
    assert last.share == 1
    assert last.before
    assert last.before.correct == evaluate(simple_cnn.module, test_images[:250], simple_cnn.normalization).correct


class Forbidden(Engine):
    """An engine that fails if it is asked for a task."""

    def ask(self, *_: object, **__: object) -> None:
        raise AssertionError("this has been measured before")


def test_a_complete_scan_measures_nothing_again_after_a_restart(
    here: Engine, store: Store, simple_cnn: FloatModel, test_images: ImageSet
) -> None:
    for _ in Scanner(here, store, test_images).follow(simple_cnn, [THREE_BITS], 125):
        pass
    anew = Scanner(Forbidden(address=""), Store(store.path), test_images)
    assert anew.look(simple_cnn, [THREE_BITS], 125).done
    key = Key.of(simple_cnn, single_layer_spec(THREE_BITS, "fc1", ["conv1", "conv2", "fc1", "fc2"]), first(125))
    assert store.get(key, test_images[:125])


def test_only_a_new_setting_is_measured(
    here: Engine, store: Store, simple_cnn: FloatModel, test_images: ImageSet
) -> None:
    scanner = Scanner(here, store, test_images)
    *_, one = scanner.follow(simple_cnn, [THREE_BITS], 125)
    both = Scanner(here, store, test_images).look(simple_cnn, [HALF, THREE_BITS], 125, go=False)
    assert both.cells.keys() == one.cells.keys()
    assert both.before


def test_two_scans_of_one_network_at_once_are_both_completed(
    here: Engine, store: Store, simple_cnn: FloatModel, test_images: ImageSet
) -> None:
    """Both start with the float network, and an engine gives each result once."""
    scanner = Scanner(here, store, test_images)
    deadline = time.monotonic() + 60
    exact = False
    while not exact:
        readings = [scanner.look(simple_cnn, [spec], 250) for spec in (THREE_BITS, HALF)]
        exact = all(reading.done for reading in readings)
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_stopped_scan_rests_and_continues(
    here: Engine, store: Store, simple_cnn: FloatModel, test_images: ImageSet
) -> None:
    scanner = Scanner(here, store, test_images)
    specs = [CompressionSpec("simple_cnn", weights=QuantSpec(bits)) for bits in (3, 4)]
    assert not scanner.look(simple_cnn, specs, 3000, go=False).cells
    readings = scanner.follow(simple_cnn, specs, 3000)
    for reading in readings:
        if reading.cells:
            break
    rest = scanner.look(simple_cnn, specs, 3000, go=False)
    deadline = time.monotonic() + 60
    while any(layer.pending for state in scanner._states.values() for layer in state.layers):
        rest = scanner.look(simple_cnn, specs, 3000, go=False)
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert not rest.done
    *_, last = readings
    assert last.done


# ---- assignment


@pytest.mark.parametrize("seed", range(20))
def test_the_choice_is_that_of_an_exhaustive_search(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    costs = torch.randint(1, 30, (5, 4), generator=generator).tolist()
    harms = torch.randn(5, 4, generator=generator).tolist()
    ways = list(itertools.product(range(4), repeat=5))
    spent = lambda way: sum(row[place] for row, place in zip(costs, way, strict=True))
    harm = lambda way: sum(row[place] for row, place in zip(harms, way, strict=True))
    for budget in (min(map(spent, ways)), 40, 60, 200):
        if budget >= min(map(spent, ways)):
            choice = least_loss(costs, harms, budget)
            assert spent(choice) <= budget
            assert harm(choice) == pytest.approx(min(harm(way) for way in ways if spent(way) <= budget))


def test_a_budget_below_the_smallest_choice_is_refused() -> None:
    with pytest.raises(ValueError, match="every choice costs more"):
        least_loss([[2, 3], [4, 5]], [[0, 0], [0, 0]], 5)


def judged_as(loss: float) -> Evaluation:
    return Evaluation(torch.zeros(1, dtype=torch.uint8), torch.zeros(1, dtype=torch.int64), TEST.classes, 1, loss)


def test_the_most_sensitive_layer_keeps_its_bits() -> None:
    four, two = (CompressionSpec("net", weights=QuantSpec(bits)) for bits in (4, 2))
    losses = {("a", four): 0.0, ("a", two): 1.0, ("b", four): 0.0, ("b", two): 0.1}
    cells = {cell: judged_as(loss) for cell, loss in losses.items()}
    reading = ScanReading(Scan((four, two), ("a", "b"), 1), judged_as(0.0), cells, 1.0)
    assert assign(reading, {"a": 10, "b": 10}, 3) == (LayerSpec("a", 4), LayerSpec("b", 2))
    with pytest.raises(ValueError, match="come to 2, above the budget 1"):
        assign(reading, {"a": 10, "b": 10}, 1)


# ---- the command line


def test_the_command_prints_the_cells_and_a_recipe(
    here: Engine, test_images: ImageSet, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["sensitivity", "--model", "simple_cnn", "--bits", "4,2", "--images", "125", "--budget", "3"]
    assert main([*arguments, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["exact"]
    assert {(cell["layer"], cell["bits"]) for cell in answer["cells"]} == set(
        itertools.product(("conv1", "conv2", "fc1", "fc2"), (4, 2))
    )
    assert answer["layers"].startswith("conv1:")
    assert main(arguments) == 0
    assert "change in percentage points, each layer compressed alone" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--bits", "four"], "--bits must be numbers separated by commas, got 'four'"),
        (["--bits", "4.5"], "--bits must be whole numbers"),
        (["--bits", "4,4"], "--bits repeats a number"),
        (["--bits", "40"], "bits must be a whole number in 2..16, got 40"),
        (["--sparsity", "0.5", "--scheme", "affine"], "--scheme applies to --bits, not to --sparsity"),
        (["--sparsity", "2"], "sparsity must be in 0..1, got 2"),
        (["--images", "0"], "--images must be in 1..10,000, got 0"),
    ],
)
def test_wrong_options_are_refused(capsys: pytest.CaptureFixture[str], arguments: list[str], words: str) -> None:
    assert main(["sensitivity", "--model", "simple_cnn", *arguments]) == 2
    assert words in capsys.readouterr().err
