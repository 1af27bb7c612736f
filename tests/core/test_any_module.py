"""compress() on any nn.Module: networks trained here on small tasks, and each kind of layer compared with torch."""

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, prune
from torch.utils.flop_counter import FlopCounterMode

from compression.core.compress import compress
from compression.core.evidence import Evidence
from compression.core.observe import observe
from compression.core.record import CompressedModel, bit_operations
from compression.files.size import count_bytes
from compression.inspect.card import describe_layers
from compression.inspect.histogram import build_weight_view
from compression.networks.macs import layer_macs
from compression.networks.weights import swap_channels, weighted_layers
from compression.quantization.quantizers import dequantize, quantize
from compression.spec import (
    AUTOMATIC_SCHEMES,
    ActivationSpec,
    Also,
    CompressionSpec,
    Granularity,
    LayerSpec,
    PruneSpec,
    QuantSpec,
    Scheme,
)

EVERYTHING = tuple(Also)
WORDS, KEYWORD = 20, 7


class Reader(nn.Module):
    """Classifies whether a text contains the keyword."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, 16)
        self.lstm = nn.LSTM(16, 24, batch_first=True)
        self.head = nn.Linear(24, 2)

    def forward(self, words: Tensor) -> Tensor:
        return self.head(self.lstm(self.embedding(words))[0][:, -1])


class Writer(nn.Module):
    """Predicts the word after each word. The embedding and the output layer share one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, 16)
        self.gru = nn.GRU(16, 16, batch_first=True)
        self.decoder = nn.Linear(16, WORDS)
        self.decoder.weight = self.embedding.weight

    def forward(self, words: Tensor) -> Tensor:
        return self.decoder(self.gru(self.embedding(words))[0])


Task = tuple[nn.Module, Tensor, Tensor]


def texts(generator: torch.Generator, n: int) -> tuple[Tensor, Tensor]:
    words = torch.randint(WORDS, (n, 10), generator=generator)
    return words, (words == KEYWORD).any(1).long()


def moons(generator: torch.Generator, n: int) -> tuple[Tensor, Tensor]:
    """Returns points on two half circles, each around an end of the other, and their labels."""
    labels = torch.randint(2, (n,), generator=generator)
    angle = torch.rand(n, generator=generator) * torch.pi
    upper = torch.stack([angle.cos(), angle.sin()], 1)
    points = torch.where(labels[:, None] == 0, upper, torch.tensor([1.0, 0.5]) - upper)
    return points + 0.1 * torch.randn(n, 2, generator=generator), labels


def train_task(make: Callable[[], nn.Module], task: Callable[[torch.Generator, int], tuple[Tensor, Tensor]]) -> Task:
    """Returns a network after 200 training steps on a task, and 2,000 test examples."""
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = make()
    optimizer = torch.optim.Adam(module.parameters(), lr=0.01)
    for _ in range(200):
        inputs, labels = task(generator, 128)
        optimizer.zero_grad()
        F.cross_entropy(module(inputs), labels).backward()
        optimizer.step()
    return module.eval(), *task(generator, 2000)


@pytest.fixture(scope="module")
def reader() -> Task:
    return train_task(Reader, texts)


@pytest.fixture(scope="module")
def mlp() -> Task:
    relu = nn.ReLU()
    return train_task(lambda: nn.Sequential(nn.Linear(2, 32), relu, nn.Linear(32, 32), relu, nn.Linear(32, 2)), moons)


@pytest.fixture(params=["reader", "mlp"])
def task(request: pytest.FixtureRequest) -> Task:
    return request.getfixturevalue(request.param)


def accuracy(module: nn.Module, inputs: Tensor, labels: Tensor) -> float:
    with torch.inference_mode():
        return float((module(inputs).argmax(1) == labels).float().mean())


def at(module: nn.Module, bits: int | None = None, sparsity: float = 0.0, **rest) -> CompressedModel:
    prune_spec, quant = PruneSpec(sparsity=sparsity), QuantSpec(bits) if bits else None
    return compress(module, CompressionSpec("mine", prune_spec, quant, also=EVERYTHING, **rest))


