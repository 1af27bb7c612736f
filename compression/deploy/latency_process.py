"""The process that takes latencies; it imports no torch and starts quickly.

    python -m compression.deploy.latency_process FOLDER

In the folder lie graphs, NAME.onnx, and what is asked for. It writes the share that is done, and then the result.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path

from compression.deploy.latency import measure_latencies
from compression.deploy.runtime import count_kernels

SUFFIX = ".onnx"

ASKED, SHARE, RESULT = "asked.json", "share", "result.json"


def measure_folder(folder: Path) -> None:
    """Measures the graphs that lie in `folder`."""
    asked = json.loads((folder / ASKED).read_text())
    graphs = {name: (folder / f"{name}{SUFFIX}").read_bytes() for name in asked["names"]}

    def tell(share: float) -> None:
        (folder / SHARE).write_text(str(share))

    used = {name: asdict(count_kernels(graph)) for name, graph in graphs.items()}
    latencies = measure_latencies(graphs, asked["threads"], dict(asked["rounds"]), tell)
    (folder / RESULT).write_text(json.dumps({"latencies": [asdict(each) for each in latencies], "kernels": used}))


if __name__ == "__main__":
    measure_folder(Path(sys.argv[1]))
