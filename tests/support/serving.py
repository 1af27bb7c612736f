"""A real server and a real browser, for browser journeys and for benchmarks of pages."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import Browser, sync_playwright

QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


class Server(NamedTuple):
    url: str
    pid: int


@contextmanager
def serving(folder: Path, environment: Mapping[str, str] = os.environ, log: Path | None = None) -> Iterator[Server]:
    """Runs Streamlit on a free port of this machine, with the app in `folder`; `log` receives what it prints."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--server.port", str(port), "--server.address", "127.0.0.1", "--server.headless", "true"]
    with open(log, "wb") if log else nullcontext() as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "streamlit", "run", "app.py", *options],
            cwd=folder,
            env=dict(environment),
            stdout=output,
            stderr=output and subprocess.STDOUT,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(f"{url}/_stcore/health")
        yield Server(url, process.pid)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


def _wait(url: str) -> None:
    for _ in range(300):
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.2)
    raise TimeoutError(f"{url} does not answer")


def chromium() -> str | None:
    """The path of an installed chromium, or None; the browser of Playwright is not downloaded."""
    return shutil.which("chromium")


def chromium_or_exit() -> str:
    """The path of an installed chromium. Ends the program with a sentence if there is none."""
    return chromium() or sys.exit("there is no chromium")


@contextmanager
def browsing(executable: str) -> Iterator[Browser]:
    """A headless browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(QUIET))
        yield browser
        browser.close()
