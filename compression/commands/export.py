"""`export`: a compressed network as a file, in the format that its name ends in, and the proof that it is the same."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from compression.codec import prove
from compression.commands.options import add_spec_arguments, compressed_from
from compression.compress import CompressedModel
from compression.data import write_whole
from compression.models.zoo import FloatModel
from compression.waterfall import FileLedger, in_words, written

HELP = "compress a network and write it to a file, which is read again and compared"


class Exported(NamedTuple):
    """What is said of a file once it is written and proved: in words, and as values for JSON."""

    words: str
    values: dict[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_spec_arguments(parser)
    parser.add_argument(
        "--out", metavar="FILE", type=Path, required=True, help=f"the file; its name ends in {' or '.join(FORMATS)}"
    )


def run(options: argparse.Namespace) -> None:
    path = options.out
    if path.suffix not in FORMATS:
        raise ValueError(f"the name of --out must end in {' or '.join(FORMATS)}, got {path.name!r}")
    model, compressed = compressed_from(options)
    exported = FORMATS[path.suffix](compressed, model, path)
    print(json.dumps(exported.values) if options.json else exported.words)


def packed_file(compressed: CompressedModel, model: FloatModel, path: Path) -> Exported:
    """The packed safetensors file of `codec`.

    Raises ValueError where it cannot be written, CodecError where what is on the disk does not decode to `compressed`.
    """
    content, ledger = written(compressed, model)
    write(path, content)
    prove(path, compressed)
    values = {
        "file": str(path),
        "spec": json.loads(compressed.spec.to_json()),
        "bytes": ledger.total,
        "float32_bytes": ledger.float32,
        "steps_bytes": ledger.steps,
        "entropy_bound_bytes": ledger.bound,
        "codings": {layer.name: layer.coding for layer in ledger.layers},
        "sentence": in_words(ledger),
        "decoded_equals_evaluated": True,
    }
    return Exported(_words(path, ledger), values)


def write(path: Path, content: bytes) -> None:
    """Raises ValueError where there is no room, or no such folder."""
    try:
        write_whole(path, content)
    except OSError as error:
        raise ValueError(f"{path} cannot be written: {error.strerror}") from error


def _words(path: Path, ledger: FileLedger) -> str:
    steps = "".join(f"  {name:<16}{nbytes:>14,}\n" for name, nbytes in ledger.steps.items())
    return (
        f"{path}\n"
        f"bytes     {ledger.total:,}, float32 {ledger.float32:,}: {ledger.float32 / ledger.total:.2f} times smaller\n"
        f"{steps}"
        f"bound     {ledger.bound:,.0f} bytes of codes and places, order-0 entropy\n"
        f"why       {in_words(ledger)}\n"
        f"proof     read again from the disk: decoded equals evaluated, number by number"
    )


FORMATS: dict[str, Callable[[CompressedModel, FloatModel, Path], Exported]] = {".safetensors": packed_file}
