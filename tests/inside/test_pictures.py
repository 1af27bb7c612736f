"""Pictures hold the pixels that they were made of, and probabilities are those of softmax."""

import base64
import io

import numpy as np
import torch
from PIL import Image

from compression.inside.answers import Answer, answers, top
from compression.inside.pictures import map_to_pixels, to_data_uri, to_png
from compression.networks.model import FloatModel


def test_a_picture_has_the_same_pixels_as_the_tensor() -> None:
    pixels = torch.randint(256, (3, 32, 32), dtype=torch.uint8)
    for content in (to_png(pixels), base64.b64decode(to_data_uri(pixels).partition("base64,")[2])):
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(content))), pixels.permute(1, 2, 0).numpy())


def test_an_answer_is_the_most_probable_class(simple_cnn: FloatModel) -> None:
    pixels = torch.randint(256, (4, 3, 32, 32), dtype=torch.uint8)
    logits = simple_cnn.module(simple_cnn.normalization(pixels))
    for answer, row in zip(answers(simple_cnn.module, pixels, simple_cnn.normalization), logits, strict=True):
        assert answer.label == int(row.argmax())
        assert abs(answer.probability - float(row.exp().max() / row.exp().sum())) < 1e-5


def test_the_most_probable_classes_come_first() -> None:
    assert top([0.1, 0.6, 0.3], 2) == (Answer(1, 0.6), Answer(2, 0.3))


def test_a_map_is_white_at_zero_red_above_and_blue_below() -> None:
    pixels = map_to_pixels(torch.tensor([[0.0, 2.0, -2.0, 1.0, 5.0]]), most=2)
    assert pixels[:, 0].T.tolist() == [[255, 255, 255], [255, 0, 0], [0, 0, 255], [255, 128, 128], [255, 0, 0]]
    assert (map_to_pixels(torch.zeros(2, 2), most=0) == 255).all()


def test_places_without_a_value_are_grey() -> None:
    assert (map_to_pixels(torch.tensor([[torch.nan]]), most=1) == 128).all()
