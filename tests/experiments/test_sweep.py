"""A sweep has the results of evaluating one spec after the other, measures each once, and survives kills."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest
import torch

from compression.__main__ import main
from compression.core.compress import compress
from compression.data.images import ImageSet
from compression.engine.cluster import ADDRESS, Engine
from compression.engine.evaluator import Evaluator
from compression.evaluation.evaluation import evaluate, flips
from compression.experiments.sweeper import Sweeper
from compression.files.packed_file import to_bytes
from compression.results.costs import costs
from compression.results.store import Key, Store
from compression.results.table import results_table, write_table
from compression.spec import CompressionSpec, LayerSpec, PruneSpec, QuantSpec, Scheme, Scope, Structure
from compression.spec.grid import grid, prune_specs
from tests.conftest import PROJECT

IMAGES = 500
FLOAT = CompressionSpec("simple_cnn")
SPECS = grid("simple_cnn", (None, 4, 3), prune_specs((0.0, 0.5)))
SEVEN = grid("simple_cnn", (None, 8, 6, 5, 4, 3, 2), prune_specs((0.0,)))
Make = Callable[..., Sweeper]


@pytest.fixture
def sweeper(here: Engine, test_images: ImageSet, tmp_path: Path) -> Make:
    """Makes sweepers of the engine that all tests share, of the first 500 images, with an empty store."""

    def make(images: int = IMAGES) -> Sweeper:
        store = Store(tmp_path / "results.sqlite")
        return Sweeper(here, store, Evaluator(here, store, test_images[:images]))

    return make


# ---- grids


def test_a_grid_has_each_combination_once_and_starts_with_the_float_network() -> None:
    specs = grid("net", (None, 4), prune_specs((0.0, 0.5)), (Scheme.SYMMETRIC, Scheme.TERNARY))
    assert specs == (
        CompressionSpec("net"),
        CompressionSpec("net", PruneSpec(sparsity=0.5)),
        CompressionSpec("net", weights=QuantSpec(4)),
        CompressionSpec("net", PruneSpec(sparsity=0.5), QuantSpec(4)),
        CompressionSpec("net", weights=QuantSpec(2, Scheme.TERNARY)),
        CompressionSpec("net", PruneSpec(sparsity=0.5), QuantSpec(2, Scheme.TERNARY)),
    )


def test_a_grid_without_float_bits_has_the_float_network_all_the_same() -> None:
    assert grid("net", (8,)) == (CompressionSpec("net"), CompressionSpec("net", weights=QuantSpec(8)))


def test_structures_that_set_their_own_sparsity_occur_once() -> None:
    assert prune_specs((0.3, 0.5), ("2:4", "filter"), Scope.LAYER) == (
        PruneSpec(structure=Structure.N_M, pattern=(2, 4)),
        PruneSpec(sparsity=0.3, scope=Scope.LAYER, structure=Structure.FILTER),
        PruneSpec(sparsity=0.5, scope=Scope.LAYER, structure=Structure.FILTER),
    )


def test_a_grid_of_invalid_specs_is_refused() -> None:
    with pytest.raises(ValueError, match="bits must be"):
        grid("net", (99,))


# ---- results


def test_a_sweep_finds_what_evaluating_one_by_one_finds(sweeper, simple_cnn, test_images):
    *_, last = sweeper().follow({"simple_cnn": simple_cnn}, SPECS)
    assert [each.spec for each in last.results] == list(SPECS)
    assert last.share == 1
    for each in last.results:
        compressed = compress(simple_cnn.module, each.spec)
        expected = evaluate(compressed.module, test_images[:IMAGES], simple_cnn.normalization)
        assert torch.equal(each.evaluation.predictions, expected.predictions)
        assert each.costs == costs(simple_cnn, each.spec)
        assert each.costs.nonzero == compressed.nonzero


def test_costs_are_those_of_the_file_that_is_written(simple_cnn, tmp_path):
    spec = CompressionSpec("simple_cnn", PruneSpec(sparsity=0.5), QuantSpec(4))
    sizes = costs(simple_cnn, spec)
    assert sizes.file == len(to_bytes(compress(simple_cnn.module, spec), simple_cnn))
    assert sizes.coded < sizes.file < sizes.sparse + 2_000
    assert sizes.float32 == 4 * simple_cnn.parameters
    assert sizes.bit_operations == 4 * 32 * sizes.macs


def test_a_complete_sweep_measures_nothing_again(sweeper, simple_cnn, monkeypatch):
    first = list(sweeper().follow({"simple_cnn": simple_cnn}, SPECS))[-1]
    monkeypatch.setattr(Engine, "ask", lambda *_, **__: pytest.fail("asked for work"))
    again = sweeper().look({"simple_cnn": simple_cnn}, SPECS)
    assert again.done
    assert [each.costs for each in again.results] == [each.costs for each in first.results]
    assert all(
        torch.equal(one.evaluation.predictions, other.evaluation.predictions)
        for one, other in zip(again.results, first.results, strict=True)
    )


def test_a_look_without_go_asks_for_nothing(sweeper, simple_cnn, here):
    reading = sweeper().look({"simple_cnn": simple_cnn}, SPECS, go=False)
    assert (reading.results, reading.share, reading.seconds_left, reading.done) == ((), 0, None, False)
    time.sleep(0.2)
    assert sweeper().look({"simple_cnn": simple_cnn}, SPECS, go=False).results == ()


def test_a_spec_that_fails_is_reported_and_the_others_go_on(sweeper, simple_cnn):
    wrong = CompressionSpec("simple_cnn", layers=(LayerSpec("no such layer", 4),))
    *_, last = sweeper().follow({"simple_cnn": simple_cnn}, [FLOAT, wrong, SPECS[-1]])
    assert [each.spec for each in last.results] == [FLOAT, SPECS[-1]]
    assert "no such layer" in last.failures[wrong]
    assert last.done


def test_a_spec_that_occurs_twice_is_measured_once(sweeper, simple_cnn):
    *_, last = sweeper().follow({"simple_cnn": simple_cnn}, [FLOAT, FLOAT])
    assert last.specs == (FLOAT,)


# ---- the store


def test_stored_costs_are_read_and_those_of_other_code_are_not(tmp_path, simple_cnn, monkeypatch):
    store, key = Store(tmp_path / "results.sqlite"), Key.of(simple_cnn, FLOAT)
    assert store.get_costs(key) is None
    sizes = costs(simple_cnn, FLOAT)
    store.put_costs(key, sizes)
    assert store.get_costs(key) == Store(tmp_path / "results.sqlite").get_costs(key) == sizes
    assert store.get_costs(Key.of(simple_cnn, SPECS[-1])) is None
    monkeypatch.setattr("compression.results.store.counting", lambda: "other code")
    assert store.get_costs(key) is None


def test_damaged_costs_are_counted_again(tmp_path, simple_cnn):
    store, key = Store(tmp_path / "results.sqlite"), Key.of(simple_cnn, FLOAT)
    store.put_costs(key, costs(simple_cnn, FLOAT))
    for text in ("", "{", '{"weights": 1}', "[]", "null"):
        with closing(sqlite3.connect(store.path)) as database, database:
            database.execute("UPDATE costs SET costs = ?", (text,))
        assert store.get_costs(key) is None


# ---- tables


def test_a_table_has_the_numbers_of_its_results(sweeper, simple_cnn, tmp_path):
    *_, last = sweeper().follow({"simple_cnn": simple_cnn}, SPECS)
    for suffix, reader in ((".csv", pd.read_csv), (".parquet", pd.read_parquet)):
        write_table(tmp_path / f"table{suffix}", results_table(last.results, last.before))
        rows = reader(tmp_path / f"table{suffix}")
        assert list(rows["spec"]) == [spec.to_json() for spec in SPECS]
        assert list(rows["correct"]) == [each.evaluation.correct for each in last.results]
        assert list(rows["file_bytes"]) == [each.costs.file for each in last.results]
        change = flips(last.results[0].evaluation, last.results[-1].evaluation)
        assert rows.iloc[-1][["lost", "won"]].tolist() == [change.lost, change.won]
        assert rows.iloc[-1]["p"] == pytest.approx(change.p)
        assert list(rows["bits"]) == [32, 32, 4, 4, 3, 3]


def test_a_table_with_another_suffix_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"must end in \.parquet or \.csv, got 'table\.xls'"):
        write_table(tmp_path / "table.xls", pd.DataFrame())


# ---- the command


def sweep(out: Path, *options: str, cluster: str) -> subprocess.Popen[str]:
    """Starts the command on the workers of the scheduler `cluster`, or on workers of its own if that is empty."""
    command = [sys.executable, "-m", "compression", "sweep", "--model", "simple_cnn", "--out", str(out)]
    return subprocess.Popen(
        [*command, *options],
        cwd=PROJECT,
        env=os.environ | {ADDRESS: cluster},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def read_rows(path: Path) -> list[tuple[str, str]]:
    """Returns the spec and the row number of all stored evaluations."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            return database.execute("SELECT spec, rowid FROM results ORDER BY rowid").fetchall()
    except sqlite3.OperationalError:
        return []


