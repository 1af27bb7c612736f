"""Corruptions by laws: the same every time, stronger with severity, and hand-sized examples of each."""

import pytest
import torch
from torch import Tensor

from compression.data.images import ImageSet
from compression.inside.corruptions import (
    CLEAN,
    CONDITIONS,
    SEVERITIES,
    STRENGTHS,
    Condition,
    Corruption,
    corrupt,
)

HARMED = [each for each in CONDITIONS if each != CLEAN]


def images(count: int = 3) -> Tensor:
    return torch.randint(256, (count, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("condition", CONDITIONS, ids=str)
def test_an_image_is_corrupted_in_the_same_way_whatever_images_come_with_it(condition: Condition) -> None:
    together = corrupt(images(), condition, 40)
    assert torch.equal(together, corrupt(images(), condition, 40))
    assert torch.equal(together[2:], corrupt(images()[2:], condition, 42))
    assert together.shape == images().shape
    assert together.dtype == torch.uint8


def test_clean_images_stay_as_they_are_and_are_not_changed_by_corruptions() -> None:
    before = images()
    assert torch.equal(corrupt(before, CLEAN), before)
    for condition in HARMED:
        corrupt(before, condition)
    assert torch.equal(before, images())


@pytest.mark.parametrize("corruption", Corruption)
def test_each_severity_changes_real_images_more_than_the_one_before(
    corruption: Corruption, test_images: ImageSet
) -> None:
    pixels = test_images.pixels[:50]
    changes = [
        float((corrupt(pixels, Condition(corruption, severity)).float() - pixels.float()).abs().mean())
        for severity in SEVERITIES
    ]
    assert changes == sorted(changes)
    assert 0.5 < changes[0] < changes[4]


def test_noise_has_the_deviation_of_its_severity_and_other_images_have_other_noise() -> None:
    grey = torch.full((20, 3, 32, 32), 128, dtype=torch.uint8)
    for severity in SEVERITIES:
        noisy = corrupt(grey, Condition(Corruption.NOISE, severity)).float() / 255
        assert float(noisy.std()) == pytest.approx(STRENGTHS[Corruption.NOISE][severity - 1], rel=0.02)
        assert not torch.equal(noisy[0], noisy[1])


def test_blur_keeps_the_mean_and_spreads_a_point_as_a_gaussian_does() -> None:
    point = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    point[..., 16, 16] = 255
    blurred = corrupt(point, Condition(Corruption.BLUR, 5)).float()
    assert float(blurred[0, 0, 16, 17] / blurred[0, 0, 16, 16]) == pytest.approx(2.718281828**-0.5, abs=0.02)
    assert torch.equal(blurred, blurred.transpose(2, 3))
    plain = torch.full((1, 3, 32, 32), 77, dtype=torch.uint8)
    assert torch.equal(corrupt(plain, Condition(Corruption.BLUR, 5)), plain)


def test_brightness_raises_the_largest_channel_and_keeps_the_colour() -> None:
    pixels = torch.tensor([100, 50, 0], dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 32, 32)
    brighter = corrupt(pixels, Condition(Corruption.BRIGHTNESS, 4))[0, :, 0, 0].tolist()
    assert brighter == [151, 76, 0]
    black = corrupt(torch.zeros(1, 3, 32, 32, dtype=torch.uint8), Condition(Corruption.BRIGHTNESS, 4))
    assert (black == 51).all()


def test_contrast_draws_pixels_towards_the_mean_of_their_channel() -> None:
    pixels = torch.zeros(1, 3, 2, 2, dtype=torch.uint8)
    pixels[0, :, 0] = 200
    assert corrupt(pixels, Condition(Corruption.CONTRAST, 2))[0, 0].tolist() == [[150, 150], [50, 50]]


@pytest.mark.parametrize(("number", "place"), [(0, (16, 18)), (1, (18, 16)), (2, (16, 14)), (3, (14, 16))])
def test_a_shift_moves_each_fourth_image_in_the_same_direction(number: int, place: tuple[int, int]) -> None:
    point = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    point[..., 16, 16] = 255
    moved = corrupt(point, Condition(Corruption.SHIFT, 2), number)
    assert moved[0, 0].nonzero().tolist() == [list(place)]


def test_every_second_image_is_rotated_the_other_way() -> None:
    bar = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)
    bar[..., 15:17] = 255
    first, second = corrupt(bar, Condition(Corruption.ROTATION, 5))
    assert not torch.equal(first, second)
    assert torch.allclose(first.float(), second.float().flip(2), atol=1)


def test_severities_that_do_not_exist_are_refused() -> None:
    for corruption, severity in ((Corruption.NOISE, 0), (Corruption.NOISE, 6), (None, 1)):
        with pytest.raises(ValueError, match="severity must be in"):
            Condition(corruption, severity)
