"""`sweep`: evaluates a grid of specs, counts the bytes of each, and writes a table."""

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from compression.commands.shared.inputs import image_count, named_network, network_name
from compression.commands.shared.json_text import to_json
from compression.commands.shared.progress import end, follow_share
from compression.commands.shared.spec_options import recovery_from
from compression.data.images import load
from compression.engine.cluster import engine
from compression.engine.evaluator import Evaluator
from compression.errors import EngineError
from compression.experiments.sweep import SweepReading
from compression.experiments.sweeper import Sweeper
from compression.library import catalog
from compression.networks.model import FloatModel
from compression.results.store import Store
from compression.results.table import check_file_name, results_table, write_table
from compression.spec import AUTOMATIC_SCHEMES, CompressionSpec, Scheme
from compression.spec.grid import grid, prune_specs
from compression.spec.recipe import from_json
from compression.spec.title import title

FLOAT = "float"

SAVE_SECONDS = 30  # between two writes of the unfinished table, which can be opened meanwhile

NO_MODELS: Mapping[str, FloatModel] = MappingProxyType({})

T = TypeVar("T")


def run(options: argparse.Namespace) -> None:
    """Writes the table. After Ctrl-C it has the rows that are done; the same command resumes there."""
    images = image_count(options.images)
    check_file_name(options.out)
    specs = specs_from(options)
    models = {} if options.checkpoint is None else {network_name(options): named_network(options)}
    reading = sweep(specs, images, partial(_write, options.out), models)
    _write(options.out, reading)
    print(as_json(reading, options.out) if options.json else as_words(reading, options.out))
    end(reading.notice, reading.done)
    if reading.failures:
        raise EngineError(f"{len(reading.failures)} of {len(reading.specs)} could not be evaluated; see the rows above")


def specs_from(options: argparse.Namespace) -> tuple[CompressionSpec, ...]:
    """Returns the specs of the grid, or of the file --specs. Raises ValueError for options that do not fit."""
    if options.specs:
        return tuple(dict.fromkeys(from_json(line) for line in options.specs.read_text("utf-8").splitlines() if line))
    if not (options.model or options.checkpoint):
        raise ValueError("give --model, one name or several separated by commas, --checkpoint or --specs")
    names = options.model.split(",") if options.model else [network_name(options)]
    bits = [None if text == FLOAT else _number(int, "--bits", text) for text in options.bits.split(",")]
    sparsities = [_number(float, "--sparsity", text) for text in options.sparsity.split(",")]
    prunes = prune_specs(sparsities, options.structure.split(","), options.scope)
    schemes, granularities = options.scheme.split(","), options.granularity.split(",")
    specs = (
        spec
        for name in names
        for spec in grid(name, bits, prunes, [_scheme(each) for each in schemes], granularities, options.fold_bn)
    )
    recovery = recovery_from(options)
    return tuple(replace(spec, **recovery) if spec.prunes or spec.quantizes_weights else spec for spec in specs)


def _number(kind: type[T], option: str, text: str) -> T:
    try:
        return kind(text)  # type: ignore[call-arg]
    except ValueError:
        raise ValueError(f"{option} must be numbers separated by commas, got {text!r}") from None


def _scheme(text: str) -> Scheme:
    if text not in AUTOMATIC_SCHEMES:
        raise ValueError(f"--scheme must be one of {', '.join(AUTOMATIC_SCHEMES)}, got {text!r}")
    return Scheme(text)


def sweep(
    specs: Sequence[CompressionSpec],
    images: int,
    save: Callable[[SweepReading], object] = lambda reading: None,
    models: Mapping[str, FloatModel] = NO_MODELS,
) -> SweepReading:
    """Evaluates `specs` on the first `images` test images. Returns the last reading; after Ctrl-C, an incomplete one.

    `save` is called with a reading every SAVE_SECONDS. `models` are networks by name; others are loaded.
    """
    names = dict.fromkeys(spec.model for spec in specs)
    models = {name: models[name] if name in models else catalog.load_network(name) for name in names}
    store = Store()
    sweeper = Sweeper(engine(), store, Evaluator(engine(), store, load()[:images]))
    saved_at = time.monotonic()

    def tell(reading: SweepReading) -> None:
        nonlocal saved_at
        if time.monotonic() - saved_at > SAVE_SECONDS:
            save(reading)
            saved_at = time.monotonic()

    return follow_share(sweeper.follow(models, specs), "sweep", _words, tell)


def _words(reading: SweepReading) -> str:
    return f"{len(reading.results)} of {len(reading.specs)}"


def _write(path: Path, reading: SweepReading) -> None:
    write_table(path, results_table(reading.results, reading.before))


def as_words(reading: SweepReading, path: Path) -> str:
    """Returns one line per spec, and one per failure."""
    lines = [f"{'accuracy':>8} {'file bytes':>11} {'sparsity':>8}  spec"]
    for each in reading.results:
        row = f"{each.evaluation.accuracy:8.2%} {each.costs.file:11,} {each.costs.sparsity:8.1%}"
        lines.append(f"{row}  {each.spec.model}: {title(each.spec)}")
    lines += [f"failed  {spec.model}: {title(spec)}: {why}" for spec, why in reading.failures.items()]
    return "\n".join([*lines, f"{len(reading.results)} of {len(reading.specs)} in {path}"])


def as_json(reading: SweepReading, path: Path) -> str:
    """Returns how much is done, and where the table is, as one JSON object."""
    return to_json(
        {
            "file": str(path),
            "specs": len(reading.specs),
            "results": len(reading.results),
            "failures": {spec.to_json(): why for spec, why in reading.failures.items()},
            "done": reading.done,
        }
    )
