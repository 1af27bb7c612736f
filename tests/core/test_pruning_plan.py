"""Pruning of networks: which layers are pruned, what belongs to a filter, gradients, and valid combinations."""

import inspect
import math
from dataclasses import replace
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from compression.core.compress import compress
from compression.core.evidence import NO_EVIDENCE, Evidence, Sample
from compression.core.gradients import loss_gradients
from compression.core.output_gradients import output_gradients
from compression.core.record import CompressedModel
from compression.core.training_evidence import evidence_for
from compression.networks.folding import norms_after
from compression.networks.model import FloatModel
from compression.networks.weights import weighted_layers
from compression.pruning.masks import PRUNING_METHODS
from compression.reconstruction.factor import DAMPING
from compression.spec import Also, CompressionSpec, Criterion, LayerSpec, PruneSpec, QuantSpec, Scope, Structure, Unit
from tests.support.networks import images, network

LAYERS = ["0", "3", "6", "9", "11"]


def tiny() -> nn.Module:
    """Two convolutions with batch norm, one without, and two linear layers: (N, 4, 6, 6) -> (N, 3)."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        module = nn.Sequential(
            *(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6), nn.ReLU(inplace=True)),
            *(nn.Conv2d(6, 8, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU()),
            *(nn.Conv2d(8, 5, 3), nn.ReLU(), nn.Flatten()),
            *(nn.Linear(20, 8), nn.ReLU(), nn.Linear(8, 3)),
        )
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d):
                for tensor in (part.weight.data, part.bias.data, part.running_mean, part.running_var):
                    assert tensor is not None
                    tensor.uniform_(0.05, 1.5)
        return module.eval()


def sample() -> Sample:
    generator = torch.Generator().manual_seed(4)
    return Sample(torch.randn(150, 4, 6, 6, generator=generator), torch.randint(0, 3, (150,), generator=generator))


def evidence(module: nn.Module, spec: PruneSpec) -> Evidence:
    if spec.criterion is Criterion.OBS:
        filters = spec.structure is Structure.FILTER
        return Evidence(gradients=output_gradients(module, sample().inputs, whole_filters=filters))
    return Evidence(gradients=loss_gradients(module, sample()))


def prune(module: nn.Module, **how) -> CompressedModel:
    spec = PruneSpec(**how)
    return compress(module, CompressionSpec("tiny", spec), evidence(module, spec))


# ---- every combination


TARGETS: dict[tuple[str, str], set[str]] = {
    ("l1", "weight"): {"threshold", "sparsity"},
    ("l2", "weight"): {"threshold", "sparsity"},
    ("random", "weight"): {"sparsity"},
    ("taylor", "weight"): {"sparsity"},
    ("signed", "weight"): {"threshold", "sparsity"},
    ("l1", "filter"): {"threshold", "sparsity"},
    ("l2", "filter"): {"threshold", "sparsity"},
    ("random", "filter"): {"sparsity"},
    ("taylor", "filter"): {"sparsity"},
    ("obs", "weight"): {"sparsity"},
    ("obs", "filter"): {"sparsity"},
    ("bn-scale", "filter"): {"threshold", "sparsity"},
    **{(criterion, "n:m"): {"none"} for criterion in ("l1", "l2", "random", "taylor", "obs")},
}
THRESHOLDS = {Unit.ABSOLUTE: 0.35, Unit.STDS: 0.9, Unit.MEANS: 0.95}


@pytest.mark.parametrize("target", ["none", "threshold", "sparsity"])
@pytest.mark.parametrize("structure", Structure)
@pytest.mark.parametrize("criterion", Criterion)
def test_every_combination_prunes_or_is_refused_with_the_reason(
    criterion: Criterion, structure: Structure, target: str
) -> None:
    module = tiny()
    for scope, unit in product(Scope, Unit):
        fits = (
            target in TARGETS.get((criterion, structure), ())
            and (scope is Scope.GLOBAL or target == "sparsity")
            and (unit is Unit.ABSOLUTE or (target == "threshold" and criterion is not Criterion.BN_SCALE))
        )
        how = {"scope": scope, "unit": unit, "criterion": criterion, "structure": structure}
        if target != "none":
            how[target] = THRESHOLDS[unit] if target == "threshold" else 0.6
        if not fits:
            with pytest.raises(ValueError, match=r"\w+ \w+ \w+ \w+"):
                PruneSpec(**how)
            continue
        compressed = prune(module, **how)
        assert 0 < sum(layer.pruned for layer in compressed.layers) < compressed.weights
        assert compressed.nonzero == compressed.weights - sum(layer.pruned for layer in compressed.layers)
        assert compressed.module(sample().inputs[:2]).isfinite().all()


@pytest.mark.parametrize("member", [*Criterion, *Structure, *Unit])
def test_every_criterion_granularity_and_unit_has_an_explanation(member: str) -> None:
    text = inspect.getdoc(PRUNING_METHODS[member])
    assert text is not None
    first, facts = text.split("\n\n")[:2]
    assert first.rstrip().endswith(".")
    assert [line.split(":")[0] for line in facts.splitlines()] == ["Formula", "Source", "Fails"]


# ---- filters


def silent_channels(compressed: CompressedModel, x: Tensor) -> dict[str, bool]:
    """Returns, by layer, whether the outputs of all its pruned filters are zero, after batch norm if there is one."""
    module = compressed.module
    norms = norms_after(module)
    outputs: dict[str, Tensor] = {}
    for layer in compressed.layers:
        last = norms.get(layer.name, module.get_submodule(layer.name))
        last.register_forward_hook(lambda _, __, out, name=layer.name: outputs.update({name: out.clone()}))
    module(x)
    return {
        layer.name: not bool(outputs[layer.name][:, ~layer.filters].any())
        for layer in compressed.layers
        if layer.filters is not None
    }


@pytest.mark.parametrize(
    "quant", [None, QuantSpec(4, "affine", "tensor"), QuantSpec(3, "min-max"), QuantSpec(1, "binary")]
)
@pytest.mark.parametrize("fold", [{}, {"fold_bn": True}, {"fold_bn": True, "order": "quantize-first"}], ids=str)
def test_the_output_of_a_pruned_filter_is_zero(quant: QuantSpec | None, fold: dict) -> None:
    spec = CompressionSpec("tiny", PruneSpec(sparsity=0.5, structure="filter"), quant, **fold)
    compressed = compress(tiny(), spec)
    assert any((~layer.filters).any() for layer in compressed.layers[:3])
    assert silent_channels(compressed, sample().inputs[:4]) == dict.fromkeys(LAYERS[:-1], True)


@pytest.mark.parametrize("arch", ["resnet8", "vgg", "mobilenetv2", "simple_cnn", "repvgg_a0", "shufflenetv2_x0_5"])
def test_pruned_filters_output_zero_in_every_architecture(arch: str) -> None:
    spec = CompressionSpec(arch, PruneSpec(sparsity=0.3, structure="filter", scope="layer"))
    compressed = compress(network(arch), spec)
    silent = silent_channels(compressed, images(1))
    assert list(silent) == [*weighted_layers(network(arch))][:-1]
    assert all(silent.values())


def test_the_last_layer_keeps_its_classes_and_other_batch_norms_their_numbers() -> None:
    module = tiny()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    compressed = prune(module, sparsity=1.0, structure="filter")
    assert compressed.layers[-1].filters is None
    assert compressed.layers[-1].pruned == 0
    assert [int(layer.filters.sum()) for layer in compressed.layers[:-1]] == [1, 1, 1, 1]
    filters = compressed.layers[0].filters
    assert torch.equal(compressed.module[1].bias[filters], module[1].bias[filters])
    assert torch.equal(compressed.module[0].bias[filters], module[0].bias[filters])
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_bn_scale_compares_gamma_and_skips_layers_without_batch_norm() -> None:
    module = tiny()
    compressed = prune(module, threshold=1.0, criterion="bn-scale", structure="filter")
    first, second, *others = compressed.layers
    assert torch.equal(first.filters, module[1].weight.abs() >= 1)
    assert torch.equal(second.filters, module[4].weight.abs() >= 1)
    assert [layer.filters for layer in others] == [None] * 3
    assert first.threshold == module[1].weight[first.filters].min().item()


@pytest.mark.parametrize(
    ("fold", "words"), [(False, "m has none$"), (True, "m has none because batch norm is folded into the")]
)
def test_bn_scale_without_batch_norm_is_refused(fold: bool, words: str) -> None:
    module = tiny() if fold else network("simple_cnn")
    spec = CompressionSpec("m", PruneSpec(sparsity=0.5, criterion="bn-scale", structure="filter"), fold_bn=fold)
    with pytest.raises(ValueError, match=words):
        compress(module, spec)


class Reader(nn.Module):
    """Words (N, 5) -> (N, 3): an embedding, a recurrent layer, and a transposed convolution in two groups."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(9, 4)
        self.rnn = nn.GRU(4, 6, batch_first=True)
        self.up = nn.ConvTranspose1d(6, 8, 2, groups=2)
        self.fc = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.rnn(self.words(x))
        return self.fc(self.up(states.transpose(1, 2)).relu().mean(2))


