"""Progress in the terminal."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tqdm import tqdm

from compression.data.fetching import Progress
from compression.evaluation.reading import Reading
from compression.evaluation.sampling import Estimate


@contextmanager
def byte_bar(name: str) -> Iterator[Progress]:
    """A bar for a file that is fetched; it appears with the first bytes."""
    with tqdm(unit="B", unit_scale=True, desc=name, delay=0.1) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show


def follow_with_bar(readings: Iterator[Reading], images: int, name: str) -> Reading:
    """The last reading: the whole, or, after Ctrl-C, what was known by then."""
    reading = next(readings)
    with tqdm(total=images, desc=name, unit="image", leave=False) as bar, suppress(KeyboardInterrupt):
        for reading in readings:
            if reading.estimate:
                bar.set_postfix_str(plus_minus(reading.estimate), refresh=False)
            bar.update(reading.images - bar.n)
    return reading


def plus_minus(estimate: Estimate) -> str:
    """ "91.70 % ± 0.62" """
    return f"{estimate.accuracy:.2%} ± {100 * estimate.half_width:.2f}"
