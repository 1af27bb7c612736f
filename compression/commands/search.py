"""`search`: finds the smallest file within an accuracy drop, or the most accurate network within a number of bytes."""

import argparse
import json
from typing import Any

from compression.commands.shared.inputs import named_network
from compression.commands.shared.json_text import to_json
from compression.commands.shared.progress import end, follow_share
from compression.commands.shared.spec_options import recovery_from
from compression.data.images import load
from compression.engine.cluster import engine
from compression.engine.evaluator import Evaluator
from compression.evaluation.subsets import Score
from compression.experiments.search.goal import Goal, Trial
from compression.experiments.search.outcome import Finalist, outcome_in_words
from compression.experiments.search.reading import SearchReading
from compression.experiments.search.searcher import TRIALS, Searcher
from compression.paths import write_whole
from compression.results.store import Store
from compression.spec import CompressionSpec
from compression.spec.title import title


def run(options: argparse.Namespace) -> None:
    """Prints the outcome, or after Ctrl-C what is known by then; the same command resumes there."""
    trials = TRIALS if options.trials is None else options.trials
    if trials < 1:
        raise ValueError(f"--trials must be at least 1, got {trials}")
    goal = Goal(None if options.drop is None else options.drop / 100, options.bytes)
    model, images, store = named_network(options), load(), Store()
    recovery = tuple(sorted(recovery_from(options).items()))
    searcher = Searcher(engine(), store, images, Evaluator(engine(), store, images, use_landscape=True))
    reading = follow_share(searcher.follow(model, goal, trials, options.seed, recovery), "search", _progress)
    if options.out and (spec := _recipe(reading)):
        write_whole(options.out, f"{spec.to_json()}\n".encode())
    print(to_json(as_values(reading)) if options.json else as_words(reading))
    end(reading.notice, reading.done)


def _progress(reading: SearchReading) -> str:
    best = f", best {reading.best.file_bytes:,} bytes at {reading.best.accuracy:.2%}" if reading.best else ""
    return f"{reading.words}{best}"


def _recipe(reading: SearchReading) -> CompressionSpec | None:
    best = reading.outcome.winner if reading.outcome else reading.best
    return best.spec if best else None


def as_words(reading: SearchReading) -> str:
    """Returns a table of the winner and the best uniform spec, or how far the search has come."""
    outcome = reading.outcome
    if outcome is None:
        best = f"; the best so far has {_trial(reading.best)}" if reading.best else ""
        return f"{reading.goal.words}: {len(reading.trials)} of {reading.trial_count} settings tried{best}"
    rows = {"winner": outcome.winner, "uniform": outcome.uniform}
    return "\n".join(
        [
            f"{'':8} {'bytes':>10} {'search half':>24} {'held-out half':>24}  spec",
            f"{'float':8} {'':10} {_score(outcome.before_search)} {_score(outcome.before_held_back)}",
            *(f"{name:8} {_finalist(each)}" for name, each in rows.items() if each),
            outcome_in_words(outcome),
        ]
    )


def _finalist(finalist: Finalist) -> str:
    return f"{finalist.file_bytes:10,} {_score(finalist.search)} {_score(finalist.held_back)}  {title(finalist.spec)}"


def _score(score: Score) -> str:
    low, high = score.interval
    return f"{f'{score.accuracy:.2%} ({low:.2%} to {high:.2%})':>26}"


def _trial(trial: Trial) -> str:
    return f"{trial.file_bytes:,} bytes and {trial.accuracy:.2%} accuracy on {trial.images:,} images"


def as_values(reading: SearchReading) -> dict[str, Any]:
    """Returns what `--json` prints: accuracies and 95 % intervals in 0..1, specs as in recipes."""
    outcome = reading.outcome
    values: dict[str, Any] = {
        "goal": reading.goal.words,
        "done": reading.done,
        "tried": len(reading.trials),
        "wanted": reading.trial_count,
        "best": reading.best and {"bytes": reading.best.file_bytes, "spec": json.loads(reading.best.spec.to_json())},
        "front": [
            {"bytes": each.file_bytes, "accuracy": each.accuracy, "images": each.images} for each in reading.front
        ],
    }
    if outcome:
        values["float"] = {"search": _values(outcome.before_search), "held_back": _values(outcome.before_held_back)}
        for name, each in (("winner", outcome.winner), ("uniform", outcome.uniform)):
            values[name] = each and {
                "bytes": each.file_bytes,
                "search": _values(each.search),
                "held_back": _values(each.held_back),
                "spec": json.loads(each.spec.to_json()),
            }
        change = outcome.change
        values["mcnemar"] = change and {"lost": change.lost, "won": change.won, "p": change.p}
        values["beats_uniform"] = outcome.beats_uniform
        values["verdict"] = outcome_in_words(outcome)
    return values


def _values(score: Score) -> dict[str, Any]:
    return {"correct": score.correct, "images": score.total, "accuracy": score.accuracy, "interval": score.interval}
