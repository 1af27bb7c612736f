"""A search finds what an exhaustive one finds, uses one half of the images alone, and survives kills."""

import argparse
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from compression.commands.shared.inputs import network_and_spec
from compression.commands.shared.spec_options import add_spec_arguments
from compression.data.cifar10 import TEST
from compression.data.images import ImageSet
from compression.engine.evaluator import Evaluator
from compression.engine.tasks import evaluate_rows
from compression.evaluation.evaluation import BATCH, Evaluation
from compression.evaluation.subsets import HALF, HELD_BACK, SEARCH, Score, first_of, rows, score
from compression.experiments.search import history, space
from compression.experiments.search.goal import Goal, Trial, front_of_trials, may_win, meets, pick, surely_meets
from compression.experiments.search.outcome import outcome_in_words
from compression.experiments.search.reading import Phase, SearchReading
from compression.experiments.search.searcher import Searcher
from compression.experiments.search.space import BITS, HUNDREDTHS, SCHEME, SPARSITY, space_of
from compression.experiments.tasks import count_costs, evaluate_layer
from compression.networks.model import FloatModel
from compression.networks.normalization import NORMALIZATIONS
from compression.results.costs import Costs
from compression.results.store import Store
from compression.spec import CompressionSpec, Granularity, LayerSpec, PruneSpec, QuantSpec, Scheme

LABELS = torch.arange(TEST.images) % 10
IMAGES = ImageSet(torch.zeros(1, 3, 32, 32, dtype=torch.uint8).expand(TEST.images, -1, -1, -1), LABELS, "made up", TEST)
HARM = {"first": 60, "second": 1}  # in ten thousandths of accuracy, for a code without bits
WEIGHTS = {"first": 20, "second": 80}
LUCK = np.random.default_rng(0).random(TEST.images)


def bits_of(spec: CompressionSpec, layer: str) -> int:
    own = {each.name: each.bits for each in spec.layers}
    return own.get(layer) or (spec.weights.bits if spec.weights else 32)


def accuracy(spec: CompressionSpec) -> float:
    """Returns the accuracy of a made-up network: more bits lose less in each layer, and pruning loses ever more."""
    pruned = (spec.prune.sparsity or 0.0) if spec.prune else 0.0
    return 0.9 - sum(harm * 4.0 ** (4 - bits_of(spec, name)) / 1e4 for name, harm in HARM.items()) - pruned**4 / 4


def nbytes(spec: CompressionSpec) -> int:
    density = 1 - ((spec.prune.sparsity or 0.0) if spec.prune else 0.0)
    return 100 + int(sum(count * 10 * density * bits_of(spec, name) for name, count in WEIGHTS.items()))


class Formula:
    """An engine that computes at once, on networks whose accuracy follows a formula.

    With `held_back`, all images of the held-out half are classified correctly, or none, whatever the formula says.
    `asked` has all that was asked for.
    """

    local, notice = True, None

    def __init__(self, held_back: bool | None = None, nbytes: Callable[[CompressionSpec], int] = nbytes) -> None:
        self.held_back, self.nbytes = held_back, nbytes
        self.asked: list[tuple[Any, tuple[int, ...]]] = []
        self._done: dict[tuple[str, int], Any] = {}

    def ask(self, key: tuple[str, int], function: Callable[..., Any], *arguments: Any, priority: int = 0) -> None:
        if function is count_costs:
            self._done[key] = Costs(100, 100, 400, 100, 100, 100, self.nbytes(arguments[1]), 1, 1)
        elif function is evaluate_layer:
            layer, specs, images = arguments[1:4]
            self.asked.append((layer, tuple(images)))
            own = [
                CompressionSpec("made", layers=(LayerSpec(layer, each.weights.bits),)) for each in specs if each.weights
            ]
            self._done[key] = [self.answer(each, images) for each in own or specs]
        else:
            self.asked.append((arguments[1], tuple(arguments[2])))
            evaluation = self.answer(*arguments[1:3])
            self._done[key] = evaluation if function is evaluate_rows else in_chunks(evaluation)

    def take(self, keys: Iterable[tuple[str, int]]) -> dict[tuple[str, int], Any]:
        return {key: self._done.pop(key) for key in keys if key in self._done}

    def drop(self, keys: Iterable[tuple[str, int]]) -> None:
        for key in list(keys):
            self._done.pop(key, None)

    def answer(self, spec: CompressionSpec, images: np.ndarray) -> Evaluation:
        right = torch.from_numpy(LUCK[images] < accuracy(spec))
        if self.held_back is not None:
            right |= torch.from_numpy(images % 2 == 1) & self.held_back
            right &= torch.from_numpy(images % 2 == 0) | self.held_back
        labels = LABELS[torch.from_numpy(images.astype(np.int64))]
        predictions = torch.where(right, labels, (labels + 1) % 10).to(torch.uint8)
        return Evaluation(predictions, labels, TEST.classes, len(images), float(len(images)), torch.ones(len(images)))


