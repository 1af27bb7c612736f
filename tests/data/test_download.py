"""Downloads from a test server on this machine: complete, resumed, refused, and never incomplete under their name."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

from compression.data.cifar10 import TEST
from compression.data.download import download
from compression.data.images import image_set, load
from compression.data.split import in_canonical_order
from compression.errors import DataError
from tests.support.hub import Hub, files

RECORDS = np.random.default_rng(1).integers(0, 10, (150, TEST.record_bytes), np.uint8)
SMALL = replace(TEST, images=150, fingerprint=hashlib.sha256(in_canonical_order(RECORDS).tobytes()).hexdigest())


def parquet(records: np.ndarray) -> bytes:
    images = []
    for record in records:
        file = io.BytesIO()
        Image.fromarray(record[1:].reshape(3, 32, 32).transpose(1, 2, 0)).save(file, "PNG")
        images.append({"bytes": file.getvalue(), "path": ""})
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"img": images, "label": records[:, 0].astype(np.int64)}), file)
    return file.getvalue()


CONTENT = parquet(RECORDS)


@pytest.fixture
def hub(hub: Hub) -> Hub:
    hub.content = CONTENT
    return hub


def test_a_complete_download_is_one_file_that_loads(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CIFAR10_ROOT", raising=False)
    file = download(SMALL, tmp_path, hub=hub.url)
    assert files(tmp_path) == [SMALL.download]
    assert file.read_bytes() == CONTENT
    images = load(SMALL, tmp_path)
    assert images.source == f"Parquet in {file.parent}"
    assert (images.pixels == image_set(in_canonical_order(RECORDS), "", SMALL).pixels).all()


def test_progress_ends_with_all_bytes(hub: Hub, tmp_path: Path) -> None:
    reports: list[tuple[int, int]] = []
    download(SMALL, tmp_path, lambda *progress: reports.append(progress), hub.url)
    assert reports == sorted(reports)
    assert reports[-1] == (len(CONTENT), len(CONTENT))
    assert {total for _, total in reports} == {len(CONTENT)}


def test_an_interrupted_download_is_resumed(hub: Hub, tmp_path: Path) -> None:
    hub.cut_after = 100_000
    with pytest.raises(DataError, match=f"closed after 100,000 of {len(CONTENT):,} bytes.*continues from there"):
        download(SMALL, tmp_path, hub=hub.url)
    assert files(tmp_path) == ["test-00000-of-00001.partial"]
    hub.cut_after = None
    reports: list[tuple[int, int]] = []
    file = download(SMALL, tmp_path, lambda *progress: reports.append(progress), hub.url)
    assert file.read_bytes() == CONTENT
    assert hub.requests == [None, "bytes=100000-"]
    assert reports[0][0] > 100_000
    assert files(tmp_path) == [SMALL.download]


def test_many_interruptions_still_end_with_the_file(hub: Hub, tmp_path: Path) -> None:
    hub.cut_after = len(CONTENT) // 3
    for _ in range(3):
        with pytest.raises(DataError, match="closed after"):
            download(SMALL, tmp_path, hub=hub.url)
    assert download(SMALL, tmp_path, hub=hub.url).read_bytes() == CONTENT


def test_a_server_that_cannot_resume_sends_the_whole_file_again(hub: Hub, tmp_path: Path) -> None:
    hub.cut_after = 1000
    with pytest.raises(DataError, match="closed after"):
        download(SMALL, tmp_path, hub=hub.url)
    hub.cut_after, hub.knows_ranges = None, False
    assert download(SMALL, tmp_path, hub=hub.url).read_bytes() == CONTENT


def test_a_complete_partial_file_is_not_downloaded_again(hub: Hub, tmp_path: Path) -> None:
    """The program ended after the last byte and before the check."""
    partial = (tmp_path / "cifar10" / "plain_text" / SMALL.download).with_suffix(".partial")
    partial.parent.mkdir(parents=True)
    partial.write_bytes(CONTENT)
    assert download(SMALL, tmp_path, hub=hub.url).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (parquet(RECORDS[:140]), "sent holds 140 test images where CIFAR-10 has 150: 10 missing"),
        (parquet(RECORDS[::-1] ^ 1), "is not CIFAR-10"),
        (CONTENT[:-100], "is not a whole Parquet file"),
        (b"<html>Sign in to the network</html>", "is not a whole Parquet file"),
    ],
    ids=["images missing", "other images", "cut", "a web page"],
)
def test_wrong_content_is_refused_and_removed(content: bytes, words: str, hub: Hub, tmp_path: Path) -> None:
    hub.content = content
    with pytest.raises(DataError, match=words):
        download(SMALL, tmp_path, hub=hub.url)
    assert files(tmp_path) == []


def test_a_partial_file_of_other_bytes_is_refused_and_the_next_try_starts_anew(hub: Hub, tmp_path: Path) -> None:
    partial = (tmp_path / "cifar10" / "plain_text" / SMALL.download).with_suffix(".partial")
    partial.parent.mkdir(parents=True)
    partial.write_bytes(b"x" * 5000)
    with pytest.raises(DataError, match="is not a whole Parquet file"):
        download(SMALL, tmp_path, hub=hub.url)
    assert download(SMALL, tmp_path, hub=hub.url).read_bytes() == CONTENT


def test_wrong_content_leaves_an_earlier_download_alone(hub: Hub, tmp_path: Path) -> None:
    file = download(SMALL, tmp_path, hub=hub.url)
    hub.content = b"nonsense"
    with pytest.raises(DataError, match="not a whole Parquet file"):
        download(SMALL, tmp_path, hub=hub.url)
    assert file.read_bytes() == CONTENT


@pytest.mark.parametrize(("status", "words"), [(404, "answers 404 Not Found"), (503, "answers 503")])
def test_an_error_status_is_reported(status: int, words: str, hub: Hub, tmp_path: Path) -> None:
    hub.status = status
    with pytest.raises(DataError, match=words):
        download(SMALL, tmp_path, hub=hub.url)
    assert files(tmp_path) == []


def test_a_missing_server_is_reported(nobody: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot be reached .*Connection refused"):
        download(SMALL, tmp_path, hub=nobody)
    assert files(tmp_path) == []


def test_a_server_that_does_not_speak_http_is_reported(hub: Hub, tmp_path: Path) -> None:
    def nonsense(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"220 mail.example ready\r\n")

    hub.answer = nonsense  # type: ignore[method-assign]
    with pytest.raises(DataError, match=r"cannot be reached \(220 mail\.example ready"):
        download(SMALL, tmp_path, hub=hub.url)
    assert files(tmp_path) == []


def test_a_download_too_large_for_the_disk_leaves_nothing(
    hub: Hub, tmp_path: Path, room_for: Callable[[int], None]
) -> None:
    room_for(len(CONTENT) // 2)
    with pytest.raises(DataError, match=r"cannot write .*\.partial: File too large"):
        download(SMALL, tmp_path, hub=hub.url)
    room_for(10 * len(CONTENT))
    assert files(tmp_path) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_reported(hub: Hub, tmp_path: Path) -> None:
    partial = (tmp_path / "cifar10" / "plain_text" / SMALL.download).with_suffix(".partial")
    partial.parent.mkdir(parents=True)
    partial.symlink_to("/dev/full")
    with pytest.raises(DataError, match=r"cannot write .*: No space left on device"):
        download(SMALL, tmp_path, hub=hub.url)
    assert not partial.is_symlink()


def test_a_cache_too_large_for_the_disk_leaves_nothing_and_the_images_are_used(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room_for: Callable[[int], None]
) -> None:
    monkeypatch.delenv("CIFAR10_ROOT", raising=False)
    download(SMALL, tmp_path, hub=hub.url)
    room_for(SMALL.nbytes // 2)
    images = load(SMALL, tmp_path)
    assert images.source.endswith("(not cached: File too large)")
    assert len(images) == 150
    assert files(tmp_path) == [SMALL.download]
