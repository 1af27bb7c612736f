"""The store: kept results are read unchanged by everyone, and no fault of the file reaches the caller."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from compression.data.cifar10 import TEST
from compression.data.images import ImageSet
from compression.evaluation.evaluation import Evaluation, evaluate
from compression.networks.model import FloatModel
from compression.results import database
from compression.results.provenance import arithmetic
from compression.results.store import Key, Store
from compression.spec import CompressionSpec, LayerSpec, PruneSpec, QuantSpec
from tests.conftest import PROJECT

COUNT = 1_001
LABELS = torch.arange(COUNT) % 10


def images_of(labels: Tensor) -> ImageSet:
    """Returns black images with these labels."""
    return ImageSet(torch.zeros(1, *TEST.shape, dtype=torch.uint8).expand(len(labels), -1, -1, -1), labels, "", TEST)


IMAGES = images_of(LABELS)


def key(number: int = 0) -> Key:
    return Key("weights", f"spec {number}", "data", "arithmetic")


def evaluation(seed: int = 0, count: int = COUNT, margins: bool = True) -> Evaluation:
    """Returns a made-up evaluation, whose margins are exact in half precision."""
    generator = torch.Generator().manual_seed(seed)
    return Evaluation(
        predictions=torch.randint(0, 10, (count,), generator=generator).to(torch.uint8),
        labels=torch.arange(count) % 10,
        classes=TEST.classes,
        in_top5=count // 2,
        loss_sum=count / 3 + seed,
        margins=torch.rand(count, generator=generator).half().float() if margins else None,
    )


def same(one: Evaluation | None, other: Evaluation | None) -> bool:
    if one is None or other is None or (one.in_top5, one.loss_sum) != (other.in_top5, other.loss_sum):
        return False
    tensors = [(one.predictions, other.predictions), (one.labels, other.labels), (one.margins, other.margins)]
    return all((a is None and b is None) or (a.dtype == b.dtype and torch.equal(a, b)) for a, b in tensors)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "data" / "results.sqlite")


@pytest.fixture
def full(store: Store) -> Store:
    """Returns a store with the evaluations 0 to 9."""
    for number in range(10):
        store.put(key(number), evaluation(number))
    assert numbers_in(store) == set(range(10))
    return store


def numbers_in(store: Store, numbers: range = range(10)) -> set[int]:
    """Returns the numbers whose evaluation the store returns; checks that it is the right one."""
    evaluations = {number: store.get(key(number), IMAGES) for number in numbers}
    assert all(one is None or same(one, evaluation(number)) for number, one in evaluations.items())
    return {number for number, one in evaluations.items() if one}


def sql(store: Store, statement: str) -> list[tuple]:
    with closing(sqlite3.connect(store.path, isolation_level=None)) as database:
        return database.execute(statement).fetchall()


def aside(store: Store) -> list[str]:
    """Returns the names of files that were moved aside, without their times."""
    names = [path.name for path in store.path.parent.iterdir() if ".damaged-" in path.name]
    return sorted(re.sub(r"damaged-\d{8}-\d{6}-\d{6}", "damaged", name) for name in names)


# ---- what is read


@pytest.mark.parametrize("margins", [True, False])
@pytest.mark.parametrize("count", [0, 1, 2, COUNT])
def test_a_kept_evaluation_is_read_unchanged(store: Store, count: int, margins: bool) -> None:
    original = evaluation(3, count, margins)
    store.put(key(), original)
    assert same(store.get(key(), IMAGES[:count]), original)
    assert store.problem is None


def test_a_real_evaluation_is_read_again(store: Store, simple_cnn: FloatModel) -> None:
    pixels = torch.randint(0, 256, (COUNT, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    measured = evaluate(simple_cnn.module, ImageSet(pixels, LABELS, "made up", TEST), simple_cnn.normalization)
    store.put(key(), measured)
    result = store.get(key(), IMAGES)
    assert result is not None
    assert (result.accuracy, result.top5, result.loss) == (measured.accuracy, measured.top5, measured.loss)
    assert (result.interval, result.per_class) == (measured.interval, measured.per_class)
    torch.testing.assert_close(result.margins, measured.margins, rtol=2**-11, atol=2**-25)


@pytest.mark.parametrize("loss_sum", [float("nan"), float("inf"), 0.1 + 0.2, 1e-300])
def test_the_loss_is_read_to_the_last_bit(store: Store, loss_sum: float) -> None:
    store.put(key(), replace(evaluation(), loss_sum=loss_sum))
    result = store.get(key(), IMAGES)
    assert result is not None
    assert repr(result.loss_sum) == repr(loss_sum)


def test_a_prediction_takes_four_bits_and_a_margin_sixteen(store: Store) -> None:
    predictions = torch.arange(10_000).remainder(10).to(torch.uint8)
    store.put(key(), Evaluation(predictions, torch.zeros(10_000).long(), TEST.classes, 5_000, 1.0, torch.ones(10_000)))
    assert sql(store, "SELECT length(predictions), length(margins), images, correct FROM results") == [
        (5_000, 20_000, 10_000, 1_000)
    ]
    assert sql(store, "SELECT substr(predictions, 1, 5) FROM results") == [(bytes([0x01, 0x23, 0x45, 0x67, 0x89]),)]


def test_a_row_has_the_time_when_it_was_written(store: Store) -> None:
    store.put(key(), evaluation())
    assert sql(store, "SELECT abs(julianday('now') - julianday(made)) < 1.0 / 24 / 60 FROM results") == [(1,)]


def test_a_later_evaluation_replaces_an_earlier_one(store: Store) -> None:
    store.put(key(), evaluation(1))
    store.put(key(), evaluation(2))
    assert same(store.get(key(), IMAGES), evaluation(2))


def test_another_store_of_the_same_file_finds_it(full: Store) -> None:
    assert numbers_in(Store(full.path)) == set(range(10))


def test_reading_a_missing_store_creates_no_file(store: Store) -> None:
    assert store.get(key(), IMAGES) is None
    assert store.problem is None
    assert not store.path.parent.exists()


# ---- the key


def test_each_part_of_the_key_matters(store: Store) -> None:
    store.put(key(), evaluation())
    for part in ("weights", "spec", "data", "arithmetic"):
        assert store.get(replace(key(), **{part: "other"}), IMAGES) is None
    assert same(store.get(key(), IMAGES), evaluation())


def test_two_names_of_the_same_weights_share_results(simple_cnn: FloatModel) -> None:
    quantized = CompressionSpec("simple_cnn", weights=QuantSpec(4))
    result = Key.of(simple_cnn, quantized)
    assert Key.of(replace(simple_cnn, name="mine"), replace(quantized, model="mine")) == result
    assert (result.weights, result.data, result.arithmetic) == (simple_cnn.digest, TEST.fingerprint, arithmetic())


def test_other_specs_and_other_images_have_other_keys(simple_cnn: FloatModel) -> None:
    specs = [
        CompressionSpec("m"),
        CompressionSpec("m", PruneSpec(threshold=0.5)),
        CompressionSpec("m", PruneSpec(sparsity=0.5)),
        CompressionSpec("m", weights=QuantSpec(4)),
        CompressionSpec("m", layers=(LayerSpec("fc1", 4),)),
        CompressionSpec("m", fold_bn=True),
    ]
    keys = {Key.of(simple_cnn, spec) for spec in specs} | {Key.of(simple_cnn, specs[0], "other images")}
    assert len(keys) == len(specs) + 1


# ---- a damaged row


@pytest.mark.parametrize(
    "change",
    [
        "correct = correct + 1",
        "images = images - 1",
        "in_top5 = in_top5 + 1",
        "loss_sum = loss_sum + 1",
        "loss_sum = NULL",
        "predictions = substr(predictions, 2)",
        "predictions = substr(predictions, 1, 500) || x'00'",
        "predictions = NULL",
        "predictions = CAST(x'ff' AS TEXT)",
        "margins = substr(margins, 3)",
        "margins = NULL",
        "margins = 'text'",
        "checksum = checksum + 1",
        "checksum = NULL",
        "images = -5",
    ],
)
def test_a_damaged_row_is_absent_and_deleted(full: Store, change: str) -> None:
    assert sql(full, f"UPDATE results SET {change} WHERE spec = 'spec 4' RETURNING spec") == [("spec 4",)]
    assert numbers_in(full) == set(range(10)) - {4}
    assert sql(full, "SELECT count(*) FROM results") == [(9,)]
    full.put(key(4), evaluation(4))
    assert numbers_in(full) == set(range(10))
    assert full.problem is None


def test_a_row_under_a_wrong_key_is_absent(store: Store) -> None:
    store.put(key(1), evaluation(1))
    sql(store, "UPDATE results SET spec = 'spec 2'")
    assert store.get(key(2), IMAGES) is None


@pytest.mark.parametrize("labels", [LABELS[:-1], torch.cat([LABELS, LABELS[:1]]), (LABELS + 1) % 10, LABELS[:0]])
def test_a_row_of_other_labels_is_absent_and_deleted(full: Store, labels: Tensor) -> None:
    assert full.get(key(4), images_of(labels)) is None
    assert numbers_in(full) == set(range(10)) - {4}


# ---- a damaged file


def overwrite(path: Path, at: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(content)


GARBAGE = bytes(range(128, 256)) * 2


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: overwrite(path, 0, GARBAGE),
        lambda path: overwrite(path, 16, b"\0\0"),
        lambda path: overwrite(path, 100, GARBAGE),
        lambda path: [overwrite(path, at, GARBAGE) for at in range(0, path.stat().st_size, 4096)],
        lambda path: path.write_bytes(path.read_bytes()[:4096]),
        lambda path: path.write_bytes(path.read_bytes()[:50]),
        lambda path: path.write_text("These are no results but a letter. " * 1000),
    ],
    ids=["its name", "its page size", "its schema", "every page", "one page left", "fifty bytes left", "a letter"],
)
@pytest.mark.parametrize("first", ["get", "put"])
def test_a_damaged_file_is_moved_aside_with_a_notice_and_results_are_kept_in_a_new_one(
    full: Store, damage: Callable[[Path], object], first: str
) -> None:
    damage(full.path)
    content = full.path.read_bytes()
    if first == "get":
        assert full.get(key(1), IMAGES) is None
    else:
        full.put(key(1), evaluation(1))
    assert aside(full) == ["results.sqlite.damaged"]
    (moved,) = full.path.parent.glob("*.damaged-*")
    assert full.problem == f"{full.path} was damaged. It is now {moved.name}, and a new file was created."
    assert moved.read_bytes() == content
    full.put(key(2), evaluation(2))
    assert full.problem is None
    assert numbers_in(full) == ({1, 2} if first == "put" else {2})


def test_garbage_anywhere_in_the_file_never_gives_a_wrong_result(full: Store) -> None:
    """Garbage in a row loses one or two rows; garbage in the index of pages loses all rows."""
    whole = full.path.read_bytes()
    outcomes = set()
    for at in (3738, *range(0, len(whole), 997)):  # at 3738, SQLite's message has bytes that are not UTF-8
        full.path.write_bytes(whole)
        overwrite(full.path, at, GARBAGE)
        outcomes.add(len(numbers_in(full)))
        full.put(key(0), evaluation(0))
        full.put(key(99), evaluation(99))
        assert numbers_in(full, range(100)) >= {0, 99}
    assert {0, 9} <= outcomes


@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal"])
def test_garbage_beside_the_file_does_no_harm(full: Store, suffix: str) -> None:
    Path(f"{full.path}{suffix}").write_bytes(GARBAGE * 200)
    assert numbers_in(full) == set(range(10))
    full.put(key(10), evaluation(10))
    assert numbers_in(full, range(11)) == set(range(11))
    assert full.problem is None


def test_an_empty_file_is_an_empty_store(store: Store) -> None:
    store.path.parent.mkdir()
    store.path.touch()
    assert store.get(key(), IMAGES) is None
    store.put(key(), evaluation())
    assert same(store.get(key(), IMAGES), evaluation())
    assert store.problem is None
    assert not aside(store)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("PRAGMA user_version = 2", "was written by another version of the laboratory"),
        ("PRAGMA user_version = 0", "was written by another version of the laboratory"),
        ("ALTER TABLE results RENAME TO outcomes", "was damaged"),
        ("ALTER TABLE results RENAME COLUMN margins TO edges", "was damaged"),
    ],
)
def test_a_file_with_another_schema_is_moved_aside_with_its_companions(full: Store, statement: str, words: str) -> None:
    """The last rows are in the write-ahead log as long as another connection reads."""
    with open_reader(full) as reader:
        full.put(key(10), evaluation(10))
        sql(full, statement)
        full.put(key(1), evaluation(1))
        assert aside(full) == [f"results.sqlite.damaged{suffix}" for suffix in ("", "-shm", "-wal")]
        assert full.problem is not None
        assert full.problem.startswith(f"{full.path} {words}. It is now results.sqlite.damaged-")
        copy = full.path.with_name("copy")
        for suffix in ("", "-wal"):
            (moved,) = full.path.parent.glob(f"*.damaged-*[0-9]{suffix}")
            shutil.copy(moved, f"{copy}{suffix}")
        assert reader.execute("SELECT count(*) FROM results").fetchall() == [(10,)]
    assert numbers_in(full, range(11)) == {1}
    assert len(sql(Store(copy), f"SELECT * FROM {'outcomes' if 'outcomes' in statement else 'results'}")) == 11


@contextmanager
def open_reader(store: Store) -> Iterator[sqlite3.Connection]:
    """Opens another connection that is reading."""
    with closing(sqlite3.connect(store.path, isolation_level=None, check_same_thread=False)) as database:
        database.execute("BEGIN")
        database.execute("SELECT count(*) FROM results").fetchall()
        yield database


def test_results_are_kept_while_another_moves_the_file_aside(full: Store) -> None:
    with open_reader(full), open_reader(full) as other:
        full.put(key(10), evaluation(10))
        for suffix in ("-wal", "-shm", ""):
            os.rename(f"{full.path}{suffix}", f"{full.path}.damaged-20990101{suffix}")
        assert full.get(key(1), IMAGES) is None
        full.put(key(1), evaluation(1))
        assert numbers_in(full) == {1}
        other.close()
        assert numbers_in(full) == {1}
    full.put(key(2), evaluation(2))
    assert numbers_in(full) == {1, 2}
    assert full.problem is None


def test_threads_that_find_the_damage_at_once_move_it_aside_once_and_lose_nothing_else(
    full: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "PATIENCE_SECONDS", 60)  # that is lost which waits longer, on a machine that is busy
    for _ in range(20):
        full.path.write_bytes(GARBAGE * 100)
        stores = [Store(full.path) for _ in range(8)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda store, number: store.put(key(number), evaluation(number)), stores, range(8)))
        assert numbers_in(full) == set(range(8))
        assert any(store.problem for store in stores)
        assert all(store.problem is None or "was damaged. It is now" in store.problem for store in stores)


# ---- a place that cannot be written


@pytest.mark.parametrize("count", [0, 5_000, 20_000, 33_000, 60_000])
def test_a_full_disk_is_reported_and_costs_only_the_row_being_written(
    full: Store, room_for: Callable[[int], None], count: int
) -> None:
    room_for(count)
    for number in range(10, 40):
        full.put(key(number), evaluation(number))
    assert full.problem == "Results cannot be kept: the disk is full or fails."
    room_for(-1)
    survivors = numbers_in(full, range(40))
    assert set(range(10)) <= survivors < set(range(40))
    assert full.problem == "Results cannot be kept: the disk is full or fails."  # until one is kept
    full.put(key(39), evaluation(39))
    assert full.problem is None
    assert numbers_in(full, range(40)) == survivors | {39}
    assert not aside(full)


def test_a_full_disk_is_reported_before_there_is_a_file(store: Store, room_for: Callable[[int], None]) -> None:
    room_for(1_000)
    store.put(key(), evaluation())
    assert store.problem == "Results cannot be kept: the disk is full or fails."
    room_for(-1)
    store.put(key(), evaluation())
    assert store.problem is None
    assert same(store.get(key(), IMAGES), evaluation())


@pytest.fixture
def locked() -> Iterator[Store]:
    """Returns a store in a folder that can be read but not written."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "results.sqlite")
        store.put(key(), evaluation())
        os.chmod(folder, 0o555)
        yield store
        os.chmod(folder, 0o755)