@pytest.mark.parametrize("criterion", ["l1", "taylor"])
def test_rows_of_embeddings_and_gates_are_no_filters_and_those_of_transposed_convolutions_are(criterion: str) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        module = Reader().eval()
    generator = torch.Generator().manual_seed(6)
    texts = Sample(torch.randint(0, 9, (40, 5), generator=generator), torch.randint(0, 3, (40,), generator=generator))
    prune = PruneSpec(sparsity=0.5, criterion=criterion, structure="filter")
    spec = CompressionSpec("m", prune, also=("embedding", "recurrent"))
    compressed = compress(module, spec, Evidence(gradients=loss_gradients(module, texts, spec.also)))
    assert [layer.name for layer in compressed.layers if layer.filters is not None] == ["up"]
    up = next(layer for layer in compressed.layers if layer.filters is not None)
    assert int((~up.filters).sum()) == 4
    states = torch.randn(2, 6, 5, generator=generator)
    assert torch.equal((compressed.module.up(states) == 0).all(2), (~up.filters).expand(2, -1))
    with pytest.raises(ValueError, match="layer words cannot lose filters: its rows are not outputs of their own"):
        compress(module, replace(spec, layers=(LayerSpec("words", sparsity=0.5),)), Evidence(gradients={}))


# ---- layers of their own


