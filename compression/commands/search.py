"""`search`: the smallest file that loses little, or the best network for a number of bytes."""

import argparse
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from compression.data import load, write_whole
from compression.engine import engine
from compression.models import library
from compression.outcome import Report, SearchReading, verdict
from compression.search import Goal
from compression.searching import TRIALS, Searcher
from compression.store import Store
from compression.studies import PLACE
from compression.titles import title

HELP = "find bits for each layer and a sparsity that reach a goal; stopped or killed, it goes on where it was"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", metavar="NAME", required=True, help="a network that `models` lists as here")
    goal = parser.add_mutually_exclusive_group(required=True)
    goal.add_argument(
        "--drop", metavar="POINTS", type=float, help="the smallest file that loses at most so many points"
    )
    goal.add_argument("--bytes", metavar="N", type=int, help="the best network whose file has at most so many bytes")
    parser.add_argument("--trials", metavar="N", type=int, default=TRIALS, help=f"default {TRIALS}")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="of what is tried (default 0)")
    parser.add_argument("--out", metavar="FILE", type=Path, help="the winner, as a recipe in JSON")
    parser.add_argument("--studies", metavar="FILE", type=Path, default=PLACE, help="where searches are kept")


def run(options: argparse.Namespace) -> None:
    """Prints what came of it, as far as it is known after Ctrl-C; the same command goes on there."""
    goal = Goal(None if options.drop is None else options.drop / 100, options.bytes)
    if options.trials < 1:
        raise ValueError(f"--trials must be at least 1, got {options.trials}")
    model = library.load(options.model)
    searcher = Searcher(engine(), Store(), load(), options.studies)
    reading = _with_bar(searcher.follow(model, goal, options.trials, options.seed))
    chosen = reading.winner.tried if reading.winner else reading.chosen
    if options.out and chosen:
        write_whole(options.out, chosen.spec.to_json().encode())
    print(as_json(reading) if options.json else as_words(reading))
    if not reading.done:
        raise KeyboardInterrupt


def as_words(reading: SearchReading) -> str:
    """Both networks on both halves, and the verdict."""
    if not reading.done:
        best = reading.chosen
        words = f"the best so far has {best.file:,} bytes: {best.spec.to_json()}" if best else "none meets the goal yet"
        return f"stopped after {len(reading.tried)} trials; {words}"
    lines = [f"{'':16} {'bytes':>9} {'search half':>12} {'held back':>10} {'all':>8}"]
    for name, report in (("found", reading.winner), ("best uniform", reading.rival)):
        if report:
            halves = f"{report.search.accuracy:12.2%} {report.held_back.accuracy:10.2%}"
            lines.append(f"{name:16} {report.tried.file:9,} {halves} {report.whole.accuracy:8.2%}")
    if reading.before:
        lines.append(f"{'float':16} {'':9} {'':12} {'':10} {reading.before.accuracy:8.2%}")
    if reading.rival:
        lines.append(f"uniform: {title(reading.rival.tried.spec)}")
    if reading.winner:
        lines.append(f"found: {reading.winner.tried.spec.to_json()}")
    return "\n".join([*lines, verdict(reading)])


def as_json(reading: SearchReading) -> str:
    """Accuracies in 0..1. `winner` and `rival` are null where nothing met the goal, or the search is not done."""
    return json.dumps(
        {
            "done": reading.done,
            "goal": asdict(reading.goal),
            "trials": len(reading.tried),
            "uniform": len(reading.uniform),
            "winner": _report(reading.winner),
            "rival": _report(reading.rival),
            "verdict": verdict(reading) if reading.done else None,
        }
    )


def _report(report: Report | None) -> dict[str, Any] | None:
    if report is None:
        return None
    return {
        "spec": json.loads(report.tried.spec.to_json()),
        "file": report.tried.file,
        "search_half": asdict(report.search) | {"accuracy": report.search.accuracy},
        "held_back_half": asdict(report.held_back) | {"accuracy": report.held_back.accuracy},
        "accuracy": report.whole.accuracy,
    }


def _with_bar(readings: Iterator[SearchReading]) -> SearchReading:
    reading = next(readings)
    form = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"
    with tqdm(total=1.0, bar_format=form, desc="search", leave=False) as bar, suppress(KeyboardInterrupt):
        for reading in readings:
            best = f", best {reading.chosen.file:,} bytes" if reading.chosen else ""
            bar.set_postfix_str(f"{reading.phase}, {len(reading.tried)} tried{best}", refresh=False)
            bar.update(reading.share - bar.n)
    return reading
