"""A file server on this machine from which the tests fetch."""

from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path


@dataclass
class Hub:
    """A server of one file. It closes the connection after `cut_after` bytes, or answers `status` instead of the file.

    `requests` are the ranges of all requests so far, `paths` their paths.
    """

    url: str = ""
    content: bytes = b""
    cut_after: int | None = None
    status: int | None = None
    knows_ranges: bool = True
    requests: list[str | None] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        byte_range = handler.headers.get("Range")
        self.requests.append(byte_range)
        self.paths.append(handler.path)
        start = int(byte_range.removeprefix("bytes=").rstrip("-")) if byte_range and self.knows_ranges else 0
        if self.status or start >= len(self.content):
            handler.send_error(self.status or 416)
            return
        body = self.content[start:]
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if handler.command == "GET":
            handler.wfile.write(body[: self.cut_after])


def files(folder: Path) -> list[str]:
    """The names of all files in a folder and its subfolders, sorted."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file())
