"""Searching: chosen by one half of the images, reported on the other, gone on with after any stop."""

import itertools
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from compression.codec import to_bytes
from compression.compress import compress
from compression.data import ImageSet
from compression.engine import Engine, EngineError
from compression.estimate import flips
from compression.evaluate import Evaluation
from compression.halves import OnHalf, compared, differ, held_back_half, on_half, search_half
from compression.outcome import Report, SearchReading, verdict
from compression.search import (
    BITS,
    SPARSITY,
    Goal,
    Tried,
    best,
    harms,
    may_be_chosen,
    meets,
    seeds,
    spec_of,
    violation,
)
from compression.searching import Searcher
from compression.spec import CompressionSpec, LayerSpec, PruneSpec, QuantSpec
from compression.store import Store
from compression.studies import opened, space, tell, told
from tests.conftest import PROJECT

NAME = "simple_cnn"
FLOAT = CompressionSpec(NAME)
ONE_POINT = Goal(drop=0.01)
Make = Callable[..., Searcher]


def evaluation(right: str) -> Evaluation:
    """One image a letter: "+" is right."""
    labels = torch.zeros(len(right), dtype=torch.long)
    return Evaluation(torch.tensor([each != "+" for each in right]).to(torch.uint8), labels, len(right), 0.0)


def tried(file: int, lost: int, won: int = 0, images: int = 5000, bits: int = 4) -> Tried:
    return Tried(CompressionSpec(NAME, weights=QuantSpec(bits)), file, OnHalf(images, images - lost, lost, won))


# ---- halves


@pytest.mark.parametrize("total", [1, 2, 9, 10_000])
def test_the_halves_are_all_images_and_share_none(total: int) -> None:
    rows = torch.cat([search_half(total), held_back_half(total)])
    assert sorted(rows.tolist()) == list(range(total))
    assert len(search_half(total)) - len(held_back_half(total)) in (0, 1)


def test_the_halves_have_about_as_many_images_of_each_class(test_images):
    counts = [test_images.labels[rows(10_000)].bincount() for rows in (search_half, held_back_half)]
    assert (counts[0] - counts[1]).abs().max() < 100  # four standard deviations of drawing by lot


def test_on_a_half_lost_and_won_are_counted_there_alone() -> None:
    before, after = evaluation("++++----"), evaluation("+-+-++--")
    assert on_half(search_half(8), before, after) == OnHalf(images=4, correct=3, lost=0, won=1)
    assert on_half(held_back_half(8), before, after) == OnHalf(images=4, correct=1, lost=2, won=1)
    everything = on_half(torch.arange(8), before, after)
    change = flips(before, after)
    assert (everything.lost, everything.won) == (change.lost, change.won)
    assert everything.drop == before.accuracy - after.accuracy
    assert everything.interval == after.interval
    assert differ(torch.arange(8), before, after) == change


def test_the_error_of_a_drop_is_what_other_samples_show() -> None:
    generator = torch.Generator().manual_seed(0)
    drops, errors = [], []
    for _ in range(2000):
        chance = torch.rand(500, generator=generator)
        found = compared(chance < 0.9, (chance < 0.86) | (chance > 0.98))
        drops.append(found.drop)
        errors.append(found.error)
    assert torch.tensor(drops).std() == pytest.approx(torch.tensor(errors).mean(), rel=0.05)


# ---- what is chosen


def test_a_goal_is_one_of_two_and_of_a_size_that_can_be() -> None:
    for wrong, words in (
        ({}, "exactly one"),
        ({"drop": 0.1, "nbytes": 1}, "exactly one"),
        ({"drop": -0.1}, "at least 0"),
    ):
        with pytest.raises(ValueError, match=words):
            Goal(**wrong)
    with pytest.raises(ValueError, match="at least one byte"):
        Goal(nbytes=0)


def test_the_smallest_that_surely_keeps_within_the_drop_is_chosen() -> None:
    large, small, lucky, seen_little = tried(900, 0), tried(500, 10), tried(300, 49), tried(100, 0, images=500)
    assert best(ONE_POINT, [large, small, lucky, seen_little], 5000) == small
    assert best(ONE_POINT, [large, small, lucky, seen_little], 5000, margin=0.0) == lucky
    assert best(ONE_POINT, [tried(300, 51)], 5000) is None


def test_the_most_accurate_within_the_bytes_is_chosen() -> None:
    goal = Goal(nbytes=400)
    assert best(goal, [tried(900, 0), tried(300, 49), tried(400, 30), tried(350, 30)], 5000) == tried(350, 30)
    assert best(goal, [tried(401, 0)], 5000) is None


@pytest.mark.parametrize("goal", [ONE_POINT, Goal(nbytes=400)], ids=["drop", "bytes"])
def test_only_what_could_not_be_chosen_is_not_tried_further(goal: Goal) -> None:
    """Whatever more images say within two standard errors: of what is dropped nothing would have been chosen."""
    for file, lost, chosen_file in itertools.product((100, 400, 500), (0, 3, 10, 40), (None, 100, 450)):
        chosen = None if chosen_file is None else tried(chosen_file, 20)
        first = tried(file, lost, images=500)
        if not may_be_chosen(goal, first, chosen):
            likely = max(0, round(10 * (lost - 1.6 * (lost + 1) ** 0.5)))
            among = [tried(file, likely), *([chosen] if chosen else [])]
            assert best(goal, among, 5000, margin=0.0) in (chosen, None)


