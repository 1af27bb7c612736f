"""Results as a table: a row a spec, for Parquet, CSV and whoever reads on."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from compression.evaluation.evaluation import Evaluation, flips
from compression.paths import write_whole
from compression.results.result import Result
from compression.spec import FLOAT_BITS, CompressionSpec

SUFFIXES = (".parquet", ".csv")


def table(results: Sequence[Result], before: Mapping[str, Evaluation]) -> pd.DataFrame:
    """Accuracies, interval and sparsity in 0..1, loss in nats an image; `*_bytes` as `costs` has them.

    `before`: float networks by name. `lost`, `won` and `p` are McNemar's, against them.
    """
    return pd.DataFrame([_row(each, before.get(each.spec.model)) for each in results])


def _row(result: Result, before: Evaluation | None) -> dict[str, Any]:
    spec, costs, evaluation = result.spec, asdict(result.costs), result.evaluation
    low, high = evaluation.interval
    change = flips(before, evaluation) if before else None
    return {
        "model": spec.model,
        **described(spec),
        "images": evaluation.total,
        "correct": evaluation.correct,
        "accuracy": evaluation.accuracy,
        "low": low,
        "high": high,
        "top5": evaluation.top5,
        "loss": evaluation.loss,
        "float_accuracy": before.accuracy if before else None,
        "lost": change.lost if change else None,
        "won": change.won if change else None,
        "p": change.p if change else None,
        "sparsity": result.costs.sparsity,
        **{name: costs[name] for name in ("weights", "nonzero", "macs", "bit_operations")},
        **{f"{name}_bytes": costs[name] for name in ("float32", "dense", "sparse", "coded", "file")},
        "spec": spec.to_json(),
    }


def described(spec: CompressionSpec) -> dict[str, Any]:
    """The settings that most sweeps go through, as columns; all of them are in the spec."""
    weights, prune = spec.weights, spec.prune
    return {
        "bits": weights.bits if weights else FLOAT_BITS,
        "scheme": weights.scheme.value if weights else "float",
        "granularity": weights.granularity.value if weights else None,
        "structure": prune.structure.value if prune else None,
        "target": prune.sparsity if prune else None,
        "threshold": prune.threshold if prune else None,
        "fold_bn": spec.fold_bn,
    }


def check(path: Path) -> None:
    """Raises ValueError unless the name of `path` ends in one of SUFFIXES."""
    if path.suffix not in SUFFIXES:
        raise ValueError(f"the name of a table must end in {' or '.join(SUFFIXES)}, got {path.name!r}")


def write(path: Path, rows: pd.DataFrame) -> None:
    """The file, whole or not at all, as Parquet or CSV, as its name says. Raises OSError, and what `check` raises."""
    check(path)
    write_whole(path, encoded(rows, path.suffix))


def encoded(rows: pd.DataFrame, suffix: str) -> bytes:
    """What is in a file whose name ends in `suffix`, one of SUFFIXES."""
    file = io.BytesIO()
    if suffix == ".csv":
        rows.to_csv(file, index=False)
    else:
        rows.to_parquet(file, index=False, compression="zstd")
    return file.getvalue()
