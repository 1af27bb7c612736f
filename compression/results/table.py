"""Results as a table with one row per spec, and as Parquet and CSV files."""

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


def results_table(results: Sequence[Result], before: Mapping[str, Evaluation]) -> pd.DataFrame:
    """Returns a table with one row per result, in their order.

    Accuracies, the ends of the 95 % interval and sparsity are 0..1; loss is in nats per image; `*_bytes` are those of
    `Costs`. `before` are the evaluations of float networks by name: `lost`, `won` and `p` (McNemar's test) compare with
    them, and are empty without one.
    """
    return pd.DataFrame([_row(each, before.get(each.spec.model)) for each in results])


def _row(result: Result, before: Evaluation | None) -> dict[str, Any]:
    spec, costs, evaluation = result.spec, asdict(result.costs), result.evaluation
    low, high = evaluation.interval
    change = flips(before, evaluation) if before else None
    return {
        "model": spec.model,
        **settings_columns(spec),
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


def settings_columns(spec: CompressionSpec) -> dict[str, Any]:
    """Returns the settings that most sweeps vary, by the name of their column; the spec itself has all settings."""
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


def check_file_name(path: Path) -> None:
    """Raises ValueError unless the name of `path` ends in one of SUFFIXES."""
    if path.suffix not in SUFFIXES:
        raise ValueError(f"the name of a table must end in {' or '.join(SUFFIXES)}, got {path.name!r}")


def write_table(path: Path, rows: pd.DataFrame) -> None:
    """Writes `rows` as Parquet or CSV, as the name of the file says; the file is complete or not written at all.

    Raises OSError, and ValueError for any other name.
    """
    check_file_name(path)
    write_whole(path, table_bytes(rows, path.suffix))


def table_bytes(rows: pd.DataFrame, suffix: str) -> bytes:
    """Returns the content of a file whose name ends in `suffix`, one of SUFFIXES."""
    file = io.BytesIO()
    if suffix == ".csv":
        rows.to_csv(file, index=False)
    else:
        rows.to_parquet(file, index=False, compression="zstd")
    return file.getvalue()