def test_a_folder_that_cannot_be_written_is_reported_and_gives_what_it_holds(locked: Store, as_nobody: None) -> None:
    locked.put(key(1), evaluation(1))
    assert locked.problem == f"Results cannot be kept: {locked.path} cannot be opened for writing."
    assert same(locked.get(key(), IMAGES), evaluation())
    assert locked.get(key(1), IMAGES) is None


def test_a_file_that_cannot_be_written_gives_what_it_holds(locked: Store, request: pytest.FixtureRequest) -> None:
    locked.path.chmod(0o444)
    locked.path.parent.chmod(0o777)
    request.getfixturevalue("as_nobody")
    assert same(locked.get(key(), IMAGES), evaluation())
    locked.put(key(1), evaluation(1))
    assert locked.problem == f"Results cannot be kept: {locked.path} cannot be opened for writing."


def test_a_damaged_file_that_cannot_be_moved_aside_is_reported(locked: Store, request: pytest.FixtureRequest) -> None:
    locked.path.write_bytes(GARBAGE)
    request.getfixturevalue("as_nobody")
    words = f"{locked.path} was damaged and cannot be moved aside (Permission denied)"
    locked.put(key(1), evaluation(1))
    assert locked.problem == f"Results cannot be kept: {words}."
    assert locked.get(key(), IMAGES) is None
    assert locked.problem == f"Kept results cannot be read: {words}."


