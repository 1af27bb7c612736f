"""Dask's scheduler, which computes nothing, starts without torch."""

import subprocess
import sys

from compression.paths import PROJECT


def test_the_package_and_its_workers_do_not_import_torch() -> None:
    code = "import sys, compression.engine, compression.engine.workers; print('torch' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert answer.stdout == "False\n"
