"""Training begins with float weights that have the codes of the compressed network, however it was rounded."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from compression.core.evidence import Evidence, Sample
from compression.core.record import LayerRecord
from compression.files.packed_file import fingerprint
from compression.networks.weights import swap_channels
from compression.quantization.quantizers import QParams, fake_quantize
from compression.retraining.float_start import float_start
from compression.retraining.latent import latent_network
from compression.retraining.start import prepare
from compression.retraining.training import Training
from compression.spec import CompressionSpec, PruneSpec, QuantSpec
from tests.retraining.test_training import RECIPE, images, model

COMPENSATED = {"model": "resnet8", "rounding": "compensated"}


def evidence() -> Evidence:
    return Evidence(Sample(model().normalization(images().pixels), images().labels))


def record(original: Tensor, weight: Tensor, qparams: QParams | None) -> LayerRecord:
    return LayerRecord("layer", original, weight, 0, 0.0, int(weight.count_nonzero()), 3, qparams, 0.0)


def test_a_weight_goes_towards_its_float_value_until_its_code_would_change() -> None:
    """1 -> 0.4 in steps of 0.06: 0.52 has the code 1, and 0.46 has not. What rounds to nearest goes all the way."""
    qparams = QParams(torch.ones(1, 1), torch.zeros(1, 1), -4, 3)
    original, rounded = torch.tensor([[0.3, 0.4, 0.4, 9.0, -2.0]]), torch.tensor([[0.0, 1.0, 0.0, 3.0, 2.0]])
    start = float_start(record(original, rounded, qparams))
    assert torch.allclose(start, torch.tensor([[0.3, 0.52, 0.4, 9.0, 1.6]]))
    assert float_start(record(original, rounded, None)) is rounded


@pytest.mark.parametrize(
    "spec",
    [
        CompressionSpec(**COMPENSATED, weights=QuantSpec(2)),
        CompressionSpec(**COMPENSATED, weights=QuantSpec(2, "min-max", "tensor"), fold_bn=True),
        CompressionSpec(**COMPENSATED, weights=QuantSpec(3, "affine", "group")),
        CompressionSpec(**COMPENSATED, weights=QuantSpec(2, "ternary")),
        CompressionSpec(**COMPENSATED, weights=QuantSpec(1, "binary", skip_ends=True)),
        CompressionSpec(**COMPENSATED, weights=QuantSpec(4), prune=PruneSpec(sparsity=0.5), reconstruct=True),
        CompressionSpec("resnet8", weights=QuantSpec(3), correct_bias=True),
    ],
    ids=lambda spec: spec.to_json()[-150:],
)
def test_training_begins_with_the_codes_of_the_compressed_network_and_close_to_the_float_weights(spec) -> None:
    start = prepare(model(), spec, evidence())
    latent = latent_network(start.compressed, start.masks, keeps_codes=True)
    assert fingerprint(latent.network().module) == fingerprint(start.compressed.module)

    for layer in start.compressed.layers:
        begun = float_start(layer)
        assert ((begun - layer.original).abs() <= (layer.weight - layer.original).abs() + 1e-6).all()
        if layer.qparams is None:
            continue

        by_channel = [swap_channels(each, layer.transposed_groups) for each in (layer.original, begun, layer.weight)]
        same = fake_quantize(by_channel[0], layer.qparams) == by_channel[2]
        assert torch.equal(by_channel[0][same], by_channel[1][same])
        assert same.float().mean() > 0.3


@pytest.mark.parametrize("schedule", ["one-shot", "cubic"])
def test_what_rate_aware_rounding_has_chosen_for_few_bytes_is_where_training_begins(schedule: str) -> None:
    """Its steps and, unless pruning is gradual, its codes. The least squared error would make the steps finer."""
    spec = CompressionSpec("resnet8", PruneSpec(sparsity=0.5), QuantSpec(8), rounding="rate-aware", rate_penalty=3.0)
    start = prepare(model(), spec, evidence())
    latent = Training(start, replace(RECIPE, sparsity_schedule=schedule), images())._latent
    parameters = dict(latent.module.named_parameters())
    same = [torch.equal(parameters[latent.keys[layer.name]], layer.weight) for layer in start.compressed.layers]
    assert all(same) if schedule == "one-shot" else not any(same)
    latent.start_gains_({})
    assert all((gain == 1).all() for gain in latent.gains.values())
