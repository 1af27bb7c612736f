"""Laws that every quantizer obeys whose steps or values follow from the weights; hypothesis searches for violations."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as any_of
from hypothesis.extra import numpy
from torch import Tensor, from_numpy, isin

from compression.quantization.codebooks import Codebook
from compression.quantization.quantizers import choose_qparams, dequantize, levels, quantize
from compression.spec import AUTOMATIC_SCHEMES, Clip, Granularity, QuantSpec, Scheme

MOST = 2.0**100  # the square of a difference is still a float32's in the least error's search

searched = settings(deadline=None, max_examples=200, derandomize=True)
weights = numpy.arrays(
    "float32",
    numpy.array_shapes(min_dims=2, max_dims=4, max_side=6),
    elements=any_of.floats(-MOST, MOST, width=32) | any_of.sampled_from([0.0, 1.0, -1.0, 1e-40, 0.1]),
).map(from_numpy)


@any_of.composite
def specs(draw: any_of.DrawFn) -> QuantSpec:
    scheme = draw(any_of.sampled_from(AUTOMATIC_SCHEMES))
    clip = draw(any_of.sampled_from(Clip)) if scheme.clippable else Clip.FULL
    at = draw(any_of.sampled_from([None, 51, 99])) if clip.default_at else None
    granularity = draw(any_of.sampled_from(Granularity))
    bits = draw(any_of.sampled_from(scheme.bits))
    size = draw(any_of.integers(2**bits, 256).filter(lambda n: n >= 16)) if scheme is Scheme.K_MEANS else 16
    return QuantSpec(bits, scheme, granularity, clip, at, size if granularity is Granularity.GROUP else None)


@searched
@given(weights, specs())
def test_values_are_finite_levels_no_larger_than_twice_the_weights(weight: Tensor, spec: QuantSpec) -> None:
    before = weight.clone()
    qparams = choose_qparams(weight, spec)
    codes = quantize(weight, qparams)
    values = dequantize(codes, qparams)
    assert values.shape == weight.shape
    assert values.isfinite().all()
    assert values.abs().max() <= 2 * weight.abs().max()
    assert isin(values, levels(qparams)).all()
    assert len(values.unique()) <= len(levels(qparams))
    lowest = 0 if isinstance(qparams, Codebook) else qparams.low
    assert lowest <= codes.min()
    assert codes.max() < lowest + qparams.codes
    assert qparams.codes <= 2**spec.bits
    assert weight.equal(before)


@searched
@given(weights, specs())
def test_larger_weights_never_get_smaller_values(weight: Tensor, spec: QuantSpec) -> None:
    spec = replace(spec, granularity=Granularity.TENSOR, group_size=None)
    qparams = choose_qparams(weight, spec)
    ascending = weight.flatten().sort().values
    values = dequantize(quantize(ascending, qparams), qparams)
    assert (values.diff() >= 0).all()


@searched
@given(weights, specs())
def test_quantizing_twice_changes_nothing(weight: Tensor, spec: QuantSpec) -> None:
    qparams = choose_qparams(weight, spec)
    values = dequantize(quantize(weight, qparams), qparams)
    again = dequantize(quantize(values, qparams), qparams)
    assert again.equal(values)
