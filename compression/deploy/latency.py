"""Measures how long ONNX Runtime takes for a batch of images on this machine.

All graphs take turns, each round in another random order, so that other work on this machine affects all of them alike.
In each turn, a first run is not timed: it brings the graph back into the caches, which the other graphs have filled.
"""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from compression.deploy.runtime import PIXELS, Kernels, image_shape, open_session, session_options

ROUNDS = {1: 200, 64: 20}  # batch size -> timed runs of each graph

WARM_UP = 3

Report = Callable[[float], None]


@dataclass(frozen=True)
class Latency:
    """Milliseconds for `batch` images at once on `threads` threads: median and 90th percentile of `runs` runs."""

    name: str
    batch: int
    threads: int
    median_ms: float
    p90_ms: float
    runs: int


@dataclass(frozen=True)
class Measurements:
    """The latencies of several graphs, and the kernels of each graph by its name."""

    latencies: tuple[Latency, ...]
    kernels: Mapping[str, Kernels]


def measure_latencies(
    graphs: Mapping[str, bytes],
    threads: int = 1,
    rounds: Mapping[int, int] = ROUNDS,
    report: Report = lambda share: None,
    seed: int = 0,
) -> tuple[Latency, ...]:
    """Measures each of `graphs` at each batch size of `rounds`. `report` is called with the share (0..1) that is done.

    Raises ValueError if `threads` is below 1.
    """
    settings = session_options(check_threads(threads))
    sessions = {name: open_session(graph, settings) for name, graph in graphs.items()}
    shape = next((image_shape(session) for session in sessions.values()), ())
    order = random.Random(seed)
    latencies = []
    finished_images, images = 0, sum(batch * count for batch, count in rounds.items())
    for batch, count in rounds.items():
        pixels = np.random.default_rng(seed).integers(0, 256, (batch, *shape), np.uint8)
        times: dict[str, list[float]] = {name: [] for name in sessions}
        for session in sessions.values():
            for _ in range(WARM_UP):
                session.run(None, {PIXELS: pixels})
        for _ in range(count):
            for name in order.sample(list(sessions), len(sessions)):
                sessions[name].run(None, {PIXELS: pixels})
                start = time.perf_counter()
                sessions[name].run(None, {PIXELS: pixels})
                times[name].append(1000 * (time.perf_counter() - start))
            finished_images += batch
            report(finished_images / images)
        latencies += [summarize(name, batch, threads, times_ms) for name, times_ms in times.items()]
    return tuple(latencies)


def check_threads(threads: int) -> int:
    """Returns `threads`. Raises ValueError if it is below 1."""
    if threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}")
    return threads


def summarize(name: str, batch: int, threads: int, times_ms: Sequence[float]) -> Latency:
    """Returns the median and the 90th percentile of the times of single runs."""
    median, p90 = np.percentile(times_ms, [50, 90])
    return Latency(name, batch, threads, float(median), float(p90), len(times_ms))