def test_a_sweep_killed_three_times_continues_and_measures_nothing_twice(
    tmp_path, monkeypatch, sweeper, simple_cnn, here
):
    """The first time, its workers are killed with it. Later it uses those of the tests, which have started already."""
    *_, at_once = sweeper(1_000).follow({"simple_cnn": simple_cnn}, SEVEN)
    results = tmp_path / "kept" / "results.sqlite"
    monkeypatch.setenv("SQUEEZELAB_RESULTS", str(results))
    options = ("--sparsity", "0", "--images", "1000")
    rows: list[tuple[str, str]] = []
    for cluster in ("", here._workers.address, here._workers.address):
        process = sweep(tmp_path / "table.csv", *options, cluster=cluster)
        deadline = time.monotonic() + 100
        while len(read_rows(results)) < len(rows) + 1:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        now = read_rows(results)
        assert now[: len(rows)] == rows  # nothing replaced what was stored before
        rows = now
    last = sweep(tmp_path / "table.csv", *options, cluster=here._workers.address)
    output, errors = last.communicate(timeout=200)
    assert "7 of 7" in output, errors
    assert read_rows(results)[: len(rows)] == rows
    specs = [spec for spec, _ in read_rows(results)]
    assert len(specs) == len(set(specs)) == 7
    write_table(tmp_path / "at once.csv", results_table(at_once.results, at_once.before))
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "table.csv"), pd.read_csv(tmp_path / "at once.csv"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--bits", "four"), "--bits must be numbers separated by commas, got 'four'"),
        (("--scheme", "best"), "--scheme must be one of symmetric"),
        (("--images", "0"), "--images must be in 1..10,000"),
        (("--specs", "nowhere.jsonl"), "nowhere.jsonl"),
    ],
    ids=str,
)
def test_wrong_options_are_refused(tmp_path, capsys, options, words):
    out = str(tmp_path / "table.csv")
    assert main(["sweep", "--model", "simple_cnn", "--out", out, *options]) == 2
    assert words in capsys.readouterr().err
