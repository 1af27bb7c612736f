"""What the layers come to together: size, sparsity, bits."""

from collections.abc import Sequence

from streamlit.delta_generator import DeltaGenerator

from compression.spec import FLOAT_BITS
from pages.ui.compute import compressed
from pages.ui.frame.metrics import show_metric, size_metric, sparsity_metric
from pages.ui.layers import state


def metrics(places: Sequence[DeltaGenerator], model: str) -> None:
    """In three places, side by side."""
    found = compressed.answer(state.spec(model))
    size, sparsity, bits = places
    size_metric(size, found.size)
    sparsity_metric(sparsity, found)
    average = 8 * found.size.dense.codes / found.weights
    show_metric(
        bits,
        "Bits a weight",
        f"{average:.2f}",
        "as float32" if average == FLOAT_BITS else f"{8 * found.size.best.total / found.weights:.2f} with all else",
        "The average over all weights of convolutions and linear layers, zeros among them. With all else: the whole "
        "size, with scales, masks, biases and batch norm, for each of these weights.",
    )