def test_a_layer_with_its_own_sparsity_is_pruned_by_the_criterion_of_the_network() -> None:
    prune = PruneSpec(sparsity=0.5, criterion="l2", structure="filter")
    compressed = compress(
        tiny(), CompressionSpec("tiny", prune, layers=(LayerSpec("3", sparsity=0.25), LayerSpec("0", sparsity=0)))
    )
    first, second, *_ = compressed.layers
    assert first.filters is None
    assert int((~second.filters).sum()) == 2  # of eight


def test_a_layer_with_its_own_sparsity_beside_n_m_is_pruned_by_single_weights() -> None:
    compressed = compress(
        tiny(), CompressionSpec("tiny", PruneSpec(structure="n:m"), layers=(LayerSpec("9", sparsity=0.1),))
    )
    assert {layer.name: layer.pattern for layer in compressed.layers} == {"9": None} | dict.fromkeys(
        ["0", "3", "6", "11"], (2, 4)
    )
    assert compressed.layers[3].pruned == 16  # of 160


@pytest.mark.parametrize(
    ("criterion", "name", "words"),
    [
        ("l1", "11", "layer 11 cannot lose filters: it is the last layer"),
        ("bn-scale", "6", "layer 6 cannot lose filters: no batch norm follows it"),
    ],
)
def test_a_layer_whose_filters_cannot_be_pruned_is_refused_with_the_reason(
    criterion: str, name: str, words: str
) -> None:
    prune = PruneSpec(sparsity=0.5, criterion=criterion, structure="filter")
    with pytest.raises(ValueError, match=words):
        compress(tiny(), CompressionSpec("tiny", prune, layers=(LayerSpec(name, sparsity=0.5),)))
    compress(tiny(), CompressionSpec("tiny", prune, layers=(LayerSpec(name, sparsity=0),)))


