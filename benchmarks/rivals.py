"""The packed file beside what other compressors make of the same network.

    python -m benchmarks.rivals [--model NAME]

Prints a markdown table in bytes, for 8, 4 and 2 bits per channel and 0, 50 and 90 % sparsity. `files/rivals.py` says
what each compressor gets. The last column has what `xz -9e` saves on the packed file itself, in percent.
"""

import argparse
import lzma

from benchmarks.setting import table
from compression.core.compress import compress
from compression.files.packed_file import assemble, pack_layers
from compression.files.rivals import COMPRESSORS, DEEP_COMPRESSION, count_rivals
from compression.networks.bundled import load_bundled
from compression.networks.model import FloatModel
from compression.spec import CompressionSpec, PruneSpec, QuantSpec

MODELS = ("resnet20", "mobilenetv2", "vgg")
BITS = (8, 4, 2)
SPARSITIES = (0.0, 0.5, 0.9)


def row(model: FloatModel, bits: int, sparsity: float) -> tuple[str, ...]:
    spec = CompressionSpec(model.name, PruneSpec(sparsity=sparsity), QuantSpec(bits))
    parts = pack_layers(compress(model.module, spec))
    content, rivals = assemble(parts, model), dict(count_rivals(parts, model))
    xz = len(lzma.compress(content, preset=9 | lzma.PRESET_EXTREME))
    return (
        f"{model.name}, {bits} bits, {100 * sparsity:.0f} % sparse",
        f"{len(content):,}",
        *(f"{rivals[name]:,}" for name in (*COMPRESSORS, DEEP_COMPRESSION)),
        f"{100 * (1 - len(content) / min(rivals.values())):.1f} %",
        f"{100 * (1 - xz / len(content)):.2f} %",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=MODELS, help="one network (default: all)")
    options = parser.parse_args()
    header = ("network", "packed file", *COMPRESSORS, DEEP_COMPRESSION, "less than the best", "xz saves")
    models = [load_bundled(name) for name in ([options.model] if options.model else MODELS)]
    print(table(header, [row(model, bits, sparsity) for model in models for bits in BITS for sparsity in SPARSITIES]))


if __name__ == "__main__":
    main()
