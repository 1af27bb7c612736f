"""The steps of a search. Each goes as far as it can now, and returns the share (0..1) of it that is done.

With `go`, a step asks workers for what is missing; without, it only takes what has come back. A step that is done once
is done at once when it is called again.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from compression.engine.evaluator import Evaluator
from compression.errors import EngineError
from compression.evaluation.evaluation import BATCH, Evaluation
from compression.evaluation.subsets import HALF, SEARCH, Score, score
from compression.experiments.scanner import Scanner
from compression.experiments.search.candidate import Candidate, next_stage, trial_of
from compression.experiments.search.goal import Goal, Trial, pick
from compression.experiments.search.measuring import Measuring
from compression.experiments.search.outcome import outcome_of
from compression.experiments.search.reading import Phase
from compression.experiments.search.search_state import SearchState, on_half
from compression.results.landscape import read_landscape
from compression.spec import CompressionSpec
from compression.spec.grid import landscape_specs
from compression.spec.title import title

CANDIDATES_AHEAD = 4


@dataclass(frozen=True)
class Tools:
    """What the steps of all searches measure with; `scanner` scans the search half alone."""

    measuring: Measuring
    scanner: Scanner
    evaluator: Evaluator


Step = Callable[[Tools, SearchState, bool], float]


def evaluate_float(tools: Tools, state: SearchState, go: bool) -> float:
    """Counts the smallest files if the goal limits bytes, and evaluates the float network on the search half.

    Raises ValueError if even the smallest file is too large.
    """
    if state.goal.file_bytes is not None and not _is_possible(tools, state, go):
        return 0.0
    if not _evaluate(tools, state, state.base, HALF, go):
        return len(state.base.parts) * BATCH / HALF
    return 1.0


def try_rivals(tools: Tools, state: SearchState, go: bool) -> float:
    """Tries the uniform specs that could be the best one; of files that are too large only the bytes are counted."""
    if state.committed is None:
        state.committed = _committed_trials(state)
    if state.rivals is None:
        known = {each.spec for each in state.uniform}
        state.rivals = {
            spec: tools.measuring.candidate(state.model, spec, f"{state.goal} rival")
            for spec in state.space.rivals
            if spec not in known
        }
    waiting = 0
    for spec, candidate in list(state.rivals.items()):
        if waiting == CANDIDATES_AHEAD:
            break
        uniform = on_half(state.uniform)
        costs = tools.measuring.count(candidate, go)
        trial = None
        is_too_large = costs is not None and costs.file >= _useless_bytes(state.goal, uniform)
        if costs and not is_too_large and (trial := _measure(tools, state, candidate, go, uniform)):
            state.rival_trials.append(trial)
        if is_too_large or trial:
            tools.measuring.drop(state.rivals.pop(spec))
        else:
            waiting += 1
    return 1 - len(state.rivals) / len(state.space.rivals)


def scan_layers(tools: Tools, state: SearchState, go: bool) -> float:
    """Scans each layer alone, and tells the study where to start: with more bits where they matter."""
    if state.study.is_seeded:
        return 1.0
    readings = [tools.scanner.look(state.model, specs, go=go) for specs in state.space.layer_specs]
    if error := next((each.error for each in readings if each.error), None):
        raise EngineError(error)
    share = sum(each.share for each in readings) / len(readings)
    state.meter.images += state.work[Phase.SCAN] * (share - (share if state.scanned is None else state.scanned))
    state.scanned = share
    if not all(each.done for each in readings):
        return share
    rival = pick(state.goal, state.uniform, HALF)
    state.study.seed(state.space.seeds(readings, rival.spec if rival else None))
    return 1.0


def run_trials(tools: Tools, state: SearchState, go: bool) -> float:
    """Tries what the study proposes, a few at a time, so that no worker waits for the last images of one of them."""
    study = state.study
    for number in study.running:
        if number not in state.running:
            state.running[number] = _proposed(tools, state, number)
    for number, candidate in list(state.running.items()):
        others = [each for each in on_half(state.trials) if each.spec != candidate.spec]
        if trial := _measure(tools, state, candidate, go, others):
            study.tell(number, trial)
            tools.measuring.drop(state.running.pop(number))
    while go and len(state.running) < CANDIDATES_AHEAD and len(study.trials) + len(state.running) < state.trial_count:
        number = study.ask()
        state.running[number] = _proposed(tools, state, number)
        _measure(tools, state, state.running[number], go, ())
    return len(study.trials) / max(state.trial_count, len(study.trials) + len(state.running))


def confirm(tools: Tools, state: SearchState, go: bool) -> float:
    """Picks the winner and the best uniform spec by the search half, and then evaluates both on all images."""
    winner = pick(state.goal, state.trials, HALF, surely=True)
    uniform = pick(state.goal, state.uniform, HALF)
    as_float = CompressionSpec(state.model.name)
    specs = dict.fromkeys([as_float, *(each.spec for each in (winner, uniform) if each)])
    wholes: dict[CompressionSpec, Evaluation] = {}
    for number, spec in enumerate(specs):
        reading = tools.evaluator.look(f"search-{id(state)}-{number}", state.model, spec, go, urgent=False)
        if reading.error:
            raise EngineError(reading.error)
        if reading.whole:
            wholes[spec] = reading.whole
    if wholes.keys() != specs.keys():
        return 0.0
    state.outcome = outcome_of(state.goal, wholes[as_float], winner, uniform, wholes)
    return 1.0


STEPS: tuple[tuple[Phase, Step], ...] = (
    (Phase.FLOAT, evaluate_float),
    (Phase.RIVALS, try_rivals),
    (Phase.SCAN, scan_layers),
    (Phase.TRIALS, run_trials),
    (Phase.CONFIRM, confirm),
)


def _is_possible(tools: Tools, state: SearchState, go: bool) -> bool:
    """Returns whether the smallest files are counted. Raises ValueError if even the smallest one is too large."""
    sizes = [(tools.measuring.count(each, go), each.spec) for each in state.smallest]
    files = [(costs.file, spec) for costs, spec in sizes if costs]
    if len(files) < len(sizes):
        return False
    least, spec = min(files, key=lambda file: file[0])
    if least > state.goal.most_bytes:
        raise ValueError(
            f"nothing fits within {state.goal.most_bytes:,} bytes: the smallest file of {state.model.name} that a "
            f"search can make ({title(spec)}) has {least:,}"
        )
    return True


def _committed_trials(state: SearchState) -> tuple[Trial, ...]:
    """Returns the trials of the committed landscape, on the search half, without those with recovery."""
    assert state.before
    specs = (spec for spec in landscape_specs(state.model.name) if not spec.recovers)
    results = map(read_landscape(state.model).get, specs)
    return tuple(
        trial_of(state.before, each.spec, each.costs.file, score(each.evaluation, SEARCH)) for each in results if each
    )


def _useless_bytes(goal: Goal, uniform: Sequence[Trial]) -> float:
    """Returns the size in bytes from which on a uniform spec cannot become the best one beside `uniform`."""
    best = pick(goal, uniform, HALF)
    return min(best.file_bytes if best and goal.drop is not None else math.inf, goal.most_bytes + 1)


def _proposed(tools: Tools, state: SearchState, number: int) -> Candidate:
    spec = state.space.spec(state.study.running[number])
    return tools.measuring.candidate(state.model, spec, f"{state.goal} {number}")


def _measure(tools: Tools, state: SearchState, candidate: Candidate, go: bool, rivals: Sequence[Trial]) -> Trial | None:
    """Returns the trial of `candidate` once its bytes are counted and more images could not make it beat `rivals`."""
    costs = tools.measuring.count(candidate, go)
    if not _evaluate(tools, state, candidate, candidate.stage, go) or costs is None:
        return None
    assert candidate.evaluation
    assert state.before
    trial = trial_of(state.before, candidate.spec, costs.file, Score(candidate.evaluation.right))
    if images := next_stage(state.goal, trial, rivals):
        _evaluate(tools, state, candidate, images, go)
        return None
    return trial


def _evaluate(tools: Tools, state: SearchState, candidate: Candidate, images: int, go: bool) -> bool:
    """Does what `Measuring.evaluate` does, and counts the images that have come back."""
    before = candidate.evaluated
    complete = tools.measuring.evaluate(candidate, images, go)
    state.meter.images += candidate.evaluated - before
    return complete