def in_chunks(evaluation: Evaluation) -> list[Evaluation]:
    """Returns the evaluation in chunks, as `evaluate_chunks` does."""
    parts = zip(evaluation.predictions.split(BATCH), evaluation.labels.split(BATCH), strict=True)
    return [
        Evaluation(part, labels, TEST.classes, len(part), float(len(part)), torch.ones(len(part)))
        for part, labels in parts
    ]


class TwoLayers(nn.Module):
    """A network of two layers, whose answers the formula computes."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 5, bias=False)
        self.second = nn.Linear(8, 10, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return x


@pytest.fixture(scope="module")
def two_layers() -> FloatModel:
    return FloatModel("made", TwoLayers(), next(iter(NORMALIZATIONS.values())))


@pytest.fixture
def searcher(tmp_path) -> Callable[..., Searcher]:
    def make(engine: Any = None, folder: str = "one") -> Searcher:
        engine, store = engine or Formula(), Store(tmp_path / folder / "results.sqlite")
        return Searcher(engine, store, IMAGES, Evaluator(engine, store, IMAGES))

    return make


def run_to_end(searcher: Searcher, model: FloatModel, goal: Goal, trials: int = 13) -> SearchReading:
    for _ in range(20 * trials):
        reading = searcher.look(model, goal, trials)
        if reading.done or reading.error:
            return reading
    raise AssertionError(f"not done: {reading.phase}, {len(reading.trials)}")


def trial(nbytes: int, drop: float, images: int = HALF, spec: CompressionSpec | None = None) -> Trial:
    flips = round(drop * images)
    return Trial(spec or CompressionSpec("net", weights=QuantSpec(4)), nbytes, images, images - flips, flips, 0)


# ---- halves


def test_the_halves_share_no_image_and_leave_out_none():
    one, other = rows(SEARCH).tolist(), rows(HELD_BACK).tolist()
    assert len(one) == len(other) == HALF == 5000
    assert sorted(one + other) == list(range(10_000))


def test_classes_are_spread_over_the_halves_as_chance_would(test_images):
    """Of a class's 1,000 images 500 +- 16 (a standard deviation) are in either half."""
    counts = test_images.labels[SEARCH].bincount()
    assert all(435 <= count <= 565 for count in counts.tolist())


def test_the_score_of_a_half_is_of_its_images_alone():
    evaluation = Evaluation(torch.tensor([1, 9, 3, 9, 5, 9]), torch.tensor([1, 2, 3, 4, 5, 6]), TEST.classes, 0, 0.0)
    assert (score(evaluation, SEARCH).correct, score(evaluation, HELD_BACK).correct) == (3, 0)


def test_scores_are_paired_on_the_images_that_both_have():
    before = Score(torch.tensor([True, True, False, False]))
    change = before.flips(Score(torch.tensor([True, False, True])))
    assert (change.lost, change.won) == (1, 1)


def test_parts_of_the_images_have_keys_of_their_own():
    names = {first_of(part, images) for part in (slice(None), SEARCH, HELD_BACK) for images in (500, 1000)}
    assert len(names) == 6


# ---- goals