# ---- trained networks


def test_eight_bits_keep_the_accuracy_and_full_pruning_loses_it(task: Task) -> None:
    module, inputs, labels = task
    before = accuracy(module, inputs, labels)
    assert before > 0.98
    assert accuracy(at(module, 8).module, inputs, labels) > before - 0.005
    assert accuracy(at(module, 4).module, inputs, labels) > before - 0.05
    assert accuracy(at(module, sparsity=1.0).module, inputs, labels) < 0.7


def test_fewer_bits_give_a_smaller_size_and_a_lower_sqnr(task: Task) -> None:
    some = [at(task[0], bits) for bits in (16, 8, 4, 2)]
    assert all(one > other for one, other in pairwise(count_bytes(each).dense.total for each in some))
    for one, other in pairwise(some):
        assert all(a.sqnr_db > b.sqnr_db for a, b in zip(one.layers, other.layers, strict=True))


def test_a_higher_sparsity_gives_a_smaller_size_and_half_of_the_weights_can_be_pruned(task: Task) -> None:
    module, inputs, labels = task
    some = [at(module, 8, sparsity) for sparsity in (0.25, 0.5, 0.9)]
    assert all(one > other for one, other in pairwise(count_bytes(each).sparse.total for each in some))
    assert [sum(layer.pruned for layer in each.layers) for each in some] == [
        int(each.weights * sparsity) for each, sparsity in zip(some, (0.25, 0.5, 0.9), strict=True)
    ]
    little, half, most = (accuracy(each.module, inputs, labels) for each in some)
    assert little > 0.95
    assert little >= half >= most


def test_the_bytes_of_a_text_classifier_on_paper(reader: Task) -> None:
    """4 bits per weight, a float32 scale per row, float32 biases: two times 4 * 24 of the lstm, and two of the head."""
    rows = 20 + 96 + 96 + 2
    weights = 20 * 16 + 96 * 16 + 96 * 24 + 2 * 24
    size = count_bytes(at(reader[0], 4))
    assert size.dense.total == weights // 2 + 4 * rows + 4 * (96 + 96 + 2)
    assert size.float32 == 4 * (weights + 96 + 96 + 2)


# ---- recurrent and embedding weights


def test_recurrent_and_embedding_weights_are_compressed_only_on_request() -> None:
    every = {"embedding.weight", "lstm.weight_ih_l0", "lstm.weight_hh_l0", "head.weight"}
    for also, expected in {
        (): {"head.weight"},
        (Also.EMBEDDING,): {"head.weight", "embedding.weight"},
        (Also.RECURRENT,): every - {"embedding.weight"},
        EVERYTHING: every,
    }.items():
        module = Reader()
        after = compress(module, CompressionSpec("mine", weights=QuantSpec(2), also=also)).module.state_dict()
        assert {key for key, value in module.state_dict().items() if not torch.equal(value, after[key])} == expected


def test_the_names_of_the_layers_are_those_of_the_modules_and_of_their_parameters() -> None:
    names = ["embedding", "lstm.weight_ih_l0", "lstm.weight_hh_l0", "head"]
    assert list(weighted_layers(Reader(), EVERYTHING)) == names
    assert list(weighted_layers(nn.GRUCell(3, 4), EVERYTHING)) == ["weight_ih", "weight_hh"]


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_the_forward_pass_of_a_recurrent_layer_uses_the_compressed_weights(kind: type[nn.RNNBase]) -> None:
    module = kind(5, 6, num_layers=2, bidirectional=True)
    small = compress(module, CompressionSpec("mine", weights=QuantSpec(3), also=EVERYTHING))
    by_hand = kind(5, 6, num_layers=2, bidirectional=True)
    by_hand.load_state_dict(module.state_dict() | {layer.name: layer.weight for layer in small.layers})
    inputs = torch.randn(7, 2, 5)
    with torch.inference_mode():
        torch.testing.assert_close(small.module(inputs)[0], by_hand(inputs)[0], rtol=0, atol=0)
        assert not torch.allclose(small.module(inputs)[0], module(inputs)[0], atol=1e-3)
    parameters = dict(small.module.named_parameters())
    for name, flat in zip(small.module._flat_weights_names, small.module._flat_weights, strict=True):
        assert flat is parameters[name]


