"""Training as in DoReFa-Net and PACT: values and gradients are those of the papers' formulas, written out."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from compression.core.evidence import NO_EVIDENCE
from compression.core.network import with_source
from compression.files.packed_file import to_bytes
from compression.files.packed_reader import verify_file
from compression.quantization.activations import InputQuantizer
from compression.quantization.codebooks import Codebook
from compression.quantization.quantizers import choose_qparams, min_max_qparams
from compression.quantization.straight_through import TrainedInput, centred, dorefa_weight, scaled
from compression.retraining.recipe import Recipe
from compression.retraining.start import prepare
from compression.retraining.training import Training
from compression.spec import CompressionSpec, PruneSpec, QuantSpec
from tests.retraining.test_training import finish, gradient, images, model

RECIPE = Recipe(steps=4, batch_size=16, held_out=32, points=2, quantizers="pact")  # type: ignore[arg-type]


def weights() -> Tensor:
    return torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()


def rounded(x: Tensor, steps: int) -> Tensor:
    """round(x * steps) / steps, whose gradient is that of x."""
    return x + ((x * steps).round() / steps - x).detach()


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_weights_and_their_gradients_are_those_of_dorefa(bits: int) -> None:
    weight, reach = weights(), 0.7
    bounded = weight.tanh()
    theirs = reach * (2 * rounded(bounded / (2 * bounded.abs().max()) + 0.5, 2**bits - 1) - 1)
    ours, gain = dorefa_weight(weight, min_max_qparams(torch.tensor(-reach), torch.tensor(reach), bits))
    assert gain == 1
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gradient(ours, weight), gradient(theirs, weight), rtol=1e-4, atol=1e-4)


def test_one_bit_is_the_sign_times_the_mean_magnitude_and_its_gradient_that_of_the_identity() -> None:
    weight = weights()
    codebook = choose_qparams(3 * weight.detach(), QuantSpec(1, "binary", "channel"))
    assert isinstance(codebook, Codebook)
    ours, gain = dorefa_weight(weight, codebook)
    theirs = weight.sign() * weight.abs().mean((1, 2, 3), keepdim=True)
    torch.testing.assert_close(ours, theirs.detach())
    assert torch.equal(gradient(ours, weight), gradient(weight, weight))
    torch.testing.assert_close(scaled(codebook, gain).values[:, 1], weight.abs().mean((1, 2, 3)).detach())


def test_groups_fill_their_range_each() -> None:
    weight = weights()
    qparams = centred(choose_qparams(weight.detach(), QuantSpec(3, "symmetric", "group", group_size=16)))
    ours, _ = dorefa_weight(weight, qparams)
    largest = weight.detach().flatten(1)[:, :16].abs()
    torch.testing.assert_close(ours.detach().flatten(1)[:, :16].abs().amax(1), largest.amax(1))


@pytest.mark.parametrize("scheme", ["symmetric", "affine", "min-max"])
@pytest.mark.parametrize("bits", [2, 4])
def test_a_centred_range_is_as_wide_as_its_longer_half_twice(scheme: str, bits: int) -> None:
    qparams = choose_qparams(weights().detach() + 0.5, QuantSpec(bits, scheme, "tensor"))
    ours = centred(qparams)
    reach = float(torch.maximum(qparams.zero_point - qparams.low, qparams.high - qparams.zero_point) * qparams.scale)
    assert (ours.codes, ours.zero_is_exact) == (qparams.codes, qparams.zero_is_exact)
    assert float(ours.scale) * (ours.codes - 1) == pytest.approx(2 * reach, rel=1e-5)
    assert float(ours.zero_point) == {"symmetric": 0, "affine": 2 ** (bits - 1), "min-max": (2**bits - 1) / 2}[scheme]


def test_the_clip_of_inputs_learns_from_what_lies_beyond_it() -> None:
    inputs = torch.linspace(-1, 5.1, 41).requires_grad_()
    end = torch.tensor(3.5, requires_grad=True)
    clipped = (inputs.abs() - (inputs - end).abs() + end) / 2  # equation 1 of PACT
    theirs = clipped + ((clipped / 0.5).round() * 0.5 - clipped).detach()
    gain = torch.ones((), requires_grad=True)
    [ours] = TrainedInput(InputQuantizer(3, 0.5, 0), gain, clips=True)(torch.nn.Identity(), (inputs,))
    torch.testing.assert_close(ours, theirs)
    beyond = inputs > 3.75  # between the last value and half a step more, gradients reach the inputs
    expected = (torch.arange(41) * beyond).sum()
    assert float(gradient(ours, gain)) == pytest.approx(3.5 * float(expected))
    assert float(gradient(theirs, end)) == pytest.approx(float((torch.arange(41) * (inputs > 3.5)).sum()))


SPECS = [
    CompressionSpec(weights=QuantSpec(2, "min-max")),
    CompressionSpec(weights=QuantSpec(2), prune=PruneSpec(sparsity=0.5)),
    CompressionSpec(weights=QuantSpec(3, "affine", "group")),
    CompressionSpec(weights=QuantSpec(1, "binary"), prune=PruneSpec(sparsity=0.5)),
]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.weights.scheme)
def test_the_file_holds_what_was_trained_and_a_killed_run_ends_with_the_same_bits(
    spec: CompressionSpec, tmp_path: Path
) -> None:
    start = prepare(model(), replace(spec, model="resnet8"), NO_EVIDENCE)
    run = finish(Training(start, RECIPE, images()))
    result = with_source(run.network(), start.model)
    content = to_bytes(result, start.model)
    path = tmp_path / "net.safetensors"
    path.write_bytes(content)
    verify_file(path, result)
    again = Training(start, RECIPE, images())
    while not again.is_done:
        again.advance(1)
        state, again = again.state(), Training(start, RECIPE, images())
        again.load(state)
    assert to_bytes(with_source(again.network(), start.model), start.model) == content
    learned = finish(Training(start, replace(RECIPE, quantizers="learned"), images()))
    assert to_bytes(with_source(learned.network(), start.model), start.model) != content


def test_what_pact_is_not_for_is_refused() -> None:
    start = prepare(model(), CompressionSpec("resnet8", weights=QuantSpec(2, "ternary")), NO_EVIDENCE)
    with pytest.raises(ValueError, match="pact is for weights with even steps or of one bit"):
        Training(start, RECIPE, images())
    start = prepare(model(), CompressionSpec("resnet8", weights=QuantSpec(2)), NO_EVIDENCE)
    with pytest.raises(ValueError, match="cannot shrink by a bit penalty"):
        Training(start, replace(RECIPE, bit_penalty=0.1), images())
    with pytest.raises(ValueError, match="needs learned scales"):
        Training(start, replace(RECIPE, bit_schedule=(4,)), images())
