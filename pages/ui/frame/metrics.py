"""Metrics that several pages show: size, sparsity, bit operations."""

from streamlit.delta_generator import DeltaGenerator

from compression.spec import CompressionSpec, Scope, Structure
from pages.ui import wording
from pages.ui.compute import accuracy, compressed

ESTIMATE = (
    "Counting the file exactly takes longer than a slider may wait; the exact number is shown when the page is drawn "
    "again."
)


def size_metric(place: DeltaGenerator, answer: compressed.Answer, border: bool = True, side: str = "") -> None:
    """Shows the size of the packed file, the factor against float32, and what the bytes are for.

    The exact size is shown when the metric is drawn again, see `count_size`. `side`: which network of a page it is.
    """
    count_size(answer, side)
    size, float32 = answer.file_bytes, answer.file.float32
    show_metric(
        place,
        "File size",
        size_of(answer),
        f"{wording.times(float32 / size)} smaller" if size < float32 else "not smaller",
        size_in_words(answer),
        border,
    )


def count_size(answer: compressed.Answer, side: str = "") -> None:
    """Lets workers count the bytes of a file whose estimate is shown: after the first images, see `accuracy.look`."""
    if not answer.file_is_exact and accuracy.is_waiting(answer.spec, side):
        compressed.count_exactly_later(answer, side)
    else:
        compressed.count_exactly(answer, side)


def size_of(answer: compressed.Answer) -> str:
    """Returns the size of the packed file: 134217 -> "134 kB", with "≈" before an estimate."""
    return f"{'' if answer.file_is_exact else '≈ '}{wording.size(answer.file_bytes)}"


def size_in_words(answer: compressed.Answer) -> str:
    """Returns where the bytes of the packed file go, and what the same network takes in memory."""
    file, best = answer.file, answer.memory.best
    parts = {
        "the values of weights": sum(layer.codes + layer.model for layer in file.layers),
        "the positions of nonzero weights": file.steps["places"],
        "scales, zero points and codebooks": file.steps["scales"],
        "biases and batch norm": file.rest,
        "the header": file.container,
    }
    if file.exact:
        shares = ", ".join(f"{count:,} are for {words}" for words, count in parts.items())
    else:
        percents = {words: wording.percent(count / file.total, 0) for words, count in parts.items()}
        shares = ", ".join(f"about {percent} are for {words}" for words, percent in percents.items())
    about, note = ("", "") if answer.file_is_exact else ("about ", f" {ESTIMATE}")
    return (
        f"The packed file on disk, entropy coded: {about}{answer.file_bytes:,} bytes. "
        f"Of these, {shares}.{note}  \nIn memory, before entropy coding and without a header: {best.total:,} bytes "
        f"({answer.memory.best_name} storage).  \nAs float32, without a header: {file.float32:,} bytes."
    )


def sparsity_metric(place: DeltaGenerator, answer: compressed.Answer) -> None:
    """Shows the share of weights that are zero, and how many of them were pruned."""
    pruned = sum(layer.pruned for layer in answer.layers) / answer.weights
    show_metric(
        place,
        "Sparsity",
        wording.percent(answer.sparsity),
        f"{wording.percent(pruned)} pruned" if pruned else f"{answer.nonzero:,} nonzero",
        sparsity_in_words(answer),
    )


def sparsity_in_words(answer: compressed.Answer) -> str:
    """Returns what share of which weights is zero, for which reasons, and what the settings ask for."""
    pruned = sum(layer.pruned for layer in answer.layers)
    zeros = answer.weights - answer.nonzero
    return (
        f"{wording.percent(answer.sparsity)} of the {answer.weights:,} weights of convolutions and linear layers are "
        f"exactly zero: {pruned:,} were pruned, and {zeros - pruned:,} were zero before or rounded to zero. "
        f"{request_in_words(answer.spec)}"
    )


def request_in_words(spec: CompressionSpec) -> str:
    """Returns which share of what the settings ask to prune."""
    prune = spec.prune
    if prune is None:
        request = "The settings prune nothing"
    elif prune.structure is Structure.N_M:
        request = "The settings ask to keep {} of every {} weights".format(*prune.pattern or ())
    elif prune.sparsity is None:
        request = f"The settings ask to prune what scores less than {prune.threshold:g}"
    else:
        share = wording.short_percent(prune.sparsity)
        filters = prune.structure is Structure.FILTER
        parts = "filters, without those of the last layer," if filters else "weights"
        place = "of each layer" if prune.scope is Scope.LAYER else "of the whole network"
        request = f"The settings ask to prune {share} of the {parts} {place}"
    return f"{request}; some layers have settings of their own." if spec.layers else f"{request}."


def bit_operations_metric(place: DeltaGenerator, before: int, after: int) -> None:
    """Shows the bit operations of one image `after` compression, and the factor against those `before`."""
    show_metric(
        place,
        "Bit operations",
        wording.quantity(after),
        f"{wording.times(before / after)} fewer" if after < before else "not fewer",
        f"Multiply-accumulates {wording.TIMES} bits per weight {wording.TIMES} activation bits, for one image. Zero "
        "weights count too, because ordinary kernels multiply them like any other number.",
    )


def show_metric(
    place: DeltaGenerator, label: str, value: str, comparison: str, explanation: str, border: bool = True
) -> None:
    """Shows a metric, by default in a frame, a neutral line that compares it with the float network, and a tooltip."""
    place.metric(label, value, comparison, delta_color="off", delta_arrow="off", border=border, help=explanation)
