"""Untrained networks: the same random weights each time, of any architecture, and a teacher of their own."""

import pytest
import torch

from compression.library.catalog import load_network
from compression.networks.untrained import STUDENTS, is_untrained, load_untrained
from compression.retraining.recipe import Recipe
from compression.retraining.start import choose_teacher
from compression.spec import CompressionSpec, PruneSpec


@pytest.mark.parametrize("name", [*STUDENTS, "untrained:resnet20:4,8,16", "untrained:lenet5"])
def test_weights_are_the_same_each_time_and_leave_random_numbers_alone(name: str) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, second = load_network(name), load_untrained(name)
    assert torch.rand(3).equal(expected)
    assert first.digest == second.digest
    assert first.accuracy is None
    assert not first.module.training
    logits = first.module(first.normalization(torch.randint(0, 255, (4, 3, 32, 32), dtype=torch.uint8)))
    assert logits.isfinite().all()
    assert logits.std(dim=0).min() > 0


def test_widths_are_those_of_the_name() -> None:
    assert load_untrained("untrained:resnet20:4,8,16").module.state_dict()["layer3.0.conv1.weight"].shape[0] == 16


@pytest.mark.parametrize("name", ["untrained:", "untrained:resnet9", "untrained:resnet20:4,8"])
def test_an_unknown_architecture_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"there is no architecture|takes 3 widths"):
        load_network(name)


def test_no_other_network_counts_as_untrained() -> None:
    assert [is_untrained(name) for name in ("untrained:vgg", "untrained-resnet8-float-1-epoch-3fa2c1", "vgg")] == [
        *(True, False, False)
    ]


def test_an_untrained_network_learns_from_labels_or_from_another_network() -> None:
    student, other = load_untrained("untrained:resnet8"), load_untrained("untrained:lenet5")
    spec = CompressionSpec(student.name)
    assert choose_teacher(student, spec, Recipe(), None) is None
    assert choose_teacher(student, spec, Recipe(distillation=0.5), other) is other
    with pytest.raises(ValueError, match="cannot be its own teacher"):
        choose_teacher(student, spec, Recipe(distillation=0.5), None)


def test_a_trained_network_is_its_own_teacher_and_needs_something_to_recover_from() -> None:
    network = load_network("cnn3")
    pruned = CompressionSpec("cnn3", PruneSpec(sparsity=0.5))
    assert choose_teacher(network, pruned, Recipe(distillation=0.5), None) is network
    with pytest.raises(ValueError, match="nothing to recover from"):
        choose_teacher(network, CompressionSpec("cnn3"), Recipe(), None)
