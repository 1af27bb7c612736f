"""A server of our own on this machine, from which the tests fetch."""

from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path


@dataclass
class Hub:
    """A server of one file. `cut_after`: it hangs up after so many bytes; `status`: it answers that instead.

    `requests` are the ranges that were asked for, `paths` what they were asked of.
    """

    url: str = ""
    content: bytes = b""
    cut_after: int | None = None
    status: int | None = None
    knows_ranges: bool = True
    requests: list[str | None] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        wanted = handler.headers.get("Range")
        self.requests.append(wanted)
        self.paths.append(handler.path)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.knows_ranges else 0
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
    """The names of all files in a folder and those inside it."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file())
