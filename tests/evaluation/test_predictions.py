"""Predictions as bytes: two in a byte for up to 16 classes, one in a byte for more."""

import pytest
import torch

from compression.evaluation.predictions import pack_predictions, unpack_predictions


@pytest.mark.parametrize(("classes", "nbytes"), [(2, 51), (10, 51), (16, 51), (17, 101), (256, 101)])
def test_packed_predictions_come_back_whatever_the_number_of_classes(classes: int, nbytes: int) -> None:
    predictions = (torch.arange(101) * 37 % classes).to(torch.uint8)
    content = pack_predictions(predictions, classes)
    assert len(content) == nbytes
    assert torch.equal(unpack_predictions(content, 101, classes), predictions)


def test_the_first_prediction_of_a_byte_is_in_its_upper_half() -> None:
    assert pack_predictions(torch.tensor([1, 2, 3], dtype=torch.uint8), 10) == bytes([0x12, 0x30])