def test_what_meets_the_goal_violates_nothing() -> None:
    for goal, each in itertools.product(
        (ONE_POINT, Goal(nbytes=400)), (tried(300, 10), tried(500, 100), tried(400, 50))
    ):
        assert (violation(goal, each) <= 0) == meets(goal, each, margin=0.0)


def test_choices_become_a_spec_that_says_what_most_layers_have_once() -> None:
    assert spec_of("net", {"a": 4, "b": 4, "c": 8, SPARSITY: 0.5}, True) == CompressionSpec(
        "net", PruneSpec(sparsity=0.5), QuantSpec(4), (LayerSpec("c", bits=8),), fold_bn=True
    )
    assert spec_of("net", {"a": 3, SPARSITY: 0.0}, False) == CompressionSpec("net", weights=QuantSpec(3))


def test_more_bits_harm_no_more_and_a_quarter_beyond_what_was_tried() -> None:
    assert harms({"a": [0.2, 0.3, 0.04]}) == {"a": pytest.approx([0.2, 0.2, 0.04, 0.01, 0.0025, 0.04 / 4**4])}
    assert harms({"a": [-0.1, -0.2, -0.3]}) == {"a": [0.0] * 6}


def test_seeds_give_bits_to_the_layer_that_needs_them_and_are_of_the_space() -> None:
    found = seeds({"large": 1000, "small": 10}, {"large": [0.0, 0.0, 0.0], "small": [0.5, 0.4, 0.3]})
    assert found[0]["small"] == 8
    assert all(each[name] in BITS for each in found for name in ("large", "small"))
    assert all(set(each) == set(space(("large", "small"))) for each in found)
    assert len({tuple(sorted(each.items())) for each in found[-6:]}) == 6


# ---- what is kept


def test_a_study_that_was_killed_asks_again_for_what_was_on_its_way(tmp_path: Path) -> None:
    def study():
        return opened(tmp_path / "studies.sqlite", "one", ("a", "b"), 0)

    first = study()
    first.enqueue_trial({"a": 3, "b": 4, SPARSITY: 0.3})
    done, lost = first.ask(space(("a", "b"))), first.ask(space(("a", "b")))
    assert done.params == {"a": 3, "b": 4, SPARSITY: 0.3}
    tell(first, done, ONE_POINT, tried(300, 7, 2))
    again = study()
    assert told(again) == [tried(300, 7, 2)]
    assert again.ask(space(("a", "b"))).params == lost.params


def test_a_damaged_file_of_studies_is_moved_aside(tmp_path: Path) -> None:
    path = tmp_path / "studies.sqlite"
    path.write_bytes(b"no database at all" * 1000)
    assert told(opened(path, "one", ("a",), 0)) == []
    assert [each.name.partition(".damaged")[0] for each in tmp_path.iterdir()].count("studies.sqlite") == 2


# ---- searches


@pytest.fixture
def searcher(here: Engine, test_images: ImageSet, tmp_path: Path, nothing_beforehand: None) -> Make:
    def make(images: ImageSet | None = None) -> Searcher:
        given = test_images[:1000] if images is None else images
        return Searcher(here, Store(tmp_path / "results.sqlite"), given, tmp_path / "studies.sqlite")

    return make


def test_what_is_found_is_what_it_says(searcher, simple_cnn, test_images):
    *_, last = searcher().follow(simple_cnn, Goal(drop=0.05), trials=12)
    assert last.done
    assert last.share == 1
    assert len(last.tried) <= 12
    assert len({each.spec for each in last.tried}) == len(last.tried)
    winner = last.winner
    assert winner.tried.file == len(to_bytes(compress(simple_cnn.module, winner.tried.spec), simple_cnn))
    assert winner.tried == best(last.goal, last.tried, 500)
    assert winner.search == winner.tried.found
    assert winner.search.correct + winner.held_back.correct == winner.whole.correct
    assert last.rival.tried == best(last.goal, last.uniform, 500, margin=0.0)
    assert "confirmed" in verdict(last)


def test_the_half_held_back_has_no_say(searcher, simple_cnn, test_images, tmp_path):
    """With other labels on it, the search finds the same; only the report is another."""
    few = test_images[:500]
    poisoned = few.labels.clone()
    poisoned[held_back_half(500)] = (poisoned[held_back_half(500)] + 1) % 10
    *_, honest = searcher(few).follow(simple_cnn, Goal(drop=0.05), trials=6)
    for path in tmp_path.glob("*.sqlite*"):
        path.unlink()
    *_, other = searcher(replace(few, labels=poisoned)).follow(simple_cnn, Goal(drop=0.05), trials=6)
    assert other.tried == honest.tried
    assert other.winner.tried == honest.winner.tried
    assert other.rival.tried == honest.rival.tried
    assert other.winner.held_back != honest.winner.held_back


