"""Size, sparsity and average bits of the whole network."""

from collections.abc import Sequence

from streamlit.delta_generator import DeltaGenerator

from compression.spec import FLOAT_BITS
from pages.ui.compute import compressed
from pages.ui.frame.metrics import show_metric, size_metric, sparsity_metric
from pages.ui.settings import selection


def metrics(places: Sequence[DeltaGenerator], model: str) -> None:
    """Shows the three metrics, each in one of `places`."""
    answer = compressed.answer(selection.spec(model))
    size, sparsity, bits = places
    size_metric(size, answer)
    sparsity_metric(sparsity, answer)
    average, in_file = 8 * answer.memory.dense.codes / answer.weights, 8 * answer.file_bytes / answer.weights
    show_metric(
        bits,
        "Bits per weight",
        f"{average:.2f}",
        "same as float32"
        if average == FLOAT_BITS
        else f"{'' if answer.file_is_exact else '≈ '}{in_file:.2f} in the file",
        "The average over all weights of convolutions and linear layers, zeros included. In the file: the bits of the "
        "whole packed file, with scales, biases, batch norm and header, divided by the number of these weights.",
    )
