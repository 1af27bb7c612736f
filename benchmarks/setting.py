"""What every benchmark needs around its measurement: a network, a table, and a line on the conditions."""

import argparse
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from compression.networks.architectures.table import ARCHITECTURES
from compression.networks.bundled import bundled_names, load_bundled
from compression.networks.model import FloatModel, freeze_
from compression.networks.normalization import NORMALIZATIONS


def network(name: str, random: bool) -> FloatModel:
    """A bundled network; with `random`, or where its weights are not there, the same network untrained.

    Raises ValueError for a name that is neither bundled nor an architecture.
    """
    if not random and name in bundled_names():
        return load_bundled(name)
    if name not in ARCHITECTURES:
        raise ValueError(f"there is no network {name!r}; there are {', '.join(ARCHITECTURES)}")
    why = "as asked" if random else "it is not bundled yet"
    print(f"{name} gets random weights, {why}: its speed is the same, its accuracy is not", file=sys.stderr)
    torch.manual_seed(0)
    return FloatModel(f"{name} (random weights)", freeze_(ARCHITECTURES[name].make()), NORMALIZATIONS["cifar10"])


def networks_asked_for(description: str | None, names: Sequence[str]) -> list[str]:
    """Reads --model, which is one of `names`, and --threads from the command line; returns the networks to measure.

    Sets the threads of torch.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=names, help="one network (default: all)")
    parser.add_argument("--threads", type=int, help="threads of torch (default: as many as cores)")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    return [options.model] if options.model else list(names)


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A markdown table, its first column words and the others figures."""
    lines = [header, ["---"] + ["--:"] * (len(header) - 1), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def conditions() -> str:
    """One line: processor, cores, threads and versions, on which any time depends."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    processor = models[0] if models else platform.processor() or platform.machine()
    return (
        f"{processor}, {torch.get_num_threads()} threads, torch {torch.__version__}, "
        f"Python {platform.python_version()}, {platform.system()}"
    )