def test_a_goal_limits_either_the_drop_or_the_bytes():
    with pytest.raises(ValueError, match="one goal"):
        Goal()
    with pytest.raises(ValueError, match="one goal"):
        Goal(0.01, 100)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        Goal(file_bytes=0)


def test_a_limited_drop_picks_the_smallest_file_and_limited_bytes_the_highest_accuracy():
    some = [trial(100, 0.02), trial(200, 0.009), trial(300, 0.001)]
    assert pick(Goal(0.01), some, HALF) is some[1]
    assert pick(Goal(file_bytes=250), some, HALF) is some[1]
    assert pick(Goal(file_bytes=150), some, HALF) is some[0]
    assert pick(Goal(file_bytes=50), some, HALF) is None


def test_a_trial_that_surely_meets_the_goal_is_preferred():
    close, clear = trial(100, 0.0099), trial(120, 0.005)
    assert meets(Goal(0.01), close)
    assert not surely_meets(Goal(0.01), close)
    assert pick(Goal(0.01), [close, clear], HALF, surely=True) is clear
    assert pick(Goal(0.01), [close], HALF, surely=True) is close


def test_a_trial_on_part_of_the_half_is_never_picked():
    assert pick(Goal(0.01), [trial(100, 0.0, images=500)], HALF) is None


def test_only_a_trial_that_may_still_win_gets_more_images():
    assert may_win(Goal(0.01), trial(100, 0.012, images=500), [])  # 6 of 500 lost: chance
    assert not may_win(Goal(0.01), trial(100, 0.1, images=500), [])
    assert not may_win(Goal(0.01), trial(100, 0.012, images=500), [trial(90, 0.0)])
    assert not may_win(Goal(file_bytes=99), trial(100, 0.0, images=500), [])


def test_the_front_has_the_trials_that_no_other_beats():
    some = [trial(300, 0.0), trial(100, 0.5), trial(200, 0.1), trial(250, 0.2)]
    assert [each.file_bytes for each in front_of_trials(some)] == [100, 200, 300]


# ---- the space


def test_the_same_bits_in_all_layers_are_the_uniform_spec(two_layers):
    space = space_of(two_layers)
    assert space.spec(space.uniform_choice(4, 30)) == CompressionSpec("made", PruneSpec(sparsity=0.3), QuantSpec(4))
    assert space.spec(space.uniform_choice(4, 0)) == CompressionSpec("made", weights=QuantSpec(4))
    spec = space.spec({"bits first": 8, "bits second": 2, SPARSITY: 0, SCHEME: 0})
    assert (bits_of(spec, "first"), bits_of(spec, "second")) == (8, 2)
    assert space.spec(space.uniform_choice(4, 0, 1)).weights == QuantSpec(4, Scheme.AFFINE, Granularity.TENSOR)


def test_steps_that_recover_accuracy_are_part_of_every_spec_that_they_apply_to(two_layers):
    space = replace(space_of(two_layers, (("equalize", True), ("rounding", "compensated"))), fold_bn=True)
    specs = [space.spec(space.uniform_choice(4, 30)), *space.rivals, *space.smallest_specs]
    assert {spec.rounding for spec in specs} == {"compensated"}
    assert all(spec.equalize == spec.fold_bn for spec in specs)
    assert len({spec.fold_bn for spec in specs}) == 2
    plain = replace(space, recovery=())
    assert [replace(spec, rounding="nearest", equalize=False) for spec in space.rivals] == list(plain.rivals)
    assert space.layer_specs == plain.layer_specs


# ---- searches