# ---- gradients


@pytest.mark.parametrize("name", LAYERS)
def test_taylor_scores_are_the_first_order_change_of_the_loss(name: str) -> None:
    """Compared with a difference quotient in double precision, with each filter smaller by a millionth."""
    compressed = loss_gradients(tiny(), sample())[name].double()
    module = tiny().double()
    inputs, labels = sample().inputs.double(), sample().labels
    weight = module.get_submodule(name).weight
    with torch.no_grad():
        for out in range(len(weight)):
            before, losses = weight[out].clone(), []
            for factor in (1 + 1e-6, 1 - 1e-6):
                weight[out] = factor * before
                losses.append(float(F.cross_entropy(module(inputs), labels)))
            weight[out] = before
            expected = (losses[0] - losses[1]) / 2e-6
            assert float((compressed[out] * before).sum()) == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_taylor_prunes_the_smallest_weight_times_gradient() -> None:
    module = tiny()
    gradients = loss_gradients(module, sample())
    scores = torch.cat([(gradients[name] * w).abs().flatten() for name, w in weighted_layers(module).items()])
    compressed = prune(module, sparsity=0.4, criterion="taylor")
    zeros = torch.cat([layer.weight.flatten() == 0 for layer in compressed.layers])
    assert int(zeros.sum()) == math.floor(0.4 * len(zeros))
    assert scores[zeros].max() <= scores[~zeros].min()


def test_gradients_leave_the_network_as_it_is() -> None:
    module = tiny().requires_grad_(False)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    loss_gradients(module, sample())
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in module.parameters())


def test_taylor_without_gradients_is_refused() -> None:
    spec = CompressionSpec("tiny", PruneSpec(sparsity=0.5, criterion="taylor"))
    with pytest.raises(ValueError, match="need the gradients of the loss on training images, and none are available"):
        compress(tiny(), spec, NO_EVIDENCE)


@pytest.mark.usefixtures("training_images")
def test_gradients_are_computed_once_per_network_whatever_its_name(simple_cnn: FloatModel) -> None:
    spec = CompressionSpec("m", PruneSpec(sparsity=0.5, criterion="taylor"))
    compressed = evidence_for(simple_cnn, spec).gradients
    assert compressed is not None
    assert evidence_for(replace(simple_cnn, name="m"), replace(spec, weights=QuantSpec(4))).gradients is compressed
    merged = evidence_for(simple_cnn, replace(spec, fold_bn=True, merge=0.5)).gradients
    assert merged is not None
    assert not torch.equal(merged["conv2"], compressed["conv2"])
    assert {name: g.shape for name, g in compressed.items()} == {
        name: w.shape for name, w in weighted_layers(simple_cnn.module).items()
    }
    assert evidence_for(simple_cnn, CompressionSpec("m", PruneSpec(sparsity=0.5))).gradients is None


# ---- the optimal brain surgeon


def inputs_of(module: nn.Module, name: str) -> Tensor:
    """Returns the input columns (n, d) of a layer on the sample, by `unfold`."""
    taken: list[Tensor] = []
    layer = module.get_submodule(name)
    hook = layer.register_forward_pre_hook(lambda _, args: taken.append(args[0].detach().double()))
    module(sample().inputs)
    hook.remove()
    if isinstance(layer, nn.Linear):
        return taken[0]
    return F.unfold(taken[0], layer.kernel_size).transpose(1, 2).flatten(0, 1)


