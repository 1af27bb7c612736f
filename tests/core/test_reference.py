"""A published ResNet-20, compressed in many ways, beside predictions of an implementation that is not ours.

tests/core/reference.py made them and says how. Its accuracies on all 10,000 test images are those of the README beside
the public checkpoint; of each row it keeps the classes of the first 1,000 images, and here half of them are compared,
one by one.
Two correct implementations may differ by a few images, because floats are summed in another order. That the float
network has the published accuracy on all images is asserted in tests/pages/test_upload.py.
"""

import json

import pytest
import torch

from compression.core.compress import compress
from compression.data.images import ImageSet
from compression.evaluation.evaluation import evaluate
from compression.evaluation.normalization_trial import load_checkpoint
from compression.networks.model import FloatModel
from compression.spec import CompressionSpec, PruneSpec, QuantSpec
from tests.core.reference import COLUMNS, FIRST_IMAGES, PREDICTIONS, PRUNED, PUBLISHED, QUANTIZED

COMPARED_IMAGES = FIRST_IMAGES // 2
WEIGHTS = 268_336  # of all convolutions and the linear layer

EXPECTED = json.loads(PREDICTIONS.read_text())

QUANTIZED_SPECS = {
    f"{bits}-{scheme}-{granularity}": CompressionSpec("resnet20", weights=QuantSpec(bits, scheme, granularity))
    for bits in QUANTIZED
    for place, (scheme, granularity) in enumerate(COLUMNS)
    if bits in (3, 4) or place == bits % 4  # where quantizers differ, all of them, and elsewhere one per row
}


def prune_spec(sparsity: float) -> CompressionSpec:
    """Returns a spec that prunes as many weights as the published table, which rounds the count; we round it down.

    At 80 % that is one weight of 268,336 more, and 43 images of 10,000 fewer: 41.87 % by our own rule.
    """
    count = round(sparsity * WEIGHTS)
    return CompressionSpec("resnet20", PruneSpec(sparsity=(count + 0.5) / WEIGHTS))


SPECS = {
    "float": CompressionSpec("resnet20"),
    **QUANTIZED_SPECS,
    **{f"pruned-{sparsity}": prune_spec(sparsity) for sparsity in PRUNED},
}


@pytest.fixture(scope="module")
def resnet20(public_checkpoint, test_images: ImageSet) -> FloatModel:
    return load_checkpoint(public_checkpoint, test_images[:500])


def test_the_reference_has_the_published_accuracies_on_all_images() -> None:
    assert {name: row["correct"] / 100 for name, row in EXPECTED.items()} == pytest.approx(PUBLISHED, abs=0.05)


def test_the_normalization_of_the_reference_is_recognised(resnet20: FloatModel) -> None:
    assert resnet20.normalization.name == "imagenet"


@pytest.mark.parametrize(("name", "spec"), SPECS.items(), ids=SPECS)
def test_each_prediction_is_that_of_the_reference(
    name: str, spec: CompressionSpec, resnet20: FloatModel, test_images: ImageSet
) -> None:
    module = compress(resnet20.module, spec).module
    evaluation = evaluate(module, test_images[:COMPARED_IMAGES], resnet20.normalization)
    expected = torch.tensor([int(digit) for digit in EXPECTED[name]["classes"][:COMPARED_IMAGES]])
    assert int((evaluation.predictions != expected).sum()) <= 1
