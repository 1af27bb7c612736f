"""Metrics that several pages show: size, sparsity, bit operations."""

from streamlit.delta_generator import DeltaGenerator

from compression.files.size import Size
from pages.ui import wording
from pages.ui.compute import compressed


def size_metric(place: DeltaGenerator, size: Size) -> None:
    """Shows the in-memory size of the network, the factor against float32, and what the bytes are for."""
    best = size.best
    ratio = size.float32 / best.total
    show_metric(
        place,
        "In-memory size",
        wording.size(best.total),
        f"{wording.times(ratio)} smaller" if best.total < size.float32 else "same as float32",
        "The in-memory size: packed codes, before entropy coding, without a file header. As float32 the network "
        f"takes {size.float32:,} bytes. Stored {size.best_name}: {best.codes:,} bytes for codes, {best.scales:,} for "
        f"scales, zero points and codebooks, {best.masks:,} for masks, {best.rest:,} for biases and batch norm. "
        f"Dense storage takes {size.dense.total:,} bytes, sparse storage {size.sparse.total:,}.",
    )


def sparsity_metric(place: DeltaGenerator, answer: compressed.Answer) -> None:
    """Shows the share of weights that are zero, and how many are not."""
    show_metric(
        place,
        "Sparsity",
        wording.percent(answer.sparsity),
        f"{answer.nonzero:,} nonzero",
        f"The share of the {answer.weights:,} weights of convolutions and linear layers that are exactly zero: "
        "pruned, or rounded to zero.",
    )


def bit_operations_metric(place: DeltaGenerator, before: int, after: int) -> None:
    """Shows the bit operations of one image `after` compression, and the factor against those `before`."""
    show_metric(
        place,
        "Bit operations",
        wording.quantity(after),
        f"{wording.times(before / after)} fewer" if after < before else "same as float32",
        f"Multiply-accumulates {wording.TIMES} bits per weight {wording.TIMES} activation bits, for one image. Zero "
        "weights count too, because ordinary kernels multiply them like any other number.",
    )


def show_metric(place: DeltaGenerator, label: str, value: str, comparison: str, explanation: str) -> None:
    """Shows a metric in a frame, a neutral line on how it compares with the float network, and a tooltip."""
    place.metric(label, value, comparison, delta_color="off", delta_arrow="off", border=True, help=explanation)
