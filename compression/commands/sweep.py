"""`sweep`: a grid of specs, each evaluated and counted, as a table."""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from compression.data.cifar10 import TEST
from compression.data.images import load
from compression.engine.cluster import engine
from compression.engine.evaluator import Evaluator
from compression.errors import EngineError
from compression.experiments.sweep import Sweeper, SweepReading
from compression.networks import library
from compression.results.store import Store
from compression.results.table import SUFFIXES, check_file_name, results_table, write_table
from compression.spec import AUTOMATIC_SCHEMES, CompressionSpec, Granularity, Scheme, Scope, Structure
from compression.spec.grid import grid, prune_specs
from compression.spec.recipe import from_json
from compression.spec.title import title

HELP = "evaluate a grid of settings, as a table; stopped or killed, it goes on where it was"

FLOAT = "float"

KEEP_SECONDS = 30  # between two times that the table is written, so that one may look at it

T = TypeVar("T")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", metavar="NAME,...", help="networks that `models` lists as here")
    parser.add_argument("--bits", metavar="B,...", default="float,8,6,5,4,3,2", help="default float,8,6,5,4,3,2")
    parser.add_argument(
        "--scheme", metavar="S,...", default=Scheme.SYMMETRIC, help=f"of {', '.join(AUTOMATIC_SCHEMES)}"
    )
    parser.add_argument("--granularity", metavar="G,...", default=Granularity.CHANNEL, help=", ".join(Granularity))
    parser.add_argument("--sparsity", metavar="S,...", default="0", help="shares to prune, 0 to 1 (default 0)")
    parser.add_argument("--structure", metavar="S,...", default=Structure.WEIGHT, help="weight, filter, or n:m as 2:4")
    parser.add_argument("--scope", default=Scope.GLOBAL, help="of a sparsity: global or layer")
    parser.add_argument("--fold-bn", action="store_true", help="fold batch norm into the convolution before it first")
    parser.add_argument("--specs", metavar="FILE", type=Path, help="a recipe a line, as JSON, instead of a grid")
    parser.add_argument("--images", metavar="N", type=int, default=TEST.images, help="test images (default all)")
    parser.add_argument("--out", metavar="FILE", type=Path, required=True, help=f"the table, {' or '.join(SUFFIXES)}")


def run(options: argparse.Namespace) -> None:
    """Writes the table, as far as it is known after Ctrl-C; the same command goes on there."""
    if not 1 <= options.images <= TEST.images:
        raise ValueError(f"--images must be in 1..{TEST.images:,}, got {options.images}")
    check_file_name(options.out)
    reading = swept(specs_from(options), options.images, lambda found: _write(options.out, found))
    _write(options.out, reading)
    print(as_json(reading, options.out) if options.json else as_words(reading, options.out))
    if reading.notice:
        print(reading.notice, file=sys.stderr)
    if not reading.done:
        raise KeyboardInterrupt
    if reading.failures:
        raise EngineError(f"{len(reading.failures)} of {len(reading.specs)} could not be evaluated, as said above")


def specs_from(options: argparse.Namespace) -> tuple[CompressionSpec, ...]:
    """The settings. Raises ValueError on options that contradict each other."""
    if options.specs:
        return tuple(dict.fromkeys(from_json(line) for line in options.specs.read_text("utf-8").splitlines() if line))
    if not options.model:
        raise ValueError("give --model, one name or several with commas between them, or --specs")
    bits = [None if text == FLOAT else _number(int, "--bits", text) for text in options.bits.split(",")]
    sparsities = [_number(float, "--sparsity", text) for text in options.sparsity.split(",")]
    prunes = prune_specs(sparsities, options.structure.split(","), options.scope)
    schemes, granularities = options.scheme.split(","), options.granularity.split(",")
    return tuple(
        spec
        for name in options.model.split(",")
        for spec in grid(name, bits, prunes, [_scheme(each) for each in schemes], granularities, options.fold_bn)
    )


def _number(kind: type[T], option: str, text: str) -> T:
    try:
        return kind(text)  # type: ignore[call-arg]
    except ValueError:
        raise ValueError(f"{option} takes numbers with commas between them, got {text!r}") from None


def _scheme(text: str) -> Scheme:
    if text not in AUTOMATIC_SCHEMES:
        raise ValueError(f"--scheme takes some of {', '.join(AUTOMATIC_SCHEMES)}, got {text!r}")
    return Scheme(text)


def swept(specs: Sequence[CompressionSpec], images: int, keep: Callable[[SweepReading], object] = id) -> SweepReading:
    """The last reading: the whole, or, after Ctrl-C, what was known by then. `keep` is given some on the way."""
    models = {name: library.load_network(name) for name in dict.fromkeys(spec.model for spec in specs)}
    store = Store()
    sweeper = Sweeper(engine(), store, Evaluator(engine(), store, load()[:images]))
    readings = sweeper.follow(models, specs)
    reading = next(readings)
    form = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"
    kept = time.monotonic()
    bar = tqdm(total=1.0, initial=reading.share, bar_format=form, desc="sweep", leave=False)
    with bar, suppress(KeyboardInterrupt):
        for reading in readings:
            bar.set_postfix_str(f"{len(reading.results)} of {len(reading.specs)}", refresh=False)
            bar.update(reading.share - bar.n)
            if time.monotonic() - kept > KEEP_SECONDS:
                keep(reading)
                kept = time.monotonic()
    return reading


def _write(path: Path, reading: SweepReading) -> None:
    write_table(path, results_table(reading.results, reading.before))


def as_words(reading: SweepReading, path: Path) -> str:
    """A row a spec, and what could not be."""
    lines = [f"{'accuracy':>8} {'file bytes':>11} {'sparsity':>8}  spec"]
    for each in reading.results:
        row = f"{each.evaluation.accuracy:8.2%} {each.costs.file:11,} {each.costs.sparsity:8.1%}"
        lines.append(f"{row}  {each.spec.model}: {title(each.spec)}")
    lines += [f"failed  {spec.model}: {title(spec)}: {why}" for spec, why in reading.failures.items()]
    return "\n".join([*lines, f"{len(reading.results)} of {len(reading.specs)} in {path}"])


def as_json(reading: SweepReading, path: Path) -> str:
    """How much is done, and where the table is."""
    return json.dumps(
        {
            "file": str(path),
            "specs": len(reading.specs),
            "results": len(reading.results),
            "failures": {spec.to_json(): why for spec, why in reading.failures.items()},
            "done": reading.done,
        }
    )
