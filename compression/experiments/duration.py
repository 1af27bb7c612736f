"""Predicts how long an evaluation takes on this machine, before one has begun."""

import time

import torch

from compression.networks.model import FloatModel

NOISE_IMAGES, RUNS = 25, 2


def seconds_per_image(model: FloatModel) -> float:
    """Times the float network on all cores: the faster of two runs on noise, which takes as long as real images do."""
    images = torch.rand(NOISE_IMAGES, *model.input_shape, generator=torch.Generator().manual_seed(0))
    return min(_seconds(model, images) for _ in range(RUNS)) / NOISE_IMAGES


def _seconds(model: FloatModel, images: torch.Tensor) -> float:
    start = time.perf_counter()
    with torch.inference_mode():
        model.module(model.normalization(images))
    return time.perf_counter() - start
