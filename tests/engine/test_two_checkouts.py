"""A cluster of another checkout, started by Dask's own commands with TLS: used, refused in words, and survived."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dask
import pytest

from compression.engine.cluster import Engine, TaskKey
from compression.errors import EngineError
from compression.results.provenance import arithmetic, check_version

SECONDS = 120

TLS = "distributed.comm.tls"


@pytest.fixture
def certificate(tmp_path: Path) -> dict[str, str]:
    """The settings of Dask for TLS, with a certificate that is made for this test."""
    if not shutil.which("openssl"):
        pytest.skip("there is no openssl")
    key, own = tmp_path / "key.pem", tmp_path / "own.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=squeezelab"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(own)], check=True, capture_output=True)
    files = {
        f"{TLS}.{who}.{what}": str(path)
        for who in ("client", "scheduler", "worker")
        for what, path in (("cert", own), ("key", key))
    }
    return {f"{TLS}.ca-file": str(own), "distributed.comm.require-encryption": "True", **files}


class Cluster:
    """A scheduler and at most one worker, run from the checkout that holds `package`."""

    def __init__(self, package: Path, settings: dict[str, str]) -> None:
        names = {f"DASK_{name.upper().replace('.', '__').replace('-', '_')}": text for name, text in settings.items()}
        self._environment = os.environ | names | {"PYTHONPATH": str(package.parent)}
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"tls://127.0.0.1:{probe.getsockname()[1]}"
        self._scheduler = self._start("scheduler", "--host", self.address, "--dashboard-address", "127.0.0.1:0")
        self._worker: subprocess.Popen[bytes] | None = None

    def start_worker(self) -> None:
        """Replaces the worker by a new one, which reads the code of the checkout as it is now."""
        self._end(self._worker)
        alone = ("--nthreads", "1", "--no-nanny", "--no-dashboard")
        self._worker = self._start("worker", self.address, *alone)

    def close(self) -> None:
        for process in (self._worker, self._scheduler):
            self._end(process)

    def _start(self, what: str, *options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.dask_{what}", *options]
        folder = Path(self._environment["PYTHONPATH"])
        return subprocess.Popen(command, cwd=folder, env=self._environment, stderr=subprocess.DEVNULL)

    def _end(self, process: subprocess.Popen[bytes] | None) -> None:
        if process:
            process.kill()
            process.wait()


@pytest.fixture
def cluster(copied_project: Path, certificate: dict[str, str]) -> Iterator[Cluster]:
    cluster = Cluster(copied_project / "compression", certificate)
    with dask.config.set(certificate):
        yield cluster
    cluster.close()


def result(engine: Engine, key: TaskKey) -> object:
    """Waits for the result of a task. Raises EngineError if it failed."""
    deadline = time.monotonic() + SECONDS
    while not (results := engine.take([key])):
        assert time.monotonic() < deadline, engine.notice
        time.sleep(0.05)
    return results[key]


def connected(address: str) -> Engine:
    """Returns an engine that uses the scheduler at `address`, as soon as that listens."""
    deadline, port = time.monotonic() + SECONDS, int(address.rpartition(":")[2])
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return Engine(address)
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_a_cluster_of_another_checkout_is_used_refused_and_survived(cluster: Cluster, copied_project: Path) -> None:
    engine = connected(cluster.address)
    cluster.start_worker()
    engine.ask(("same", 0), check_version, arithmetic())
    assert result(engine, ("same", 0)) is None
    assert not engine.local

    changed = copied_project / "compression" / "core" / "batch_norm.py"
    changed.write_text(changed.read_text(encoding="utf-8") + "\nANOTHER = 1\n", encoding="utf-8")
    cluster.start_worker()
    engine.ask(("other", 0), check_version, arithmetic())
    with pytest.raises(EngineError, match="a worker of the cluster runs another version of this laboratory; update it"):
        result(engine, ("other", 0))

    cluster.close()
    engine.ask(("lost", 0), check_version, arithmetic())
    assert result(engine, ("lost", 0)) is None
    assert engine.local
    assert engine.notice == (
        f"The cluster at {cluster.address} does not answer any more; this machine works in its place."
    )
    engine.close()