def test_each_row_of_a_gate_has_a_scale_of_its_own() -> None:
    module = nn.LSTM(5, 6)
    for record in compress(module, CompressionSpec("mine", weights=QuantSpec(4), also=EVERYTHING)).layers:
        assert record.qparams.scale.shape == (4 * 6, 1)
        torch.testing.assert_close(record.qparams.scale[:, 0], record.original.detach().abs().amax(1) / 7)


def test_a_single_weight_of_a_recurrent_layer_can_have_its_own_settings() -> None:
    spec = CompressionSpec("mine", layers=(LayerSpec("lstm.weight_hh_l0", bits=4),), also=("recurrent",))
    bits = {layer.name: layer.bits for layer in compress(Reader(), spec).layers}
    assert bits == {"lstm.weight_ih_l0": 32, "lstm.weight_hh_l0": 4, "head": 32}


# ---- tied weights


@pytest.mark.parametrize("also", [(), EVERYTHING])
def test_tied_weights_are_compressed_once_and_stay_tied(also: tuple[Also, ...]) -> None:
    module = Writer()
    small = compress(module, CompressionSpec("mine", PruneSpec(sparsity=0.3), QuantSpec(3), also=also))
    assert [layer.name for layer in small.layers].count("embedding") + (not also) == 1
    assert small.module.decoder.weight is small.module.embedding.weight
    assert module.decoder.weight is module.embedding.weight
    record = next(layer for layer in small.layers if layer.original is module.decoder.weight)
    assert torch.equal(small.module.decoder.weight, record.weight)
    assert not torch.equal(record.weight, module.decoder.weight)


def test_tied_weights_take_their_bytes_once() -> None:
    numbers = sum(parameter.numel() for parameter in Writer().parameters())
    assert count_bytes(at(Writer())).float32 == 4 * numbers


# ---- convolutions of every dimension, and transposed ones

CONVOLUTIONS = {
    "conv1d": lambda: nn.Conv1d(4, 6, 3, groups=2),
    "conv3d": lambda: nn.Conv3d(4, 6, 2),
    "transposed1d": lambda: nn.ConvTranspose1d(4, 6, 3),
    "transposed2d": lambda: nn.ConvTranspose2d(4, 6, (3, 2), stride=2),
    "transposed3d": lambda: nn.ConvTranspose3d(4, 6, 2),
}