def test_a_search_finds_what_exhaustive_search_finds(two_layers, searcher):
    space = space_of(two_layers)
    before, images = accuracy(CompressionSpec("made")), LUCK[rows(SEARCH)]
    points = product(BITS, BITS, HUNDREDTHS)
    every = [space.spec({"bits first": a, "bits second": b, SPARSITY: share, SCHEME: 0}) for a, b, share in points]
    losses = [int(((images < before) & (images >= accuracy(spec))).sum()) for spec in every]
    each = [Trial(spec, nbytes(spec), HALF, HALF - count, count, 0) for spec, count in zip(every, losses, strict=True)]
    optimum = pick(Goal(0.01), each, HALF, surely=True)
    reading = run_to_end(searcher(), two_layers, Goal(0.01), 80)
    assert optimum
    assert reading.outcome
    assert reading.outcome.winner
    assert optimum.file_bytes <= reading.outcome.winner.file_bytes <= 1.06 * optimum.file_bytes
    assert reading.outcome.uniform
    assert reading.outcome.beats_uniform
    assert reading.outcome.winner.file_bytes < reading.outcome.uniform.file_bytes


def test_the_held_out_half_has_no_influence(two_layers, searcher):
    """If all images of that half are classified correctly, or none, the same specs are tried and the same is picked."""
    readings = [run_to_end(searcher(Formula(right), str(right)), two_layers, Goal(0.01)) for right in (True, False)]
    outcomes = [reading.outcome for reading in readings]
    one, other = outcomes
    assert one
    assert other
    assert one.winner
    assert one.uniform
    assert other.winner
    assert other.uniform
    assert [each.spec for each in readings[0].trials] == [each.spec for each in readings[1].trials]
    assert (one.winner.spec, one.uniform.spec) == (other.winner.spec, other.uniform.spec)
    assert (one.winner.held_back.correct, other.winner.held_back.correct) == (HALF, 0)


def test_no_image_of_the_held_out_half_is_evaluated_before_the_winner_is_picked(two_layers, searcher):
    engine = Formula()
    here = searcher(engine)
    while here.look(two_layers, Goal(0.01), 15).phase not in (Phase.CONFIRM, Phase.DONE):
        rows = {row for _, images in engine.asked for row in images}
        if here.look(two_layers, Goal(0.01), 15, go=False).phase not in (Phase.CONFIRM, Phase.DONE):
            assert all(row % 2 == 0 for row in rows)
    assert any(row % 2 for _, images in engine.asked for row in images)


def test_a_search_that_is_killed_repeatedly_continues_and_tries_nothing_twice(two_layers, searcher):
    history: list[Trial] = []
    for _ in range(200):
        engine = Formula()
        here = searcher(engine)
        for _ in range(9):
            reading = here.look(two_layers, Goal(0.01), 20)
        on_half = {spec for spec, images in engine.asked if all(row % 2 == 0 for row in images)}
        assert not on_half & {each.spec for each in history}
        assert set(history) <= set(reading.trials)
        history = list(reading.trials)
        if reading.done:
            break
    assert reading.done
    assert len(history) == 20


def test_a_search_that_is_done_evaluates_nothing_and_reports_the_same(two_layers, searcher):
    first = run_to_end(searcher(), two_layers, Goal(0.01))
    engine = Formula()
    again = run_to_end(searcher(engine), two_layers, Goal(0.01))
    assert engine.asked == []
    assert first.outcome
    assert again.outcome
    assert outcome_in_words(again.outcome) == outcome_in_words(first.outcome)


def test_a_look_without_go_asks_for_nothing(two_layers, searcher):
    engine = Formula()
    reading = searcher(engine).look(two_layers, Goal(0.01), go=False)
    assert (engine.asked, reading.trials, reading.share, reading.seconds_left) == ([], (), 0, None)


def test_a_search_reports_that_it_does_not_beat_the_best_uniform_spec(two_layers, searcher):
    """If bits of a single layer cost extra bytes, nothing beats the same bits in all layers."""
    engine = Formula(nbytes=lambda spec: nbytes(spec) + 10_000 * bool(spec.layers))
    reading = run_to_end(searcher(engine), two_layers, Goal(0.01))
    assert reading.outcome
    assert not reading.outcome.beats_uniform
    assert "did not beat the best uniform spec" in outcome_in_words(reading.outcome)


