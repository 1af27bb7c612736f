"""Progress bars in the terminal, and how a command ends that Ctrl-C has stopped."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol, TypeVar

from tqdm import tqdm

from compression.data.fetching import Progress
from compression.evaluation.reading import Reading
from compression.evaluation.sampling import Estimate


class Shared(Protocol):
    """A reading of long work: `share` (0..1) is done."""

    @property
    def share(self) -> float: ...


R = TypeVar("R", bound=Shared)


@contextmanager
def byte_bar(name: str) -> Iterator[Progress]:
    """A bar for a download; it appears with the first bytes."""
    with tqdm(unit="B", unit_scale=True, desc=name, delay=0.1) as bar:

        def show(count: int, total: int) -> None:
            bar.total = total
            bar.update(count - bar.n)

        yield show


def show_steps(bar: tqdm, done: int, words: str) -> None:
    """Shows in a bar that so many steps are `done`, with `words` beside it.

    Steps of an earlier run, which are done at the first call, do not count in the estimate of the time left.
    """
    if bar.n == 0:
        bar.initial = bar.n = max(0, done - 1)
    bar.set_postfix_str(words, refresh=False)
    bar.update(done - bar.n)


def follow_images(readings: Iterator[Reading], images: int, name: str) -> Reading:
    """Shows a bar that counts images. Returns the last reading; after Ctrl-C, the one that was last by then."""
    reading = next(readings)
    with tqdm(total=images, desc=name, unit="image", leave=False) as bar, suppress(KeyboardInterrupt):
        for reading in readings:
            if reading.estimate:
                bar.set_postfix_str(plus_minus(reading.estimate), refresh=False)
            bar.update(reading.images - bar.n)
    return reading


def follow_share(
    readings: Iterator[R],
    name: str,
    words: Callable[[R], str] = lambda reading: "",
    tell: Callable[[R], object] = lambda reading: None,
) -> R:
    """Shows a bar of the share that is done, with `words` beside it. Returns what `follow_images` returns.

    `tell` is called with every reading but the first.
    """
    reading = next(readings)
    form = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"
    bar = tqdm(total=1.0, initial=reading.share, bar_format=form, desc=name, leave=False)
    with bar, suppress(KeyboardInterrupt):
        for reading in readings:
            bar.set_postfix_str(words(reading), refresh=False)
            bar.update(reading.share - bar.n)
            tell(reading)
    return reading


def end(notice: str | None, complete: bool) -> None:
    """Prints the notice about the workers, if there is one. Raises KeyboardInterrupt where the work is not complete."""
    if notice:
        print(notice, file=sys.stderr)
    if not complete:
        raise KeyboardInterrupt


def plus_minus(estimate: Estimate) -> str:
    """ "91.70% ± 0.62", and never "± 0.00", which would mean exact."""
    half_width = max(0.01, 100 * estimate.half_width)
    return f"{estimate.accuracy:.2%} ± {half_width:.2f}"