@pytest.mark.parametrize("make", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
@pytest.mark.parametrize("scheme", [Scheme.SYMMETRIC, Scheme.AFFINE])
def test_scales_per_channel_are_those_of_torch(scheme: Scheme, make: Callable) -> None:
    module = make()
    axis = 1 if module.transposed else 0
    record = compress(module, CompressionSpec("mine", weights=QuantSpec(4, scheme))).layers[0]
    qparams = record.qparams
    expected = torch.fake_quantize_per_channel_affine(
        module.weight.detach(), qparams.scale.flatten(), qparams.zero_point.flatten(), axis, qparams.low, qparams.high
    )
    assert len(qparams.scale) == 6
    assert torch.equal(record.weight, expected)
    ends = module.weight.detach().transpose(0, axis).flatten(1).aminmax(dim=1)
    if scheme is Scheme.SYMMETRIC:
        torch.testing.assert_close(qparams.scale.flatten(), torch.maximum(-ends.min, ends.max) / 7)


@pytest.mark.parametrize("granularity", Granularity)
@pytest.mark.parametrize("scheme", AUTOMATIC_SCHEMES)
def test_a_grouped_transposed_convolution_is_compressed_as_each_group_alone(
    scheme: Scheme, granularity: Granularity
) -> None:
    """Each group, as a separate transposed convolution, gives the same weights."""
    module = nn.ConvTranspose2d(6, 9, 3, groups=3)
    quant = QuantSpec(scheme.nearest_bits(3), scheme, granularity)
    whole = compress(module, CompressionSpec("mine", weights=quant)).layers[0]
    assert whole.channels_first.shape == (9, 2, 3, 3)
    if granularity is Granularity.TENSOR:
        again = dequantize(quantize(whole.channels_first, whole.qparams), whole.qparams)
        assert torch.equal(again, whole.channels_first)
        return
    for group, weight in enumerate(module.weight.detach().chunk(3)):
        alone = nn.ConvTranspose2d(2, 3, 3)
        alone.weight.data = weight
        record = compress(alone, CompressionSpec("mine", weights=quant)).layers[0]
        assert torch.equal(whole.weight.chunk(3)[group], record.weight)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_swapping_channels_of_a_transposed_weight_twice_changes_nothing(groups: int) -> None:
    """With channels swapped and the kernel flipped, a transposed convolution is a convolution."""
    layer = nn.ConvTranspose2d(4, 8, 3, groups=groups, bias=False)
    weight = layer.weight.detach()
    assert torch.equal(swap_channels(swap_channels(weight, groups), groups), weight)
    inputs = torch.randn(1, 4, 5, 5)
    as_conv = F.conv2d(inputs, swap_channels(weight, groups).flip(2, 3), padding=2, groups=groups)
    with torch.no_grad():
        torch.testing.assert_close(as_conv, layer(inputs))


@pytest.mark.parametrize("make", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_pruned_weights_stay_zero_and_the_module_has_the_weights_of_its_records(make: Callable) -> None:
    module = nn.Sequential(make(), nn.ReLU())
    small = compress(module, CompressionSpec("mine", PruneSpec(sparsity=0.5), QuantSpec(3, "min-max")))
    pruned = compress(module, CompressionSpec("mine", PruneSpec(sparsity=0.5))).layers[0]
    assert (small.layers[0].weight[pruned.weight == 0] == 0).all()
    assert pruned.weights - pruned.nonzero == pruned.weights // 2
    assert float(pruned.weight[pruned.weight != 0].abs().min()) == pruned.threshold
    assert small.layers[0].weight.shape == module[0].weight.shape
    assert torch.equal(small.module[0].weight, small.layers[0].weight)


# ---- batch norm folded late, and activations


def test_batch_norm_can_be_folded_into_a_quantized_transposed_convolution() -> None:
    """At 16 bits the order makes hardly a difference, and pruned weights stay zero."""
    module = nn.Sequential(nn.ConvTranspose1d(4, 6, 3), nn.BatchNorm1d(6), nn.Linear(6, 2))
    module[1].running_var.uniform_(0.1, 3)
    spec = CompressionSpec("mine", PruneSpec(sparsity=0.3), QuantSpec(16), fold_bn=True, order="quantize-first")
    record = compress(module, spec).layers[0]
    scales = (module[1].running_var + module[1].eps).rsqrt()
    alone = compress(module, CompressionSpec("mine", PruneSpec(sparsity=0.3))).layers[0]
    torch.testing.assert_close(record.weight, alone.weight * scales[:, None], rtol=1e-3, atol=1e-4)
    assert torch.equal(record.weight == 0, alone.weight == 0)


def test_the_inputs_of_convolutions_and_linear_layers_are_quantized(reader: Task) -> None:
    module, inputs, labels = reader
    spec = CompressionSpec("mine", weights=QuantSpec(8), activations=ActivationSpec(8), also=EVERYTHING)
    small = compress(module, spec, Evidence(calibration=observe(module, inputs[:500])))
    assert {layer.name for layer in small.layers if layer.inputs} == {"head"}
    assert accuracy(small.module, inputs, labels) > accuracy(module, inputs, labels) - 0.01


# ---- what else there is to say of it


def test_histograms_cards_and_sizes_support_every_kind_of_layer() -> None:
    module = nn.Sequential(nn.ConvTranspose1d(4, 2, 3), nn.Conv1d(2, 3, 3), nn.Flatten(), nn.Linear(24, 2)).eval()
    small = at(module, 4, 0.25)
    view = build_weight_view(small)
    assert sum(view.held or view.after) + view.zeros == view.weights == small.weights == 24 + 18 + 48
    macs = layer_macs(module, torch.zeros(1, 4, 8))
    assert macs == {"0": 8 * 24, "1": 8 * 18, "3": 48}
    cards = describe_layers(module, macs)
    assert [card.kind for card in cards] == ["transposed conv 3", "conv 3", "linear"]
    reach = module[0].weight.detach().abs().amax((0, 2))
    assert cards[0].spread == pytest.approx(float(reach.max() / reach.min()))


@pytest.mark.parametrize("kind", [nn.GRU, nn.RNN])
def test_macs_of_recurrent_weights_add_up_to_those_that_torch_counts(kind: type[nn.RNNBase]) -> None:
    module = kind(5, 6, num_layers=2, bidirectional=True)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        module(torch.zeros(7, 2, 5))
    assert 2 * sum(layer_macs(module, torch.zeros(7, 2, 5), EVERYTHING).values()) == counter.get_total_flops()


def test_macs_and_bit_operations_of_a_text_classifier_on_paper() -> None:
    module, text = Reader(), torch.zeros(1, 10, dtype=torch.long)
    macs = layer_macs(module, text, EVERYTHING)
    assert macs == {"embedding": 0, "lstm.weight_ih_l0": 960 * 16, "lstm.weight_hh_l0": 960 * 24, "head": 48}
    assert bit_operations(at(module, 4), macs) == (960 * 40 + 48) * 4 * 32


# ---- what is refused


def computed_weight(how: Callable[[nn.Module], object]) -> nn.Module:
    module = nn.Sequential(nn.Linear(3, 2))
    how(module[0])
    return module


REFUSED = {
    "nothing": (nn.ReLU, "mine has no convolution or linear layer to compress$"),
    "recurrent": (lambda: nn.LSTM(2, 3), "to compress; to compress its recurrent weights, list them in `also`"),
    "parametrized": (
        lambda: computed_weight(parametrizations.weight_norm),
        "layer 0 is recomputed from other parameters",
    ),
    "masked": (lambda: computed_weight(lambda layer: prune.l1_unstructured(layer, "weight", 0.5)), "prune.remove"),
    "lazy": (lambda: nn.Sequential(nn.LazyLinear(2)), "layer 0 is not initialised yet"),
    "half": (lambda: nn.Sequential(nn.Linear(3, 2)).half(), r"layer 0 is float16 on cpu, .*network.float\(\).cpu\(\)"),
    "elsewhere": (lambda: nn.Sequential(nn.Linear(3, 2, device="meta")), "layer 0 is float32 on meta"),
}


@pytest.mark.parametrize(("make", "words"), REFUSED.values(), ids=REFUSED)
def test_a_module_that_cannot_be_compressed_is_refused_with_the_reason(
    make: Callable[[], nn.Module], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        compress(make(), CompressionSpec("mine", weights=QuantSpec(4)))


def test_an_unknown_layer_is_refused_with_the_kinds_that_the_spec_compresses() -> None:
    spec = CompressionSpec("mine", layers=(LayerSpec("lstm", bits=4),), also=("recurrent",))
    with pytest.raises(ValueError, match="linear or recurrent layer 'lstm'; the nearest is 'lstm"):
        compress(Reader(), spec)


def test_also_is_a_set_of_known_kinds() -> None:
    assert CompressionSpec("m", also=["recurrent", "embedding", "recurrent"]) == CompressionSpec("m", also=EVERYTHING)
    with pytest.raises(ValueError, match="also must be one of embedding, recurrent, got 'attention'"):
        CompressionSpec("m", also=("attention",))
