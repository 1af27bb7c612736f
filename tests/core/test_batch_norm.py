"""Re-estimated batch norm: equal to torch's update_bn, and refused without batch norm or images."""

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from compression.core.compress import compress
from compression.core.evidence import Evidence, Sample
from compression.core.record import CompressedModel
from compression.core.training_evidence import evidence_for
from compression.data.images import ImageSet
from compression.evaluation.evaluation import evaluate
from compression.networks.bundled import load_bundled
from compression.networks.model import FloatModel
from compression.spec import CompressionSpec, PruneSpec, QuantSpec
from tests.support.networks import images, network

PRUNE = PruneSpec(sparsity=0.8)


def sample(n: int = 300) -> Sample:
    return Sample(images(n)[:, :, :8, :8].contiguous(), torch.zeros(n, dtype=torch.int64))


def reestimate(arch: str, **how) -> CompressedModel:
    return compress(network(arch), CompressionSpec(arch, reestimate_bn=True, **how), Evidence(sample()))


def state(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


@pytest.mark.parametrize(
    "how", [{}, {"prune": PRUNE}, {"prune": PRUNE, "weights": QuantSpec(4)}], ids=["", "80 %", "4 bits"]
)
def test_statistics_are_those_of_torch_s_own_recipe(how: dict) -> None:
    """300 images are batches of 125, 125 and 50; all batches have the same weight."""
    module = reestimate("resnet8", **how).module
    theirs = compress(network("resnet8"), CompressionSpec("resnet8", **how)).module
    batches = [inputs for inputs, _ in sample().batches]
    assert [len(batch) for batch in batches] == [125, 125, 50]
    update_bn(batches, theirs)
    expected = state(theirs)
    for name, value in state(module).items():
        torch.testing.assert_close(value, expected[name], rtol=0, atol=0, msg=name)


def test_the_statistics_of_one_batch_norm_on_paper() -> None:
    module = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.BatchNorm2d(1)).eval()
    nn.init.constant_(module[0].weight, 2.0)
    images = Sample(torch.tensor([1.0, 2.0, 6.0]).view(3, 1, 1, 1), torch.zeros(3, dtype=torch.int64))
    norm = compress(module, CompressionSpec("m", reestimate_bn=True), Evidence(images)).module[1]
    assert float(norm.running_mean) == pytest.approx(6)
    assert float(norm.running_var) == pytest.approx(28)  # of 2, 4, 12: (16 + 4 + 36) / 2


def test_re_estimation_changes_neither_the_original_nor_the_pruned_weights() -> None:
    before = state(network("resnet8"))
    compressed = reestimate("resnet8", prune=PRUNE)
    assert not any(part.training for part in compressed.module.modules())
    assert {part.momentum for part in compressed.module.modules() if isinstance(part, nn.BatchNorm2d)} == {0.1}
    after = state(network("resnet8"))
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert {layer.name: layer.pruned for layer in compressed.layers} == {
        layer.name: layer.pruned for layer in compress(network("resnet8"), CompressionSpec("resnet8", PRUNE)).layers
    }


def test_pruned_filters_output_zero_after_re_estimation() -> None:
    module = reestimate("resnet8", prune=PruneSpec(sparsity=0.4, scope="layer", structure="filter")).module
    assert module(images(2)).isfinite().all()
    empty = module.bn1.weight == 0
    assert empty.sum() == 6
    assert not module.bn1(module.conv1(images(1)))[:, empty].any()


@pytest.mark.parametrize(
    ("arch", "fold", "words"),
    [
        ("simple_cnn", False, "simple_cnn has no batch norm, so there are no statistics to re-estimate"),
        ("resnet8", True, "resnet8 has no batch norm after folding, so"),
    ],
)
def test_without_batch_norm_there_is_nothing_to_re_estimate(arch: str, fold: bool, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        reestimate(arch, fold_bn=fold)


def test_re_estimation_without_training_images_is_refused() -> None:
    with pytest.raises(ValueError, match="re-estimating batch norm needs training images, and none are available"):
        compress(network("resnet8"), CompressionSpec("resnet8", reestimate_bn=True))


# ---- on real images


@pytest.fixture(scope="module")
def resnet(training_images: ImageSet) -> FloatModel:
    return load_bundled("resnet20")


def test_re_estimation_recovers_accuracy(resnet: FloatModel, test_images: ImageSet) -> None:
    few = test_images[:250]
    accuracies = []
    for again in (False, True):
        spec = CompressionSpec("resnet20", PRUNE, reestimate_bn=again)
        module = compress(resnet.module, spec, evidence_for(resnet, spec)).module
        accuracies.append(evaluate(module, few, resnet.normalization).accuracy)
    assert accuracies[1] > accuracies[0] + 0.1
