"""The process that measures latencies, and the files through which it communicates with the process that starts it.

    python -m compression.deploy.latency_process FOLDER PARENT

FOLDER holds the graphs as NAME.onnx, and the request. PARENT is the process id of the process that starts it; when that
has ended, however it did, this one ends, too. The process writes the share (0..1) that is done, and at the end
it writes the result. It does not import torch, so that it starts quickly.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from compression.deploy.latency import Latency, Measurements, measure_latencies
from compression.deploy.runtime import Kernels, count_kernels

SUFFIX = ".onnx"

WATCH_SECONDS = 0.5

REQUEST, SHARE, RESULT = "request.json", "share", "result.json"


def write_request(folder: Path, graphs: Mapping[str, bytes], threads: int, rounds: Mapping[int, int]) -> None:
    """Writes the graphs and what to measure into `folder`. Raises OSError."""
    for name, graph in graphs.items():
        (folder / f"{name}{SUFFIX}").write_bytes(graph)
    request = {"names": list(graphs), "threads": threads, "rounds": list(rounds.items())}
    (folder / REQUEST).write_text(json.dumps(request))


def read_share(folder: Path) -> float:
    """Returns the share (0..1) of the measurements that is done; 0 if none is known."""
    try:
        return float((folder / SHARE).read_text())
    except (OSError, ValueError):
        return 0.0


def read_result(folder: Path) -> Measurements:
    """Returns what the process measured. Raises OSError or ValueError if it ended without a result."""
    result = json.loads((folder / RESULT).read_text())
    return Measurements(
        tuple(Latency(**each) for each in result["latencies"]),
        {name: Kernels(**each) for name, each in result["kernels"].items()},
    )


def measure_folder(folder: Path) -> None:
    """Measures the graphs in `folder` as the request says, and writes the result."""
    request = json.loads((folder / REQUEST).read_text())
    graphs = {name: (folder / f"{name}{SUFFIX}").read_bytes() for name in request["names"]}

    def report(share: float) -> None:
        (folder / SHARE).write_text(str(share))

    kernels = {name: asdict(count_kernels(graph)) for name, graph in graphs.items()}
    latencies = measure_latencies(graphs, request["threads"], dict(request["rounds"]), report)
    (folder / RESULT).write_text(json.dumps({"latencies": [asdict(each) for each in latencies], "kernels": kernels}))


def end_with(parent: int) -> None:
    """Ends this process soon after its `parent` has ended. Where children keep the id of a dead parent, it does not."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(WATCH_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    end_with(int(sys.argv[2]))
    measure_folder(Path(sys.argv[1]))
