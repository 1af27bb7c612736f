"""How long ONNX Runtime takes for a batch of images, on this machine, measured fairly.

All graphs take turns, each round in another random order, so that whatever else happens here happens to all of them. Of
each turn one run is not timed: it brings the graph back into the caches that the others have filled.
"""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from compression.deploy.runtime import PIXELS, image_shape, open_session, session_options

ROUNDS = {1: 200, 64: 20}  # batch -> timed runs of each graph

WARM_UP = 3

Told = Callable[[float], None]


@dataclass(frozen=True)
class Latency:
    """Milliseconds for `batch` images at once on `threads` threads: median and 90th percentile of `runs` runs."""

    name: str
    batch: int
    threads: int
    median_ms: float
    p90_ms: float
    runs: int


def measure_latencies(
    graphs: Mapping[str, bytes],
    threads: int = 1,
    rounds: Mapping[int, int] = ROUNDS,
    tell: Told = lambda share: None,
    seed: int = 0,
) -> tuple[Latency, ...]:
    """Each of `graphs` at each batch of `rounds`. `tell` hears the share (0..1) that is done."""
    chosen = session_options(check_threads(threads))
    sessions = {name: open_session(graph, chosen) for name, graph in graphs.items()}
    shape = next((image_shape(each) for each in sessions.values()), ())
    chance = random.Random(seed)
    found = []
    done, images = 0, sum(batch * count for batch, count in rounds.items())
    for batch, count in rounds.items():
        pixels = np.random.default_rng(seed).integers(0, 256, (batch, *shape), np.uint8)
        times: dict[str, list[float]] = {name: [] for name in sessions}
        for running in sessions.values():
            for _ in range(WARM_UP):
                running.run(None, {PIXELS: pixels})
        for _ in range(count):
            for name in chance.sample(list(sessions), len(sessions)):
                sessions[name].run(None, {PIXELS: pixels})
                begun = time.perf_counter()
                sessions[name].run(None, {PIXELS: pixels})
                times[name].append(1000 * (time.perf_counter() - begun))
            done += batch
            tell(done / images)
        found += [summarize(name, batch, threads, each) for name, each in times.items()]
    return tuple(found)


def check_threads(threads: int) -> int:
    """`threads`, where a runtime can have so many. Raises ValueError."""
    if threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}")
    return threads


def summarize(name: str, batch: int, threads: int, times_ms: Sequence[float]) -> Latency:
    median, p90 = np.percentile(times_ms, [50, 90])
    return Latency(name, batch, threads, float(median), float(p90), len(times_ms))
