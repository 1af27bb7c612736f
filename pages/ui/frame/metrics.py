"""Metrics that several pages show: size, sparsity, bit operations."""

from streamlit.delta_generator import DeltaGenerator

from compression.files.size import Size
from pages.ui import wording
from pages.ui.compute import compressed


def size_metric(place: DeltaGenerator, size: Size) -> None:
    best = size.best
    ratio = size.float32 / best.total
    show_metric(
        place,
        "Size",
        wording.size(best.total),
        f"{wording.times(ratio)} smaller" if best.total < size.float32 else "as float32",
        f"A count, without file header and entropy coding; float32 takes {size.float32:,} bytes. "
        f"Stored {size.best_name}: {best.codes:,} bytes of codes, {best.scales:,} of scales, zero points, codebooks, "
        f"{best.masks:,} of masks, {best.rest:,} of float32 biases and batch norm. "
        f"Dense takes {size.dense.total:,} bytes, sparse {size.sparse.total:,}.",
    )


def sparsity_metric(place: DeltaGenerator, found: compressed.Answer) -> None:
    show_metric(
        place,
        "Sparsity",
        wording.percent(found.sparsity),
        f"{found.nonzero:,} left",
        f"The share of the {found.weights:,} weights of convolutions and linear layers that are exactly zero: "
        "pruned, or rounded to zero.",
    )


def bit_operations_metric(place: DeltaGenerator, before: int, after: int) -> None:
    show_metric(
        place,
        "Bit operations",
        wording.quantity(after),
        f"{wording.times(before / after)} fewer" if after < before else "as float32",
        "Multiply-accumulates x weight bits x activation bits, for one image. Zeros count too: ordinary kernels "
        "multiply them all the same.",
    )


def show_metric(place: DeltaGenerator, label: str, value: str, against_float: str, words: str) -> None:
    place.metric(label, value, against_float, delta_color="off", delta_arrow="off", border=True, help=words)