def test_every_uniform_spec_that_could_beat_the_winner_is_tried(two_layers, searcher):
    """These include specs outside the space of the search: per tensor, affine, k-means."""
    engine = Formula()
    reading = run_to_end(searcher(engine), two_layers, Goal(0.01))
    assert reading.outcome
    assert reading.outcome.winner
    specs = {each.spec for each in reading.uniform}
    smaller = {spec for spec in space_of(two_layers).rivals if nbytes(spec) < reading.outcome.winner.file_bytes}
    assert smaller
    assert smaller <= specs
    cheap = next(
        spec for spec in space_of(two_layers).rivals if spec.weights.scheme == "affine" and spec.weights.bits == 6
    )
    bargain = Formula(nbytes=lambda spec: 1 if spec == cheap else nbytes(spec))
    other = run_to_end(searcher(bargain, "two"), two_layers, Goal(0.01))
    assert other.outcome
    assert other.outcome.uniform
    assert other.outcome.uniform.spec == cheap
    assert "did not beat" in outcome_in_words(other.outcome)


def test_another_seed_is_another_search(two_layers, searcher):
    here = searcher()
    first = run_to_end(here, two_layers, Goal(0.01))
    assert here.look(two_layers, Goal(0.01), 13, seed=1, go=False).trials == ()
    assert here.look(two_layers, Goal(0.01), 13, go=False).trials == first.trials


def test_a_search_of_another_space_begins_anew_and_leaves_the_file_as_it_is(two_layers, searcher, monkeypatch):
    first = run_to_end(searcher(), two_layers, Goal(0.01), 13)
    for module in (history, space):
        monkeypatch.setattr(module, "BITS", BITS[1:])
    other = run_to_end(searcher(), two_layers, Goal(0.01), 13)
    monkeypatch.undo()
    assert first.notice is other.notice is None
    assert searcher().look(two_layers, Goal(0.01), 13, go=False).trials == first.trials


def test_a_goal_below_the_smallest_possible_file_is_refused(two_layers, searcher):
    reading = run_to_end(searcher(), two_layers, Goal(file_bytes=10))
    assert reading.error
    assert "nothing fits within 10 bytes" in reading.error
    assert not reading.trials


def test_a_goal_of_bytes_is_met(two_layers, searcher):
    reading = run_to_end(searcher(), two_layers, Goal(file_bytes=3000))
    assert reading.outcome
    assert reading.outcome.winner
    assert reading.outcome.winner.file_bytes <= 3000


def test_a_damaged_file_is_moved_aside_and_reported(two_layers, searcher, tmp_path):
    run_to_end(searcher(), two_layers, Goal(0.01), 13)
    path = tmp_path / "one" / "searches.sqlite"
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    path.write_bytes(b"no database" * 1000)
    reading = run_to_end(searcher(), two_layers, Goal(0.01), 13)
    assert reading.notice
    assert "was damaged" in reading.notice
    assert reading.outcome
    assert list(path.parent.glob("searches.sqlite.damaged-*"))
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT count(*) FROM trials WHERE state = 'COMPLETE'").fetchone() == (13,)


# ---- recipes


def test_a_recipe_gives_the_network_and_all_settings(tmp_path, simple_cnn):
    spec = CompressionSpec("simple_cnn", PruneSpec(sparsity=0.3), QuantSpec(8), (LayerSpec("fc1", 3),))
    (tmp_path / "recipe.json").write_text(spec.to_json())
    parser = argparse.ArgumentParser()
    add_spec_arguments(parser)
    model, recipe = network_and_spec(parser.parse_args(["--recipe", str(tmp_path / "recipe.json")]))
    assert recipe == spec
    assert model.digest == simple_cnn.digest


@pytest.mark.parametrize("option", ["--bits=4", "--sparsity=0", "--fold-bn", "--layer=fc1=bits:4", "--arch=vgg"])
def test_a_recipe_with_further_settings_is_refused(tmp_path, option):
    (tmp_path / "recipe.json").write_text(CompressionSpec("simple_cnn").to_json())
    parser = argparse.ArgumentParser()
    add_spec_arguments(parser)
    with pytest.raises(ValueError, match=f"remove {option.partition('=')[0]}, or change the recipe"):
        network_and_spec(parser.parse_args(["--recipe", str(tmp_path / "recipe.json"), option]))
