"""CIFAR-10 from three kinds of sources: each gives the same images, and anything that is not CIFAR-10 is refused.

A few hundred made-up images stand in for CIFAR-10. A `Split` of their own has their number and their fingerprint;
everything else is the code that reads the real images.
"""

import hashlib
import io
import os
import pickle
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import torch
from PIL import Image

from compression.data import images as data
from compression.data.cifar10 import CLASSES, TEST, TRAIN
from compression.data.images import ImageSet, load
from compression.data.sources import source_in
from compression.data.split import Records, Split, in_canonical_order, verify
from compression.errors import DataError, DataMissing
from compression.evaluation.evaluation import evaluate
from compression.networks.model import FloatModel
from compression.paths import PROJECT

COUNT = 300
RECORDS = np.random.default_rng(0).integers(0, 256, (COUNT, TEST.record_bytes), np.uint8)
RECORDS[:, 0] %= len(CLASSES)


def split_of(records: Records, name: str = "test") -> Split:
    fingerprint = hashlib.sha256(in_canonical_order(records).tobytes()).hexdigest()
    return replace(TEST, name=name, images=len(records), fingerprint=fingerprint)


SPLITS = {name: split_of(RECORDS, name) for name in ("test", "train")}
SMALL = SPLITS["test"]


def png(record: Records) -> bytes:
    file = io.BytesIO()
    Image.fromarray(record[1:].reshape(3, 32, 32).transpose(1, 2, 0)).save(file, "PNG")
    return file.getvalue()


def write_batches(root: Path, records: Records, name: str) -> None:
    """As torchvision unpacks them: one file for the test images, five for the training images."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    names = ["test_batch"] if name == "test" else [f"data_batch_{i}" for i in range(1, 6)]
    for file, part in zip(names, np.array_split(records, len(names)), strict=True):
        batch = {b"batch_label": b"made up", b"labels": part[:, 0].tolist(), b"data": part[:, 1:].copy()}
        (folder / file).write_bytes(pickle.dumps(batch, 2))


def write_parquet(root: Path, records: Records, name: str, shards: int = 3) -> None:
    folder = root / "plain_text"
    folder.mkdir(parents=True)
    for shard, part in enumerate(np.array_split(records, shards)):
        images = [{"bytes": png(record), "path": f"{i}.png"} for i, record in enumerate(part)]
        table = pyarrow.table({"img": images, "label": part[:, 0].astype(np.int64)})
        pyarrow.parquet.write_table(table, folder / f"{name}-{shard:05}-of-{shards:05}.parquet")


def write_folders(root: Path, records: Records, name: str) -> None:
    for label in CLASSES:
        (root / name / label).mkdir(parents=True)
    for number, record in enumerate(records):
        (root / name / CLASSES[record[0]] / f"{number:04}.png").write_bytes(png(record))


WRITERS: dict[str, Callable[[Path, Records, str], None]] = {
    "batches": write_batches,
    "Parquet": write_parquet,
    "class folders": write_folders,
}
each_kind = pytest.mark.parametrize("kind", WRITERS)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that CIFAR10_ROOT names."""
    folder = tmp_path / "root"
    folder.mkdir()
    monkeypatch.setenv("CIFAR10_ROOT", str(folder))
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "data"


def records_of(images: ImageSet) -> Records:
    return np.concatenate([images.labels.numpy().astype(np.uint8)[:, None], images.pixels.reshape(-1, TEST.pixels)], 1)


# ---- the same images from each kind of source


@each_kind
@pytest.mark.parametrize("name", SPLITS)
def test_every_source_gives_the_same_records(kind: str, name: str, root: Path, cache: Path) -> None:
    order = np.random.default_rng(len(kind)).permutation(RECORDS)
    WRITERS[kind](root, order, name)
    images = load(SPLITS[name], cache)
    assert np.array_equal(records_of(images), in_canonical_order(RECORDS))
    assert images.source.startswith(f"{kind} in {root}")


