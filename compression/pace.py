"""How long an evaluation will take here, before one was begun."""

import time

import torch

from compression.models.zoo import FloatModel

IMAGES, RUNS = 25, 2


def seconds_an_image(model: FloatModel) -> float:
    """Of the float network, on all cores: the better of two runs on a few images of noise, which is as slow as any."""
    images = torch.rand(IMAGES, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    return min(_run(model, images) for _ in range(RUNS)) / IMAGES


def _run(model: FloatModel, images: torch.Tensor) -> float:
    begun = time.perf_counter()
    with torch.inference_mode():
        model.module(model.normalization(images))
    return time.perf_counter() - begun
