"""One process that runs many commands, because starting Python and importing torch takes longer than most of them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SERVE = """
import contextlib, io, json, os, sys
from compression.__main__ import main
for line in sys.stdin:
    arguments, environment = json.loads(line)
    before = dict(os.environ)
    os.environ.update(environment)
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        status = main(arguments)
    os.environ.clear()
    os.environ.update(before)
    print(json.dumps([status, out.getvalue(), err.getvalue()]), flush=True)
"""


class CommandSession:
    """Runs commands of the project in a folder, one after the other, in one process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Returns what `python -m compression` would return and print. `environment` is set for this command alone."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps([arguments, environment]) + "\n")
        self._process.stdin.flush()
        return subprocess.CompletedProcess(arguments, *json.loads(self._process.stdout.readline()))


@contextmanager
def command_session(project: Path) -> Iterator[CommandSession]:
    """Starts the process in the folder `project`, without the data of this checkout."""
    command = [sys.executable, "-c", SERVE]
    with subprocess.Popen(
        command, cwd=project, env=without_data(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield CommandSession(process)
        assert process.stdin
        process.stdin.close()


def without_data() -> dict[str, str]:
    """Returns the environment without what names data or the code of this checkout."""
    return {name: value for name, value in os.environ.items() if name not in ("CIFAR10_ROOT", "PYTHONPATH")}