def test_every_source_gives_the_same_evaluation(
    root: Path, tmp_path: Path, simple_cnn: FloatModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluations = []
    for kind, write in WRITERS.items():
        write(root / kind, RECORDS, "test")
        monkeypatch.setenv("CIFAR10_ROOT", str(root / kind))
        images = load(SMALL, tmp_path / f"cache of {kind}")
        evaluations.append(evaluate(simple_cnn.module, images, simple_cnn.normalization))
    assert all(torch.equal(evaluations[0].margins, other.margins) for other in evaluations[1:])
    assert all(torch.equal(evaluations[0].predictions, other.predictions) for other in evaluations[1:])


@pytest.mark.parametrize("shards", [1, 2, 7])
def test_parquet_comes_in_any_number_of_shards(shards: int, root: Path, cache: Path) -> None:
    write_parquet(root, RECORDS, "test", shards)
    assert np.array_equal(records_of(load(SMALL, cache)), in_canonical_order(RECORDS))


def test_a_source_may_be_the_folder_itself(root: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    write_batches(root, RECORDS, "test")
    monkeypatch.setenv("CIFAR10_ROOT", str(root / "cifar-10-batches-py"))
    assert len(load(SMALL, cache)) == COUNT


def test_the_canonical_order_is_that_of_the_records_hashes() -> None:
    hashes = [hashlib.sha256(record.tobytes()).digest() for record in in_canonical_order(RECORDS)]
    assert hashes == sorted(hashes)


def test_a_record_is_the_label_then_the_planes() -> None:
    record = np.zeros((1, TEST.record_bytes), np.uint8)
    record[0, [0, 1, 1 + 1024, 1 + 2048 + 33]] = [7, 10, 20, 30]
    images = data.image_set(record, "made up", TEST)
    assert images.labels.tolist() == [7]
    assert images.pixels.shape == (1, 3, 32, 32)
    assert (images.pixels[0, 0, 0, 0], images.pixels[0, 1, 0, 0], images.pixels[0, 2, 1, 1]) == (10, 20, 30)


def test_a_slice_of_the_images_is_a_set_of_images(root: Path, cache: Path) -> None:
    write_batches(root, RECORDS, "test")
    images = load(SMALL, cache)
    assert np.array_equal(records_of(images[10:30]), in_canonical_order(RECORDS)[10:30])


def test_images_know_their_data_set_and_whether_they_are_all_of_it(root: Path, cache: Path) -> None:
    write_batches(root, RECORDS, "test")
    images = load(SMALL, cache)
    for each in (images, images[10:30]):
        assert (each.name, each.classes, each.fingerprint, each.shape) == (
            "CIFAR-10",
            CLASSES,
            SMALL.fingerprint,
            (3, 32, 32),
        )
    assert images.is_whole
    assert not images[10:30].is_whole


@pytest.mark.parametrize("count", [0, 1, 257])
def test_a_label_is_one_byte_of_at_least_two_classes(count: int) -> None:
    with pytest.raises(ValueError, match=rf"must have 2\.\.256 classes, got {count}"):
        replace(TEST, classes=("a class",) * count)


# ---- which folders are searched


def test_the_named_folder_comes_before_the_data_of_the_project(root: Path, cache: Path) -> None:
    write_batches(root, RECORDS, "test")
    write_parquet(cache / "cifar10", RECORDS, "test")
    assert load(SMALL, cache).source == f"batches in {root / 'cifar-10-batches-py'}"


def test_the_data_of_the_project_is_used_where_the_named_folder_is_empty(root: Path, cache: Path) -> None:
    write_parquet(cache / "cifar10", RECORDS, "test")
    assert load(SMALL, cache).source == f"Parquet in {cache / 'cifar10' / 'plain_text'}"


def test_the_folders_are_searched_in_order(root: Path, cache: Path) -> None:
    assert data.places(cache) == [root, cache / "cifar10", PROJECT.parent / "shared" / "cifar10"]


def test_the_error_for_missing_data_names_the_folders_and_the_command_to_run(root: Path, cache: Path) -> None:
    nowhere = replace(TEST, name="elsewhere", images=1, fingerprint="")
    with pytest.raises(DataMissing, match="python -m compression data --download elsewhere") as error_info:
        load(nowhere, cache)
    assert all(str(place) in str(error_info.value) for place in data.places(cache))


# ---- what is not CIFAR-10 is refused


def with_byte(row: int, column: int, value: int) -> Records:
    records = RECORDS.copy()
    assert records[row, column] != value
    records[row, column] = value
    return records


WRONG = {
    "one image missing": (RECORDS[1:], r"holds 299 test images where CIFAR-10 has 300: 1 missing"),
    "many missing": (RECORDS[:100], r"holds 100 test images where CIFAR-10 has 300: 200 missing"),
    "one too many": (np.concatenate([RECORDS, RECORDS[:1]]), r"holds 301 test images .* 300: 1 too many"),
    "one twice, one missing": (np.concatenate([RECORDS[1:], RECORDS[1:2]]), "pixels or labels of some differ"),
    "one relabelled": (
        with_byte(5, 0, (RECORDS[5, 0] + 1) % 10),
        "is not CIFAR-10: .* pixels or labels of some differ",
    ),
    "one pixel changed": (
        with_byte(9, 700, RECORDS[9, 700] ^ 1),
        "is not CIFAR-10: .* pixels or labels of some differ",
    ),
}


@each_kind
@pytest.mark.parametrize(("records", "words"), WRONG.values(), ids=WRONG)
def test_a_source_with_other_images_is_refused_with_the_reason(
    kind: str, records: Records, words: str, root: Path, cache: Path
) -> None:
    WRITERS[kind](root, records, "test")
    with pytest.raises(DataError, match=words):
        load(SMALL, cache)
    assert not cache.exists()


def test_counts_have_thousands_separators() -> None:
    with pytest.raises(DataError, match="holds 1 train images where CIFAR-10 has 50,000: 49,999 missing"):
        verify(RECORDS[:1], TRAIN, "this")


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("kind", "pattern", "words"),
    [
        ("batches", "**/test_batch", "test_batch is not a whole CIFAR-10 batch"),
        ("Parquet", "**/*-00001-of-*.parquet", "00001-of-00003.parquet is not a whole Parquet file"),
        ("class folders", "**/*.png", r"\.png is not a whole image"),
    ],
)
def test_a_file_cut_short_is_refused_by_name(kind: str, pattern: str, words: str, root: Path, cache: Path) -> None:
    WRITERS[kind](root, RECORDS, "test")
    truncate(next(root.glob(pattern)))
    with pytest.raises(DataError, match=words):
        load(SMALL, cache)


def one_row(image: object, label: object) -> pyarrow.Table:
    kind = pyarrow.struct([("bytes", pyarrow.binary())])
    return pyarrow.table({"img": pyarrow.array([image], kind), "label": pyarrow.array([label], pyarrow.int64())})


def small_png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (28, 28)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (one_row({"bytes": png(RECORDS[0])[:500]}, 1), "image 0 of .* is not a whole image"),
        (one_row({"bytes": b""}, 1), "image 0 of .* is not a whole image"),
        (one_row(None, 1), "image 0 of .* is not a whole image"),
        (one_row({"bytes": small_png()}, 1), "image 0 of .* is 28x28 pixels, not 32x32"),
        (one_row({"bytes": png(RECORDS[0])}, 300), r"image 0 of .* has the label 300, where CIFAR-10 has 0\.\.9"),
        (one_row({"bytes": png(RECORDS[0])}, -1), "has the label -1"),
        (one_row({"bytes": png(RECORDS[0])}, None), "has the label None"),
        (pyarrow.table({"label": [1]}), "is not a whole Parquet file: No match for .*img"),
        (pyarrow.table({"img": [1], "label": [1]}), "is not a whole Parquet file: No match for .*bytes"),
    ],
)
def test_a_parquet_file_of_something_else_is_refused(table: pyarrow.Table, words: str, root: Path, cache: Path) -> None:
    pyarrow.parquet.write_table(table, root / "test-00000-of-00001.parquet")
    with pytest.raises(DataError, match=words):
        load(SMALL, cache)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no pickle",
        pickle.dumps([1, 2]),
        pickle.dumps({b"labels": [1]}),
        pickle.dumps({b"labels": [300], b"data": RECORDS[:1, 1:]}, 2),
        pickle.dumps({b"labels": [1, 2], b"data": RECORDS[:1, 1:]}, 2),
    ],
    ids=["empty", "text", "a list", "no pixels", "label 300", "fewer images than labels"],
)
def test_a_batch_of_something_else_is_refused(content: bytes, root: Path, cache: Path) -> None:
    (root / "test_batch").write_bytes(content)
    with pytest.raises(DataError, match="test_batch is not a whole CIFAR-10 batch"):
        load(SMALL, cache)


