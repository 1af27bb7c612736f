"""`search`: the smallest file within a drop of accuracy, or the best network within a number of bytes."""

import argparse
import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from tqdm import tqdm

from compression.data.images import load
from compression.engine.cluster import engine
from compression.engine.evaluator import Evaluator
from compression.evaluation.subsets import Score
from compression.experiments.search.goal import Goal, Tried
from compression.experiments.search.outcome import Judged, verdict
from compression.experiments.search.reading import SearchReading
from compression.experiments.search.searcher import TRIALS, Searcher
from compression.networks import library
from compression.paths import write_whole
from compression.results.store import Store
from compression.spec.title import title

HELP = "search bits for each layer, on half of the test images; stopped or killed, it goes on where it was"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", metavar="NAME", required=True, help="a network that `models` lists as here")
    goal = parser.add_mutually_exclusive_group(required=True)
    goal.add_argument("--drop", metavar="X", type=float, help="the smallest file that loses at most X points")
    goal.add_argument("--bytes", metavar="Y", type=int, help="the best network whose file has at most Y bytes")
    parser.add_argument("--trials", metavar="N", type=int, default=TRIALS, help=f"specs to try (default {TRIALS})")
    parser.add_argument("--seed", metavar="S", type=int, default=0, help="of what is tried (default 0)")
    parser.add_argument("--out", metavar="FILE", type=Path, help="the winner's recipe, for `--recipe` of others")


def run(options: argparse.Namespace) -> None:
    """Prints the outcome, or after Ctrl-C what is known; the same command goes on there."""
    if options.trials < 1:
        raise ValueError(f"--trials must be at least 1, got {options.trials}")
    goal = Goal(None if options.drop is None else options.drop / 100, options.bytes)
    model, images, store = library.load_network(options.model), load(), Store()
    searcher = Searcher(engine(), store, images, Evaluator(engine(), store, images, beforehand=True))
    readings = searcher.follow(model, goal, options.trials, options.seed)
    reading = next(readings)
    form = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"
    bar = tqdm(total=1.0, initial=reading.share, bar_format=form, desc="search", leave=False)
    with bar, suppress(KeyboardInterrupt):
        for reading in readings:
            bar.set_postfix_str(_progress(reading), refresh=False)
            bar.update(reading.share - bar.n)
    if options.out and (spec := _recipe(reading)):
        write_whole(options.out, f"{spec.to_json()}\n".encode())
    print(json.dumps(as_values(reading)) if options.json else as_words(reading))
    if reading.notice:
        print(reading.notice, file=sys.stderr)
    if not reading.done:
        raise KeyboardInterrupt


def _progress(reading: SearchReading) -> str:
    best = f", best {reading.best.bytes:,} bytes at {reading.best.accuracy:.2%}" if reading.best else ""
    return f"{reading.words}{best}"


def _recipe(reading: SearchReading) -> Any:
    found = reading.outcome.winner if reading.outcome else reading.best
    return found.spec if found else None


def as_words(reading: SearchReading) -> str:
    """The winner beside the best uniform spec, or how far it has come."""
    found = reading.outcome
    if found is None:
        best = f"; the best so far has {_tried(reading.best)}" if reading.best else ""
        return f"{reading.goal.words}: {len(reading.tried)} of {reading.wanted} tried{best}"
    rows = {"winner": found.winner, "uniform": found.uniform}
    return "\n".join(
        [
            f"{'':8} {'bytes':>10} {'search half':>24} {'held back':>24}  spec",
            f"{'float':8} {'':10} {_score(found.before_search)} {_score(found.before_held_back)}",
            *(f"{name:8} {_judged(each)}" for name, each in rows.items() if each),
            verdict(found),
        ]
    )


def _judged(found: Judged) -> str:
    return f"{found.bytes:10,} {_score(found.search)} {_score(found.held_back)}  {title(found.spec)}"


def _score(found: Score) -> str:
    low, high = found.interval
    return f"{f'{found.accuracy:.2%} ({low:.2%} to {high:.2%})':>26}"


def _tried(found: Tried) -> str:
    return f"{found.bytes:,} bytes at {found.accuracy:.2%} of {found.images:,}"


def as_values(reading: SearchReading) -> dict[str, Any]:
    """Accuracies and intervals in 0..1, of 95 %; specs as recipes have them."""
    found = reading.outcome
    values: dict[str, Any] = {
        "goal": reading.goal.words,
        "done": reading.done,
        "tried": len(reading.tried),
        "wanted": reading.wanted,
        "best": reading.best and {"bytes": reading.best.bytes, "spec": json.loads(reading.best.spec.to_json())},
        "front": [{"bytes": each.bytes, "accuracy": each.accuracy, "images": each.images} for each in reading.front],
    }
    if found:
        values["float"] = {"search": _values(found.before_search), "held_back": _values(found.before_held_back)}
        for name, each in (("winner", found.winner), ("uniform", found.uniform)):
            values[name] = each and {
                "bytes": each.bytes,
                "search": _values(each.search),
                "held_back": _values(each.held_back),
                "spec": json.loads(each.spec.to_json()),
            }
        change = found.change
        values["mcnemar"] = change and {"lost": change.lost, "won": change.won, "p": change.p}
        values["beats_uniform"] = found.beats
        values["verdict"] = verdict(found)
    return values


def _values(found: Score) -> dict[str, Any]:
    return {"correct": found.correct, "images": found.total, "accuracy": found.accuracy, "interval": found.interval}
