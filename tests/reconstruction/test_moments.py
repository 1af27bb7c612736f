"""Layers as matrix products, and the moments of their inputs, beside torch's own layers and sums in float64."""

import pytest
import torch
from torch import nn

from compression.reconstruction.moments import moments_of
from compression.reconstruction.rows import as_rows, has_rows, output_positions, sampled_columns, weight_groups
from tests.reconstruction.layers import correlated, layer_moments, layers, numbers


@pytest.mark.parametrize("kind", layers())
def test_columns_times_rows_are_the_outputs_of_the_layer(kind: str) -> None:
    layer, inputs = layers()[kind]
    assert has_rows(layer)
    groups, weight = weight_groups(layer), layer.weight.detach()
    count = output_positions(layer, inputs)
    columns = sampled_columns(layer, inputs, torch.arange(count).expand(len(inputs), -1))
    outputs = columns @ as_rows(weight, groups).transpose(1, 2)  # (G, N * p, r)
    expected = layer(inputs).detach() - layer.bias.detach().view(
        (-1, *[1] * (inputs.dim() - 2)) if not isinstance(layer, nn.Linear) else (-1,)
    )
    channels_last = expected if isinstance(layer, nn.Linear) else expected.movedim(1, -1)
    torch.testing.assert_close(outputs.transpose(0, 1).flatten(1), channels_last.reshape(-1, len(weight)))


def test_only_the_places_asked_for_are_columns() -> None:
    layer, inputs = layers()["3x3"]
    every = sampled_columns(layer, inputs, torch.arange(42).expand(5, -1)).view(1, 5, 42, -1)
    some = sampled_columns(layer, inputs, torch.tensor([[3, 41]]).expand(5, -1)).view(1, 5, 2, -1)
    assert torch.equal(some, every[:, :, [3, 41]])


def test_layers_that_are_no_such_product_are_recognized() -> None:
    assert not has_rows(nn.ConvTranspose2d(3, 4, 3))
    assert not has_rows(nn.Embedding(3, 4))


def test_the_error_of_any_weight_follows_from_the_moments() -> None:
    columns, outputs, rows = correlated(50, 7), numbers(1, 50, 3, seed=9), numbers(1, 3, 7, seed=5)
    error = (outputs - columns @ rows.transpose(1, 2)).double().square().sum(1)
    torch.testing.assert_close(moments_of(columns, outputs).error(rows), error, rtol=1e-5, atol=0)


def test_the_error_about_the_means_is_that_of_the_best_bias() -> None:
    columns, outputs, rows = correlated(50, 7) + 2, numbers(1, 50, 3, seed=9) - 1, numbers(1, 3, 7, seed=5)
    difference = (outputs - columns @ rows.transpose(1, 2)).double()
    expected = (difference - difference.mean(1, keepdim=True)).square().sum(1)
    torch.testing.assert_close(moments_of(columns, outputs).centred.error(rows), expected, rtol=1e-5, atol=0)


def test_moments_of_batches_add_up() -> None:
    columns, rows = correlated(60, 5), numbers(1, 2, 5)
    whole = layer_moments(rows, columns)
    parts = layer_moments(rows, columns[:, :25]) + layer_moments(rows, columns[:, 25:])
    assert parts.count == whole.count == 60
    for name in ("second", "cross", "input_sum", "output_sum", "energy"):
        torch.testing.assert_close(getattr(parts, name), getattr(whole, name), rtol=1e-5, atol=1e-4)


def test_a_target_from_weights_has_no_error_for_these_weights() -> None:
    rows = numbers(1, 3, 7)
    moments = moments_of(correlated(50, 7), numbers(1, 50, 3)).with_target(rows)
    assert float(moments.error(rows).abs().max()) < 1e-9 * float(moments.energy.max())