class Evil:
    """Unpickled the usual way, it creates the file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple:
        return (open, (str(self.file), "w"))


def test_code_in_a_batch_is_refused_and_does_not_run(root: Path, cache: Path, tmp_path: Path) -> None:
    trace = tmp_path / "it ran"
    content = pickle.dumps({b"labels": [1], b"data": Evil(trace)}, 2)
    pickle.loads(content)
    assert trace.exists()  # an ordinary unpickler does run the code
    trace.unlink()
    (root / "test_batch").write_bytes(content)
    with pytest.raises(DataError, match=r"it wants to run \w+\.open"):
        load(SMALL, cache)
    assert not trace.exists()


def test_an_unreadable_folder_is_an_error_with_the_reason(root: Path, cache: Path, as_nobody: None) -> None:
    if os.getuid():
        root.chmod(0)
    with pytest.raises(DataError, match="cannot be read: Permission denied"):
        source_in(root, SMALL)


def test_an_unreadable_batch_is_an_error_with_its_name(root: Path, cache: Path) -> None:
    """A folder has the name of the file, so it cannot be read."""
    write_batches(root, RECORDS, "train")
    file = root / "cifar-10-batches-py" / "data_batch_3"
    source = source_in(root, SPLITS["train"])
    file.unlink()
    file.mkdir()
    with pytest.raises(DataError, match="data_batch_3 is not a whole CIFAR-10 batch"):
        source.read()


# ---- the cache


def test_the_second_load_reads_the_cache_and_not_the_source(root: Path, cache: Path) -> None:
    """The source is damaged, but its sizes and times are unchanged: only reading it could reveal the damage."""
    write_batches(root, RECORDS, "test")
    load(SMALL, cache)
    file = root / "cifar-10-batches-py" / "test_batch"
    stat = file.stat()
    file.write_bytes(bytes(stat.st_size))
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    again = load(SMALL, cache)
    assert np.array_equal(records_of(again), in_canonical_order(RECORDS))
    assert again.source == f"batches in {file.parent}"


def test_the_cache_is_enough_without_any_source(root: Path, cache: Path) -> None:
    nowhere = split_of(RECORDS, "elsewhere")
    write_parquet(root, RECORDS, "elsewhere")
    load(nowhere, cache)
    for file in root.rglob("*.parquet"):
        file.unlink()
    assert np.array_equal(records_of(load(nowhere, cache)), in_canonical_order(RECORDS))


def test_a_changed_source_is_read_again(root: Path, cache: Path) -> None:
    write_batches(root, RECORDS, "test")
    load(SMALL, cache)
    truncate(root / "cifar-10-batches-py" / "test_batch")
    with pytest.raises(DataError, match="is not a whole CIFAR-10 batch"):
        load(SMALL, cache)


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        flip_a_bit,
        truncate,
        Path.unlink,
        lambda path: path.write_bytes(path.read_bytes() + b"x"),
        lambda path: path.write_bytes(b""),
    ],
    ids=["one bit", "cut", "gone", "longer", "empty"],
)
def test_a_damaged_cache_is_noticed_and_built_again(damage: Callable[[Path], object], root: Path, cache: Path) -> None:
    write_batches(root, RECORDS, "test")
    load(SMALL, cache)
    array = cache / "cifar10-test.bin"
    whole = array.read_bytes()
    damage(array)
    assert np.array_equal(records_of(load(SMALL, cache)), in_canonical_order(RECORDS))
    assert array.read_bytes() == whole


@pytest.mark.parametrize("note", ["", "{", "null", "[]", "{}", '{"signature": "x"}', '{"source": "x"}'])
def test_a_damaged_note_of_the_cache_is_noticed_and_written_again(note: str, root: Path, cache: Path) -> None:
    write_batches(root, RECORDS, "test")
    load(SMALL, cache)
    file = cache / "cifar10-test.json"
    whole = file.read_text()
    file.write_text(note)
    assert load(SMALL, cache).source.startswith("batches in")
    assert file.read_text() == whole


def test_nothing_half_written_lies_beside_the_cache(root: Path, cache: Path) -> None:
    write_batches(root, RECORDS, "test")
    load(SMALL, cache)
    assert sorted(path.name for path in cache.iterdir()) == ["cifar10-test.bin", "cifar10-test.json"]


def test_the_images_are_used_even_if_no_cache_can_be_written(root: Path, cache: Path) -> None:
    write_batches(root, RECORDS, "test")
    cache.write_text("a file where the folder should be")
    images = load(SMALL, cache)
    assert np.array_equal(records_of(images), in_canonical_order(RECORDS))
    assert "(not cached: " in images.source


def test_changing_the_images_in_memory_changes_no_file(root: Path, cache: Path) -> None:
    write_batches(root, RECORDS, "test")
    load(SMALL, cache)
    load(SMALL, cache).pixels.zero_()
    assert np.array_equal(records_of(load(SMALL, cache)), in_canonical_order(RECORDS))


# ---- the real images


def test_the_real_test_images_are_all_there(test_images: ImageSet) -> None:
    assert test_images.labels.bincount().tolist() == [1000] * 10
    assert hashlib.sha256(records_of(test_images).tobytes()).hexdigest() == TEST.fingerprint


def test_the_real_parquet_is_decoded_once(test_images: ImageSet, root: Path, cache: Path) -> None:
    """The first load decodes the files into a new cache; the second load reads the cache alone."""
    folder = PROJECT.parent / "shared" / "cifar10" / "plain_text"
    files = sorted(folder.glob("test-*.parquet"))
    if not files:
        pytest.skip("there is no Parquet copy of CIFAR-10 beside the project, in shared/cifar10")
    for file in files:
        (root / file.name).symlink_to(file)
    first = load(TEST, cache)
    array = cache / "cifar10-test.bin"
    written_at = array.stat().st_mtime_ns
    second = load(TEST, cache)
    assert torch.equal(first.pixels, test_images.pixels)
    assert torch.equal(second.pixels, test_images.pixels)
    assert array.stat().st_mtime_ns == written_at


@pytest.mark.skipif(sys.platform != "linux", reason="/proc says what is in memory on Linux only")
def test_images_are_in_memory_only_where_somebody_looks(test_images: ImageSet) -> None:
    images = load()
    assert resident_bytes(images.pixels) < 0.1 * images.pixels.nbytes
    assert images.pixels[::2].equal(test_images.pixels[::2])
    assert resident_bytes(images.pixels) > 0.4 * images.pixels.nbytes


def resident_bytes(tensor: torch.Tensor) -> int:
    """Returns how much of the memory map that holds a tensor is in memory."""
    in_map = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        first, second = line.split()[:2]
        if "-" in first:
            start, end = (int(address, 16) for address in first.split("-"))
            in_map = start <= tensor.data_ptr() < end
        elif in_map and first == "Rss:":
            return 1024 * int(second)
    raise AssertionError("no map holds the tensor")
