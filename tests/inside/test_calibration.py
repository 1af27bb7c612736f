"""Calibration: a second implementation, networks whose calibration is known, and temperatures that were put in."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from compression.evaluation.evaluation import Evaluation
from compression.inside.calibration import (
    BINS,
    CurveSpec,
    calibrate,
    curve_point,
    curve_specs,
    margin_shares,
    measure_reliability,
)
from compression.inside.flips import Change, compare
from compression.spec import CompressionSpec, PruneSpec, QuantSpec, Scheme, Structure, Unit


def sampled(count: int, temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits, and labels that are drawn from the softmax of the logits over `temperature`."""
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(count, 10, generator=generator)
    return logits, torch.multinomial((logits / temperature).softmax(1), 1, generator=generator)[:, 0]


def expected_error_by_hand(logits: np.ndarray, labels: np.ndarray) -> float:
    exponentials = np.exp(logits - logits.max(1, keepdims=True))
    probabilities = exponentials / exponentials.sum(1, keepdims=True)
    sure, right = probabilities.max(1), probabilities.argmax(1) == labels
    error = 0.0
    for low in np.arange(BINS) / BINS:
        inside = (sure > low) & (sure <= low + 1 / BINS)
        if inside.any():
            error += inside.mean() * abs(sure[inside].mean() - right[inside].mean())
    return error


def test_the_expected_calibration_error_is_that_of_a_second_implementation() -> None:
    logits, labels = sampled(3000, 2.0)
    expected = expected_error_by_hand(logits.double().numpy(), labels.numpy())
    assert measure_reliability(logits, labels).expected_error == pytest.approx(expected, abs=1e-9)


def test_bins_hold_all_images_and_average_to_the_totals() -> None:
    logits, labels = sampled(3000, 1.0)
    each = measure_reliability(logits, labels)
    assert sum(part.images for part in each.bins) == each.images == 3000
    assert sum(part.images * part.accuracy for part in each.bins) / 3000 == pytest.approx(each.accuracy)
    assert sum(part.images * part.confidence for part in each.bins) / 3000 == pytest.approx(each.confidence)
    assert all(part.low < part.confidence <= part.high for part in each.bins)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_scaling_finds_the_temperature_that_labels_were_drawn_with(temperature: float) -> None:
    calibration = calibrate(*sampled(20_000, temperature))
    assert calibration.temperature == pytest.approx(temperature, rel=0.05)
    assert calibration.scaled.expected_error < 0.02
    assert calibration.scaled.accuracy == calibration.plain.accuracy


def test_a_network_that_is_always_sure_and_always_right_has_no_error() -> None:
    labels = torch.arange(10)
    assert measure_reliability(100 * torch.eye(10), labels).expected_error == pytest.approx(0)
    assert measure_reliability(100 * torch.eye(10), labels.flip(0)).expected_error == pytest.approx(1)


def test_margins_are_shared_out_among_the_images_of_a_change() -> None:
    labels = torch.tensor([0, 0, 1, 1])
    before = Evaluation(labels.byte(), labels, ("a", "b"), 4, 0.0, torch.tensor([1.0, 3.0, 0.5, 4.0]))
    after = Evaluation(torch.tensor([1, 0, 0, 1], dtype=torch.uint8), labels, ("a", "b"), 4, 0.0)
    centres, shares = margin_shares(compare(before, after), Change.LOST, bins=4)
    assert (centres, shares) == ([0.5, 1.5, 2.5, 3.5], [0.5, 0.5, 0.0, 0.0])
    assert sum(margin_shares(compare(before, after), Change.WON)[1]) == 0
    with pytest.raises(ValueError, match="were not kept"):
        margin_shares(compare(after, before), Change.LOST)


def test_the_curves_change_bits_and_sparsity_and_nothing_else() -> None:
    spec = CompressionSpec("simple_cnn", PruneSpec(sparsity=0.5), weights=QuantSpec(4, Scheme.AFFINE))
    points = curve_specs(spec)
    by_bits = {each.bits: each.spec for each in points if each.bits is not None}
    assert by_bits[4] == spec
    assert by_bits[32] == replace(spec, weights=None)
    assert {each.weights.bits for each in by_bits.values() if each.weights} == {8, 6, 5, 4, 3, 2}
    by_sparsity = {each.sparsity: each.spec for each in points if each.sparsity is not None}
    assert by_sparsity[0.5] == spec
    assert by_sparsity[0.0] == replace(spec, prune=None)


def test_every_scheme_has_curves() -> None:
    for scheme in Scheme:
        quant = QuantSpec(scheme.nearest_bits(4), scheme, step=0.02 if scheme is Scheme.STEP else None)
        specs = [each.spec for each in curve_specs(CompressionSpec("simple_cnn", weights=quant))]
        assert len(specs) >= 7


@pytest.mark.parametrize(
    "prune",
    [
        PruneSpec(threshold=0.5, unit=Unit.STDS),
        PruneSpec(structure=Structure.N_M),
        PruneSpec(sparsity=0.3, structure=Structure.FILTER),
    ],
    ids=str,
)
def test_every_way_to_prune_has_curves(prune: PruneSpec) -> None:
    spec = CompressionSpec("resnet20", prune, weights=QuantSpec(4), fold_bn=True, merge=0.1)
    assert len(curve_specs(spec)) == 13


def test_the_temperature_of_a_curve_comes_from_training_images() -> None:
    at = CurveSpec(CompressionSpec("simple_cnn"), bits=32)
    test, training = sampled(2000, 1.0), sampled(5000, 2.0)
    each = curve_point(at, *test, training)
    assert each.temperature == pytest.approx(2.0, rel=0.1)
    assert each.scaled
    assert each.scaled.expected_error > each.plain.expected_error  # these training images mislead
    assert curve_point(at, *test).scaled is None
