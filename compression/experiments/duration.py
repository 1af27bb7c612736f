"""Predicts how long an evaluation or training takes on this machine, before one has begun."""

import copy
import sys
import time

import torch
from torch import nn
from torch.nn import functional

from compression.networks.model import FloatModel
from compression.retraining.loss import autocast
from compression.retraining.recipe import Precision

NOISE_IMAGES, RUNS = 25, 2

TRAINING_IMAGES, TRAINING_RUNS, MOST_SECONDS = 32, 8, 1.0

LEAST_RUNS = 3  # with the first, which is not counted

SWITCH_SECONDS = 1e-4  # Python's default is 5 ms, which every layer would wait for beside another thread of a server


def seconds_per_image(model: FloatModel) -> float:
    """Times the float network on all cores: the faster of two runs on noise, which takes as long as real images do."""
    images = torch.rand(NOISE_IMAGES, *model.input_shape, generator=torch.Generator().manual_seed(0))
    return min(_seconds(model, images) for _ in range(RUNS)) / NOISE_IMAGES


def _seconds(model: FloatModel, images: torch.Tensor) -> float:
    start = time.perf_counter()
    with torch.inference_mode():
        model.module(model.normalization(images))
    return time.perf_counter() - start


def seconds_per_training_image(model: FloatModel, precision: Precision = Precision.FLOAT32) -> float:
    """Times a step of training on one core, as workers compute it, in `precision`, on noise.

    It is the time that the core spends on it, not counting what else runs on it now. It is the mean of TRAINING_RUNS,
    or of fewer, but LEAST_RUNS, if those take MOST_SECONDS.
    """
    images = torch.rand(TRAINING_IMAGES, *model.input_shape, generator=torch.Generator().manual_seed(0))
    labels = torch.zeros(TRAINING_IMAGES, dtype=torch.long)
    module = copy.deepcopy(model.module).train().requires_grad_(True)
    threads, interval = torch.get_num_threads(), sys.getswitchinterval()
    torch.set_num_threads(1)
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        inputs = model.normalization(images)
        times: list[float] = []
        while len(times) < LEAST_RUNS or (len(times) < TRAINING_RUNS and sum(times) < MOST_SECONDS):
            times.append(_training_seconds(module, inputs, labels, precision))
        return sum(times[1:]) / len(times[1:]) / TRAINING_IMAGES
    finally:
        torch.set_num_threads(threads)
        sys.setswitchinterval(interval)


def _training_seconds(module: nn.Module, inputs: torch.Tensor, labels: torch.Tensor, precision: Precision) -> float:
    start = time.thread_time()
    with torch.enable_grad(), torch.random.fork_rng(devices=[]):
        with autocast(precision):
            outputs = module(inputs)
        functional.cross_entropy(outputs.float(), labels).backward()
    return time.thread_time() - start
