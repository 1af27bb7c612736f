"""The server for a class tells strangers nothing about itself, and a session cannot fill its memory with uploads."""

import asyncio
import re
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from starlette.responses import PlainTextResponse

from class_server import MOST_UPLOADS, Guard
from compression.paths import PROJECT
from pages.ui.frame.warnings import without_folders

NOTICE = "Results cannot be kept: /srv/lab 1/data/results.sqlite cannot be opened for writing."


class Client:
    """A server behind the guard that answers every request with 200."""

    def __init__(self) -> None:
        self._guard = Guard(PlainTextResponse("served"))

    def status(self, method: str, path: str) -> int:
        """Returns the status of the answer to a request."""
        messages: list[dict[str, Any]] = []

        async def send(message: Any) -> None:
            messages.append(message)

        async def receive() -> Any:
            return {"type": "http.request"}

        request = {"type": "http", "method": method, "path": path, "headers": []}
        with ThreadPoolExecutor(1) as other:  # in this thread a browser of other tests may have its event loop
            other.submit(asyncio.run, self._guard(request, receive, send)).result()
        return messages[0]["status"]


@pytest.mark.parametrize("path", ["/_stcore/metrics", "/base/_stcore/metrics"])
def test_statistics_are_not_public(path: str) -> None:
    assert Client().status("GET", path) == 403


@pytest.mark.parametrize("path", ["/", "/layers", "/_stcore/health", "/media/file.csv"])
def test_everything_else_is_served(path: str) -> None:
    assert Client().status("GET", path) == 200


def test_a_session_holds_few_uploads_at_once() -> None:
    client = Client()

    def put(session: str, file: int) -> int:
        return client.status("PUT", f"/_stcore/upload_file/{session}/{file}")

    assert [put("greedy", file) for file in range(MOST_UPLOADS + 1)] == [200] * MOST_UPLOADS + [429]
    assert put("greedy", 0) == 200
    assert put("modest", 7) == 200
    client.status("DELETE", "/_stcore/upload_file/greedy/1")
    assert [put("greedy", 8), put("greedy", 9)] == [200, 429]


def test_only_make_class_listens_on_all_interfaces_and_it_hides_details_of_errors() -> None:
    config = tomllib.loads((PROJECT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
    assert config["server"]["address"] == "127.0.0.1"
    assert config["server"]["maxUploadSize"] == 64
    rules = dict(re.findall(r"^(\w+):.*\n((?:\t.*\n)+)", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.M))
    assert "--server" not in rules["app"]
    assert "class_server.py --server.address 0.0.0.0" in rules["class"]
    assert "--client.showErrorDetails none" in rules["class"]


@pytest.mark.parametrize(
    ("details", "shown"),
    [("full", NOTICE), ("none", "Results cannot be kept: results.sqlite cannot be opened for writing.")],
)
def test_folders_of_the_server_are_hidden_with_the_details_of_errors(
    monkeypatch: pytest.MonkeyPatch, details: str, shown: str
) -> None:
    monkeypatch.setattr(st, "get_option", {"client.showErrorDetails": details}.get)
    assert without_folders(NOTICE) == shown


@pytest.mark.parametrize(
    "text", ["The cluster at tcp://10.0.0.1:8786 does not answer", "1/2 of the images", "int8/float, and w/s"]
)
def test_what_is_no_folder_stays(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(st, "get_option", {"client.showErrorDetails": "none"}.get)
    assert without_folders(text) == text


def test_no_page_shows_a_notice_but_by_show_notice() -> None:
    for path in (PROJECT / "pages").rglob("*.py"):
        assert not re.search(r"st\.\w+\(.*\b(notice|reading\.error)\}", Path(path).read_text(encoding="utf-8")) or (
            path.name == "warnings.py"
        ), path
