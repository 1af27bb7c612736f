"""Warnings: what is said of a network that answers the same for every image, and of a range that clips nothing."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from compression.core.compress import compress
from compression.data.cifar10 import CLASSES
from compression.evaluation.evaluation import Evaluation
from compression.inspect.warnings import LEAST_IMAGES, constant_answer, find_warnings
from compression.networks.bundled import load_bundled
from compression.spec import CompressionSpec, LayerSpec, PruneSpec, QuantSpec


def warnings(name: str, *parts, **named) -> tuple[str, ...]:
    model = load_bundled(name)
    return find_warnings(compress(model.module, CompressionSpec(name, *parts, **named)), model.example)


def test_an_ordinary_network_has_no_warnings() -> None:
    assert warnings("simple_cnn", PruneSpec(sparsity=0.5), QuantSpec(4)) == ()


def test_a_zero_layer_that_everything_passes_makes_the_answer_constant() -> None:
    assert warnings("simple_cnn", layers=(LayerSpec("conv1", None, 1.0),)) == (
        "All weights of layer conv1 are zero, so the network gives every image the same answer.",
    )


def test_a_zero_layer_with_a_bypass_leaves_the_answer_to_the_image() -> None:
    (sentence,) = warnings("resnet20", layers=(LayerSpec("layer1.0.conv1", None, 1.0),))
    assert sentence.startswith("All weights of layer layer1.0.conv1 are zero, but other layers bypass it")


def test_a_global_sparsity_that_empties_an_lstm_is_said_at_once() -> None:
    """The weights of an embedding are ten times as large as those of the LSTM, so that the LSTM's go first."""
    torch.manual_seed(0)

    class Reader(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Linear(8, 400, bias=False)
            self.lstm = nn.LSTM(400, 1, batch_first=True)
            self.head = nn.Linear(1, 2)
            with torch.no_grad():
                for parameter in self.lstm.parameters():
                    parameter.mul_(0.01)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.lstm(self.embedding(x))[0][:, -1])

    spec = CompressionSpec("reader", PruneSpec(sparsity=0.5), also=("recurrent",))
    (sentence,) = find_warnings(compress(Reader().eval(), spec), torch.zeros(1, 3, 8))
    assert "lstm.weight_ih_l0, lstm.weight_hh_l0" in sentence
    assert sentence.endswith("so the network gives every image the same answer.")


@pytest.mark.parametrize(("granularity", "clips"), [("channel", False), ("tensor", True)])
def test_a_percentile_of_few_weights_clips_nothing_and_says_so(granularity: str, clips: bool) -> None:
    """99.9 % of at most 576 weights per channel are all of them; of a whole tensor of thousands they are not."""
    found = warnings("resnet20", None, QuantSpec(4, granularity=granularity, clip="percentile"))
    assert bool(found) is not clips
    assert clips or "percentile clips no weight of any layer" in found[0]


def test_the_clipping_range_is_judged_on_the_weights_that_were_kept() -> None:
    assert warnings("resnet20", PruneSpec(sparsity=0.5), QuantSpec(4, clip="percentile"))
    assert not warnings("resnet20", PruneSpec(sparsity=0.5), QuantSpec(4, clip="stds"))


def test_a_constant_answer_is_said_after_enough_images() -> None:
    same = torch.full((LEAST_IMAGES,), 3, dtype=torch.uint8)
    evaluation = Evaluation(same, torch.zeros(LEAST_IMAGES, dtype=torch.int64), CLASSES, 0, 0.0)
    assert constant_answer(evaluation) == "All 100 images counted so far get the same answer: cat."
    other = same.clone()
    other[7] = 4
    assert constant_answer(replace(evaluation, predictions=other)) is None
    few = replace(evaluation, predictions=same[:50], labels=evaluation.labels[:50])
    assert constant_answer(few) is None
    assert constant_answer(None) is None
