"""Exports a network as ONNX: pixels in, logits out.

    pixels (N, channels, height, width) uint8, N free -> logits (N, classes) float32

The normalisation is part of the graph. An export takes seconds and patches torch in the meantime, so it must run in a
process that computes nothing else, such as a worker, and not in the server of the pages.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import onnx
import torch
from torch import Tensor, nn

from compression.data.cifar10 import SHAPE
from compression.data.split import Shape
from compression.deploy.runtime import LOGITS, PIXELS
from compression.networks.folding import fold_batch_norm
from compression.networks.normalization import Normalization


class _OfPixels(nn.Module):
    """A network after its normalisation: pixels (N, channels, height, width) uint8 -> logits."""

    def __init__(self, module: nn.Module, normalization: Normalization) -> None:
        super().__init__()
        self.module, self.normalization = module, normalization

    def forward(self, pixels: Tensor) -> Tensor:
        return self.module(self.normalization(pixels))


OPERATORS = "from_torchlib"  # the method of torch's ONNXRegistry that reads all operators that torch can export


@cache
def _operators_reader() -> Callable[..., object]:
    """Returns torch's own reader of operators, with what it has read."""
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    return cache(getattr(ONNXRegistry, OPERATORS))


@contextmanager
def _operators_read_once() -> Iterator[None]:
    """Keeps torch from reading its operators at every export of this process, which takes a third of the export."""
    from torch.onnx._internal.exporter._registration import ONNXRegistry  # takes seconds, which an import need not

    reader, original = _operators_reader(), vars(ONNXRegistry)[OPERATORS]
    setattr(ONNXRegistry, OPERATORS, staticmethod(reader))
    try:
        yield
    finally:
        setattr(ONNXRegistry, OPERATORS, original)


def weight_name(layer: str) -> str:
    """Returns the name of the weight of `layer` in a graph of `to_onnx`."""
    return f"module.{layer}.weight"


def to_onnx(module: nn.Module, normalization: Normalization, shape: Shape = SHAPE) -> bytes:
    """Returns the ONNX file of `module`, with batch norm folded. Forward pre-hooks, which quantize inputs, are kept."""
    whole = _OfPixels(fold_batch_norm(module), normalization).eval()
    example = torch.zeros(2, *shape, dtype=torch.uint8)
    with warnings.catch_warnings(), _operators_read_once():
        warnings.simplefilter("ignore")  # torch warns about its own internals
        program = torch.onnx.export(
            whole,
            (example,),
            dynamo=True,
            input_names=[PIXELS],
            output_names=[LOGITS],
            dynamic_shapes=({0: torch.export.Dim("N")},),
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    _forget_sources_(model)
    return model.SerializeToString()


def _forget_sources_(model: onnx.ModelProto) -> None:
    """Removes, in place, the source files and lines of this machine from which each operation was called."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.initializer, *graph.value_info, *graph.input, *graph.output):
        del part.metadata_props[:]