@pytest.mark.parametrize("name", LAYERS)
def test_obs_scores_are_the_share_of_the_output_that_is_lost_although_the_other_weights_make_up_for_it(
    name: str,
) -> None:
    """Compared with least squares over the other inputs, damped by rows of their own."""
    module = tiny()
    gradients = output_gradients(module, sample().inputs)[name]
    columns, rows = inputs_of(module, name), module.get_submodule(name).weight.detach().flatten(1).double()
    energy = float((columns @ rows.T).square().sum())
    damping = (DAMPING * columns.square().sum(0).mean()).sqrt() * torch.eye(columns.shape[1], dtype=torch.float64)
    damped = torch.cat([columns, damping])
    scores = (gradients * module.get_submodule(name).weight.detach()).flatten(1)
    for j in {0, columns.shape[1] // 2, columns.shape[1] - 1}:
        others = torch.cat([damped[:, :j], damped[:, j + 1 :]], dim=1)
        left = damped[:, j] - others @ torch.linalg.lstsq(others, damped[:, j : j + 1]).solution[:, 0]
        expected = rows[:, j].square() * left.square().sum() / energy * columns[:, j].any()  # 0: no input but zero
        torch.testing.assert_close(scores[:, j].double(), expected, rtol=1e-3, atol=1e-9)


@pytest.mark.parametrize("name", LAYERS)
def test_the_obs_score_of_a_filter_is_its_share_of_the_energy_of_the_output(name: str) -> None:
    module = tiny()
    gradients = output_gradients(module, sample().inputs, whole_filters=True)[name]
    outputs = inputs_of(module, name) @ module.get_submodule(name).weight.detach().flatten(1).double().T
    scores = (gradients * module.get_submodule(name).weight.detach()).flatten(1).sum(1)
    torch.testing.assert_close(scores.double(), outputs.square().sum(0) / outputs.square().sum(), rtol=1e-3, atol=0)


def test_obs_prunes_weights_that_no_input_reaches_first() -> None:
    module = nn.Sequential(nn.Linear(4, 3)).eval()
    inputs = torch.randn(60, 4, generator=torch.Generator().manual_seed(1))
    inputs[:, 2] = 0
    gradients = output_gradients(module, inputs)
    spec = CompressionSpec("m", PruneSpec(sparsity=0.25, criterion="obs"))
    pruned = compress(module, spec, Evidence(gradients=gradients))
    assert (pruned.layers[0].weight == 0).tolist() == [[False, False, True, False]] * 3


def test_obs_scores_need_layers_whose_outputs_are_products() -> None:
    module = nn.Sequential(nn.ConvTranspose2d(2, 3, 2), nn.Flatten(), nn.LazyLinear(2))
    module(torch.randn(1, 2, 3, 3))
    with pytest.raises(ValueError, match="need the inputs of a convolution or a linear layer, and 0 is neither"):
        output_gradients(module.eval(), torch.randn(5, 2, 3, 3), also=tuple(Also))


def test_obs_without_gradients_is_refused() -> None:
    spec = CompressionSpec("tiny", PruneSpec(sparsity=0.5, criterion="obs"))
    with pytest.raises(ValueError, match="obs scores need the gradients of the outputs of layers on training images"):
        compress(tiny(), spec, NO_EVIDENCE)


@pytest.mark.usefixtures("training_images")
def test_obs_gradients_are_computed_once_per_network_and_granularity(simple_cnn: FloatModel) -> None:
    spec = CompressionSpec("simple_cnn", PruneSpec(sparsity=0.5, criterion="obs"))
    weights = evidence_for(simple_cnn, spec).gradients
    assert weights is not None
    assert evidence_for(simple_cnn, replace(spec, weights=QuantSpec(4))).gradients is weights
    prune_filters = PruneSpec(sparsity=0.5, criterion="obs", structure="filter")
    filters = evidence_for(simple_cnn, CompressionSpec("m", prune_filters)).gradients
    assert filters is not None
    assert not torch.equal(filters["conv2"], weights["conv2"])
