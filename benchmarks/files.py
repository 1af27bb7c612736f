"""What is on the disk, and how long it takes to write and to read: each bundled network at some bits and sparsities.

    python -m benchmarks.files [--model NAME]

Prints two markdown tables. The first has the payload (codes and positions) of all tensors in bytes, its order-0 bound,
and the size of the file. It also has the payload as a share of a limit, which is 1.02 times the bound and 64 bytes more
per tensor: for all tensors and for the worst one. Every file is read again and compared with the compressed network.
The second table has the seconds to pack and write a file and to read it, the shortest of three: at 4 bits per channel,
as is, with batch norm folded, and with 90 % of the weights pruned.
"""

import argparse
import tempfile
import time
from pathlib import Path

from benchmarks.setting import conditions, table
from compression.core.compress import compress
from compression.core.record import CompressedModel
from compression.files.ledger import FileLedger, LayerBytes, encode_file
from compression.files.packed_file import fingerprint
from compression.files.packed_reader import load_compressed
from compression.networks.bundled import bundled_names, load_bundled
from compression.networks.model import FloatModel
from compression.spec import CompressionSpec, PruneSpec, QuantSpec

BITS = (2, 3, 4, 8)
SPARSITIES = (0.0, 0.5, 0.9)
ROUNDS = 3


def payload(layer: LayerBytes) -> int:
    """Returns the bytes of codes and positions of a tensor."""
    return layer.total - layer.scales


def most_bytes(layer: LayerBytes) -> float:
    """Returns the limit of 1.02 times the bound and 64 bytes more for the payload of a tensor."""
    return 1.02 * layer.bound + 64


def write_and_read(compressed: CompressedModel, model: FloatModel, path: Path) -> tuple[FileLedger, float, float]:
    """Writes and reads the file at `path`. Returns its ledger and the shortest seconds to write and to read it.

    Raises ValueError if the network of the file is not `compressed`.
    """
    writing, reading = [], []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        content, ledger = encode_file(compressed, model)
        path.write_bytes(content)
        between = time.perf_counter()
        network = load_compressed(path)
        writing.append(between - start)
        reading.append(time.perf_counter() - between)
    if fingerprint(network.module) != fingerprint(compressed.module):
        raise ValueError(f"{path} is not the network that was compressed")
    return ledger, min(writing), min(reading)


def bound_row(model: FloatModel, bits: int, sparsity: float, path: Path) -> tuple[str, ...]:
    spec = CompressionSpec(model.name, PruneSpec(sparsity=sparsity), QuantSpec(bits))
    ledger, *_ = write_and_read(compress(model.module, spec), model, path)
    layers = ledger.layers
    payload_bytes = sum(map(payload, layers))
    return (
        f"{model.name}, {bits} bits, {100 * sparsity:.0f} % sparse",
        f"{payload_bytes:,}",
        f"{ledger.bound:,.0f}",
        f"{100 * payload_bytes / sum(map(most_bytes, layers)):.1f} %",
        f"{100 * max(payload(layer) / most_bytes(layer) for layer in layers):.1f} %",
        f"{ledger.total:,}",
        f"{ledger.float32 / ledger.total:.1f}",
    )


def time_row(model: FloatModel, fold_bn: bool, sparsity: float, path: Path) -> tuple[str, ...]:
    spec = CompressionSpec(model.name, PruneSpec(sparsity=sparsity), QuantSpec(4), fold_bn=fold_bn)
    ledger, writing, reading = write_and_read(compress(model.module, spec), model, path)
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
        times = [time_row(model, *each, path) for model in models for each in settings]
    print(f"{conditions()}\n")
    header = ("network", "payload, bytes", "bound, bytes", "of limit", "worst tensor", "file, bytes", "times smaller")
    print(table(header, bounds))
    print()
    print(table(("network at 4 bits", "file, bytes", "times smaller", "write, s", "read, s"), times))


if __name__ == "__main__":
    main()