def test_a_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    store = Store(tmp_path / "data" / "results.sqlite")
    store.put(key(), evaluation())
    assert store.problem == f"Results cannot be kept: {tmp_path / 'data'}: File exists."
    assert store.get(key(), IMAGES) is None


def test_a_folder_in_the_place_of_the_file_is_reported(store: Store) -> None:
    store.path.mkdir(parents=True)
    assert store.get(key(), IMAGES) is None
    store.put(key(), evaluation())
    assert store.problem == f"Results cannot be kept: {store.path} cannot be opened for writing."


# ---- many at once


def test_a_locked_file_is_reported_within_two_seconds(full: Store) -> None:
    with closing(sqlite3.connect(full.path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN IMMEDIATE")
        start = time.monotonic()
        full.put(key(10), evaluation(10))
        assert 1 < time.monotonic() - start < 2.2
        assert full.problem == f"Results cannot be kept: another program keeps {full.path} locked."
        start = time.monotonic()
        assert full.get(key(1), IMAGES) is None
        assert time.monotonic() - start < 2.2
        assert full.problem == f"Kept results cannot be read: another program keeps {full.path} locked."
    assert numbers_in(full, range(11)) == set(range(10))
    full.put(key(10), evaluation(10))
    assert full.problem is None


def test_results_are_read_while_another_connection_writes(full: Store) -> None:
    with closing(sqlite3.connect(full.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("DELETE FROM results")
        assert numbers_in(full) == set(range(10))


def test_a_short_lock_is_waited_for(full: Store) -> None:
    with closing(sqlite3.connect(full.path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        later = threading.Timer(0.6, lambda: other.execute("COMMIT"))
        later.start()
        full.put(key(10), evaluation(10))
        later.join()
    assert full.problem is None
    assert numbers_in(full, range(11)) == set(range(11))


def test_threads_share_a_store(store: Store) -> None:
    def keep(number: int) -> bool:
        store.put(key(number), evaluation(number))
        return same(store.get(key(number), IMAGES), evaluation(number))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(keep, range(100)))
    assert store.problem is None
    assert numbers_in(store, range(100)) == set(range(100))


def python(script: str, *arguments: object) -> subprocess.Popen:
    head = "import sys\nfrom compression.results.store import Store\nfrom tests.results.test_store import *\n"
    command = [sys.executable, "-c", head + script, *map(str, arguments)]
    return subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


WRITER = """
print("ready", flush=True)
sys.stdin.readline()
store, problems = Store(Path(sys.argv[1])), set()
for number in range(int(sys.argv[2]), 120, 2):
    store.put(key(number), evaluation(number))
    problems.add(store.problem)
print(problems)
"""


def test_two_processes_that_write_at_once_lose_nothing(store: Store) -> None:
    """They also create the file at the same time."""
    writers = [python(WRITER, store.path, first) for first in (0, 1)]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    assert [writer.communicate()[0] for writer in writers] == ["{None}\n", "{None}\n"]
    assert numbers_in(store, range(120)) == set(range(120))


KILLER = """
import random, signal
torch.set_num_threads(1)  # a fork would wait forever for the other threads
path = Path(sys.argv[1])
kills = rows = 0
chance = random.Random(0)
evaluations = [evaluation(number, 50_000) for number in range(20)]
until = time.monotonic() + 4
while time.monotonic() < until or min(kills, rows) <= 20:  # a busy machine takes longer
    if kills % 20 == 0:
        shutil.rmtree(path.parent, ignore_errors=True)
        kept = 0
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        store = Store(path)
        for number in range(kept, 2_000):
            os.write(writer, b"." if store.problem is None else b"!")
            store.put(key(number), evaluations[number % 20])
    os.close(writer)
    reports = b"".join(os.read(reader, 1) for _ in range(chance.randint(1, 4)))
    time.sleep(chance.uniform(0, 0.004))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with open(reader) as pipe:
        reports = reports.decode() + pipe.read()
    assert "!" not in reports, reports
    before, kept = kept, kept + len(reports) - 1
    store = Store(path)
    for number in range(before, kept):
        there = evaluations[number % 20]
        assert same(store.get(key(number), images_of(there.labels)), there)
    assert store.problem is None, store.problem
    if path.exists():
        assert sql(store, "PRAGMA integrity_check") == [("ok",)]
        assert not aside(store)
    rows += kept - before
    kills += 1
print(kills, rows)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_writer_that_is_killed_at_any_moment_loses_the_row_in_flight_at_most(store: Store) -> None:
    out, _ = python(KILLER, store.path).communicate()
    kills, rows = map(int, out.split())
    assert min(kills, rows) > 20