def test_a_search_that_is_done_is_told_by_another_process_without_a_trial_more(searcher, simple_cnn, monkeypatch):
    *_, first = searcher().follow(simple_cnn, Goal(drop=0.05), trials=6)
    asked = Engine.ask

    def no_trial(engine: Engine, key: tuple[str, int], *arguments: object, **options: object) -> None:
        assert not key[0].startswith("costs-"), "a network is counted that is known"
        asked(engine, key, *arguments, **options)

    monkeypatch.setattr(Engine, "ask", no_trial)
    *_, again = searcher().follow(simple_cnn, Goal(drop=0.05), trials=6)
    assert again.tried == first.tried
    assert again.winner.tried == first.winner.tried


def test_a_search_that_nobody_looks_at_rests_and_goes_on_when_it_is_wanted(searcher, simple_cnn):
    one = searcher()
    one.look(simple_cnn, ONE_POINT, trials=8)
    time.sleep(0.3)
    one.look(simple_cnn, ONE_POINT, trials=8, go=False)
    time.sleep(1.0)
    resting = one.look(simple_cnn, ONE_POINT, trials=8, go=False)
    time.sleep(0.5)
    assert one.look(simple_cnn, ONE_POINT, trials=8, go=False) == resting
    assert not resting.done
    *_, last = one.follow(simple_cnn, ONE_POINT, trials=8)
    assert last.done


def test_what_goes_wrong_is_said(searcher, simple_cnn, monkeypatch):
    monkeypatch.setattr(
        "compression.searching.opened", lambda *_: (_ for _ in ()).throw(OSError("no room on the disk"))
    )
    with pytest.raises(EngineError, match="no room on the disk"):
        list(searcher().follow(simple_cnn, ONE_POINT, trials=2))


# ---- words


def report(file: int, search: OnHalf, held_back: OnHalf) -> Report:
    whole = evaluation("+" * held_back.correct + "-" * (held_back.images - held_back.correct))
    return Report(Tried(FLOAT, file, search), search, held_back, whole)


GOOD, BAD = OnHalf(5000, 4600, 20, 0), OnHalf(5000, 4500, 120, 20)


@pytest.mark.parametrize(
    ("winner", "rival", "words"),
    [
        (
            report(80, GOOD, GOOD),
            report(100, GOOD, GOOD),
            "It won: its file is 20.0 % smaller than that of the best uniform",
        ),
        (report(80, GOOD, GOOD), report(100, GOOD, GOOD), "it loses 0.40 points: confirmed"),
        (report(80, GOOD, BAD), report(100, GOOD, GOOD), "it loses 2.00 points, more than 1: not confirmed"),
        (report(100, GOOD, GOOD), report(100, GOOD, GOOD), "The search did not beat the best uniform network"),
        (report(80, GOOD, GOOD), None, "No uniform network is within 1 points of float, and this one is"),
        (None, report(100, GOOD, GOOD), "Nothing that was tried is within 1 points of float: a uniform network is"),
        (None, None, "nor is a uniform network"),
    ],
)
def test_the_verdict_says_what_came_of_it(winner, rival, words):
    reading = SearchReading(ONE_POINT, (), (), None, None, "", 1.0, winner=winner, rival=rival, done=True)
    assert words in verdict(reading)


# ---- the command


def test_killed_and_begun_again_the_command_tries_nothing_twice(tmp_path, monkeypatch, test_images):
    monkeypatch.setenv("SQUEEZELAB_RESULTS", str(tmp_path / "results.sqlite"))
    studies, out = tmp_path / "studies.sqlite", tmp_path / "recipe.json"
    options = ["--model", NAME, "--drop", "5", "--trials", "8", "--studies", str(studies), "--out", str(out)]

    def search() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "compression", "search", *options],
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def done() -> list[tuple[int]]:
        try:
            with closing(sqlite3.connect(f"file:{studies}?mode=ro", uri=True)) as database:
                return database.execute("SELECT number FROM trials WHERE state = 'COMPLETE' ORDER BY number").fetchall()
        except sqlite3.OperationalError:
            return []

    process = search()
    deadline = time.monotonic() + 200
    while len(done()) < 2:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = done()
    said, errors = search().communicate(timeout=300)
    assert "best uniform" in said, errors
    assert done()[: len(before)] == before
    assert len(done()) == 8
    assert CompressionSpec(NAME).to_json()[:20] in out.read_text()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--drop", "-1"], "the drop must be at least 0"),
        (["--bytes", "0"], "a file has at least one byte"),
        (["--drop", "1", "--trials", "0"], "--trials must be at least 1"),
    ],
    ids=str,
)
def test_wrong_options_are_refused_in_words(options, words):
    command = [sys.executable, "-m", "compression", "search", "--model", NAME, *options]
    process = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=100)
    assert process.returncode == 2
    assert words in process.stderr
