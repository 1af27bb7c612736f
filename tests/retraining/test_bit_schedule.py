"""More bits first: weights and layer inputs are rounded more and more coarsely while they are trained."""

import copy
from dataclasses import replace

import pytest
import torch

from compression.core.evidence import Evidence
from compression.core.observe import observe
from compression.files.packed_file import fingerprint
from compression.quantization.activations import InputQuantizer
from compression.quantization.straight_through import least_error_gain
from compression.retraining.latent import latent_network
from compression.retraining.more_bits import inputs_with_bits
from compression.retraining.start import Start, least_error_gains, prepare
from compression.retraining.training import Training
from compression.spec import ActivationSpec, CompressionSpec, LayerSpec, QuantSpec
from tests.retraining.test_training import RECIPE, finish, images, model, training

BITS = CompressionSpec("resnet8", weights=QuantSpec(2), activations=ActivationSpec(2))


def start_of(spec: CompressionSpec) -> Start:
    network = model()
    return prepare(network, spec, Evidence(calibration=observe(network.module, network.normalization(images().pixels))))


def test_more_bits_first_have_finer_steps_in_the_same_range() -> None:
    start = training(CompressionSpec(weights=QuantSpec(2, "affine", "channel"))).start
    latent = latent_network(start.compressed, {}, keeps_codes=False)
    coarse = latent.quantizers["conv1"]
    latent.change_bits_(4, {})
    fine = latent.quantizers["conv1"]
    assert (coarse.codes, fine.codes) == (4, 16)
    assert torch.allclose(fine.scale * 15, coarse.scale * 3)
    weight = latent.module.conv1.weight
    assert torch.equal(latent.gains["conv1"], least_error_gain(weight, fine))
    latent.use_bits_(32)
    assert latent.quantizers == {}
    assert torch.equal(latent.with_last_bits({}).gains["conv1"], least_error_gain(weight, coarse))


def test_weights_are_trained_with_the_bits_of_the_schedule() -> None:
    recipe = replace(RECIPE, steps=12, points=1, bit_schedule=(32, 4, 3))
    run, codes = training(CompressionSpec("resnet8", weights=QuantSpec(2)), recipe), []
    run.advance(1)
    while not run.is_done:
        run.advance(1)
        codes.append({quantizer.codes for quantizer in run._latent.quantizers.values()})
        assert {layer.qparams.codes for layer in run.network().layers} == {3}
    assert codes[:11] == [set(), set(), {15}, {15}, {7}, {7}, *[{3}] * 5]


def test_a_run_that_ends_early_has_the_network_of_its_best_point_with_the_bits_of_the_spec() -> None:
    run = Training(start_of(BITS), replace(RECIPE, steps=12, points=3, bit_schedule=(4,)), images())
    while len(run.points) < 2:
        run.advance(12)
    run._best = run._latent.state() | {"step": run.step}
    counted = run._finished(run._latent, run.step).network()
    run.problem = "ended"
    assert {layer.qparams.codes for layer in run.network().layers} == {3}
    assert fingerprint(run.network().module) == fingerprint(counted.module)


def test_inputs_with_more_bits_have_finer_steps_in_the_same_range() -> None:
    coarse = InputQuantizer(2, 0.5, 1)
    fine = inputs_with_bits(coarse, 4)
    assert fine == InputQuantizer(4, pytest.approx(0.1), 5)
    wide = torch.tensor([-9.0, 0.0, 9.0])
    for quantizer in (coarse, fine):
        [rounded] = quantizer(torch.nn.Identity(), (wide,))
        assert torch.allclose(rounded, torch.tensor([-0.5, 0.0, 1.0]))
    assert inputs_with_bits(fine, 3) is fine
    assert inputs_with_bits(fine, None) is fine
    assert inputs_with_bits(fine, 32) is None


def test_inputs_are_trained_with_the_bits_of_the_schedule() -> None:
    recipe = replace(RECIPE, steps=12, points=1, bit_schedule=(32, 4, 3))
    spec = replace(BITS, layers=(LayerSpec("fc", bits=32),))
    run, bits = Training(start_of(spec), recipe, images()), []
    run.advance(1)
    while not run.is_done:
        run.advance(1)
        bits.append({each.quantizer.bits if each.quantizer else None for each in run._latent.inputs.values()})
        assert {layer.inputs.bits for layer in run.network().layers if layer.inputs} == {2}
    assert bits[:11] == [{None}, {None}, {4}, {4}, {3}, {3}, *[{2}] * 5]
    assert "fc" not in run._latent.inputs


def test_where_the_bits_of_inputs_change_their_clip_changes_as_least_error_says() -> None:
    """With a learning rate of almost zero, nothing else moves it; and with fewer bits it is narrower."""
    start = start_of(BITS)
    recipe = replace(RECIPE, steps=12, points=1, bit_schedule=(32, 4, 3), gain_rate=1e-12, learning_rate=1e-12)
    run = Training(start, recipe, images())
    run.advance(1)
    for bits in (32, 32, 4, 4, 3, 3, None, None):
        run.advance(1)
        gains = {name: float(each.gain.detach()) for name, each in run._latent.inputs.items()}
        assert gains == pytest.approx(least_error_gains(start, bits))
    wide, narrow = least_error_gains(start, 4), least_error_gains(start)
    assert set(least_error_gains(start, 32).values()) == {1.0}
    assert all(narrow[name] <= wide[name] for name in wide)
    assert any(narrow[name] < wide[name] for name in wide)


def test_the_network_of_a_point_has_the_clip_of_the_last_bits() -> None:
    start = start_of(BITS)
    recipe = replace(RECIPE, steps=12, points=3, bit_schedule=(4,), gain_rate=1e-12, learning_rate=1e-12)
    run = Training(start, recipe, images())
    while run.step < 4 or len(run.points) < 2:
        run.advance(4)
    finished = run._finished(run._latent, run.step)
    assert {name: float(each.gain.detach()) for name, each in finished.inputs.items()} == pytest.approx(
        least_error_gains(start)
    )
    assert {each.quantizer.bits for each in run._latent.inputs.values() if each.quantizer} == {4}


def test_weights_of_a_codebook_keep_their_learned_scales_while_inputs_get_fewer_bits() -> None:
    spec = replace(BITS, weights=QuantSpec(2, "ternary"))  # type: ignore[arg-type]
    run = Training(start_of(spec), replace(RECIPE, steps=4, points=1, bit_schedule=(4,)), images())
    run.advance(1)
    run.advance(2)
    learned = {name: gain.detach().clone() for name, gain in run._latent.gains.items()}
    run._latent.change_bits_(None, {})
    assert all(torch.equal(gain, learned[name]) for name, gain in run._latent.gains.items())
    latent = run._latent
    refitted = least_error_gain(latent.module.conv1.weight, latent.quantizers["conv1"])
    assert not torch.equal(learned["conv1"], refitted)


def test_a_run_with_more_bits_of_inputs_first_ends_with_the_same_bits_after_any_kill() -> None:
    recipe = replace(RECIPE, steps=6, bit_schedule=(32, 4))
    start = start_of(BITS)
    whole, run = finish(Training(start, recipe, images())), Training(start, recipe, images())
    while not run.is_done:
        run.advance(1)
        state = copy.deepcopy(run.state())
        run = Training(start, recipe, images())
        run.load(state)
    assert fingerprint(run.network().module) == fingerprint(whole.network().module)
