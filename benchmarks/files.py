"""What is on the disk, and how long it takes to write and to read: each bundled network at some bits and sparsities.

    python -m benchmarks.files [--model NAME]

Prints two markdown tables. The first: the bytes of the codes and places of all tensors beside their order-0 bound; what
that is of 1.02 times the bound and 64 bytes more for each tensor, in all and of the tensor that goes furthest; and the
file. Every file was read again and found to be the network that was compressed. The second: 4 bits per channel, each
network as it is and with batch norm folded or 90 % of its weights pruned, with the seconds that packing and writing it
took, and reading it: the least of three times.
"""

import argparse
import tempfile
import time
from pathlib import Path

from benchmarks.setting import conditions, table
from compression.core.compress import compress
from compression.core.record import CompressedModel
from compression.files.ledger import FileLedger, LayerBytes, encode_file
from compression.files.packed_file import fingerprint, load_compressed
from compression.networks.bundled import bundled_names, load_bundled
from compression.networks.model import FloatModel
from compression.spec import CompressionSpec, PruneSpec, QuantSpec

BITS = (2, 3, 4, 8)
SPARSITIES = (0.0, 0.5, 0.9)
ROUNDS = 3


def payload(layer: LayerBytes) -> int:
    """Bytes of codes and places."""
    return layer.total - layer.scales


def allowed(layer: LayerBytes) -> float:
    """The bytes that its payload may take."""
    return 1.02 * layer.bound + 64


def checked(compressed: CompressedModel, model: FloatModel, path: Path) -> tuple[FileLedger, float, float]:
    """The ledger of the file at `path`, and seconds to write and to read it. Raises ValueError where it is another."""
    writing, reading = [], []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        content, ledger = encode_file(compressed, model)
        path.write_bytes(content)
        between = time.perf_counter()
        loaded = load_compressed(path)
        writing.append(between - start)
        reading.append(time.perf_counter() - between)
    if fingerprint(loaded.module) != fingerprint(compressed.module):
        raise ValueError(f"{path} is not the network that was compressed")
    return ledger, min(writing), min(reading)


def bound_row(model: FloatModel, bits: int, sparsity: float, path: Path) -> tuple[str, ...]:
    spec = CompressionSpec(model.name, PruneSpec(sparsity=sparsity), QuantSpec(bits))
    ledger, *_ = checked(compress(model.module, spec), model, path)
    layers = ledger.layers
    taken = sum(map(payload, layers))
    return (
        f"{model.name}, {bits} bits, {100 * sparsity:.0f} % sparse",
        f"{taken:,}",
        f"{ledger.bound:,.0f}",
        f"{100 * taken / sum(map(allowed, layers)):.1f} %",
        f"{100 * max(payload(layer) / allowed(layer) for layer in layers):.1f} %",
        f"{ledger.total:,}",
        f"{ledger.float32 / ledger.total:.1f}",
    )


def time_row(model: FloatModel, fold_bn: bool, sparsity: float, path: Path) -> tuple[str, ...]:
    spec = CompressionSpec(model.name, PruneSpec(sparsity=sparsity), QuantSpec(4), fold_bn=fold_bn)
    ledger, writing, reading = checked(compress(model.module, spec), model, path)
    what = f"{model.name}{', folded' if fold_bn else ''}, {100 * sparsity:.0f} % sparse"
    times = f"{ledger.float32 / ledger.total:.1f}"
    return what, f"{ledger.total:,}", times, f"{writing:.2f}", f"{reading:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="one bundled network (default: all)")
    options = parser.parse_args()
    models = [load_bundled(name) for name in ([options.model] if options.model else bundled_names())]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "network.safetensors")
        bounds = [bound_row(model, bits, s, path) for model in models for bits in BITS for s in SPARSITIES]
        settings = ((False, 0.0), (True, 0.0), (False, 0.9))
        times = [time_row(model, *setting, path) for model in models for setting in settings]
    print(f"{conditions()}\n")
    header = ("network", "payload, bytes", "bound, bytes", "of allowed", "worst tensor", "file, bytes", "times smaller")
    print(table(header, bounds))
    print()
    print(table(("network at 4 bits", "file, bytes", "times smaller", "write, s", "read, s"), times))


if __name__ == "__main__":
    main()
