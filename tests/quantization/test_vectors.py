"""Biases and batch norm in fewer bits: torch's own conversions, the bound of each format, and rounding twice."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from compression.quantization.vectors import TOP, round_tensor, round_vector, vector_codes
from compression.spec import VectorFormat

VECTORS = arrays("float32", st.integers(1, 40), elements=st.floats(-(2.0**99), 2.0**99, width=32)).map(torch.from_numpy)


@given(VECTORS, st.sampled_from(VectorFormat), st.booleans())
def test_rounding_again_changes_nothing_and_zero_stays(values, form, positive):
    values[0] = 0
    rounded = round_vector(values, form, positive)
    assert torch.equal(round_vector(rounded, form, positive), rounded)
    assert rounded[0] == 0
    assert rounded.isfinite().all()


@given(VECTORS)
def test_codes_times_scale_are_exact_and_off_by_half_a_scale_at_most(values):
    codes, scale = vector_codes(values)
    products = codes.double() * scale
    assert torch.equal(products, products.float().double())
    assert torch.equal(round_vector(values, VectorFormat.INT8).double(), products)
    if values.abs().max() > 1e-20:
        assert (products - values.double()).abs().max() <= 0.5001 * scale
        assert int(codes.abs().max()) == TOP
        assert scale == pytest.approx(float(values.abs().max()) / TOP, rel=2**-14)


def test_variances_stay_above_zero_and_biases_may_become_zero():
    values = torch.tensor([0.0, 1e-6, 1.0])
    assert (round_tensor("bn1.running_var", values, VectorFormat.INT8) > 0).tolist() == [False, True, True]
    assert (round_tensor("bn1.bias", values, VectorFormat.INT8) > 0).tolist() == [False, False, True]


def test_sixteen_bits_are_torch_s_own_and_large_numbers_become_the_largest():
    values = torch.tensor([0.1, -3.14159, 1e-7, 7e4])
    assert torch.equal(round_vector(values, VectorFormat.BFLOAT16), values.bfloat16().float())
    expected = values.half().float()
    expected[3] = 65504
    assert torch.equal(round_vector(values, VectorFormat.FLOAT16), expected)


def test_weights_and_counters_stay_as_they_are():
    weight, count = torch.rand(3, 2), torch.tensor(7)
    assert round_tensor("fc.weight", weight, VectorFormat.INT8) is weight
    assert round_tensor("bn.num_batches_tracked", count, VectorFormat.INT8) is count
