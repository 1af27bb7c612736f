"""A network as ONNX: pixels in, logits out. And as a state dict.

    pixels (N, channels, height, width) uint8, N free -> logits (N, classes) float32

The normalisation is part of the graph. To export takes seconds and patches torch while it lasts: it is for processes in
which nobody else computes, as workers are, and not for a server of pages.
"""

import warnings

import onnx
import torch
from torch import Tensor, nn

from compression.data.cifar10 import SHAPE
from compression.data.split import Shape
from compression.deploy.runtime import LOGITS, PIXELS
from compression.networks.folding import fold_batch_norm
from compression.networks.normalization import Normalization


class _OfPixels(nn.Module):
    def __init__(self, module: nn.Module, normalization: Normalization) -> None:
        super().__init__()
        self.module, self.normalization = module, normalization

    def forward(self, pixels: Tensor) -> Tensor:
        return self.module(self.normalization(pixels))


def weight_name(layer: str) -> str:
    """What the weight of `layer` is called in a graph of `to_onnx`."""
    return f"module.{layer}.weight"


def to_onnx(module: nn.Module, normalization: Normalization, shape: Shape = SHAPE) -> bytes:
    """`module` as it computes, batch norm folded and with its forward pre-hooks: inputs that are quantized stay so."""
    whole = _OfPixels(fold_batch_norm(module), normalization).eval()
    example = torch.zeros(2, *shape, dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of its own parts
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
    """Takes out where in which file of this machine each operation was called."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.initializer, *graph.value_info, *graph.input, *graph.output):
        del part.metadata_props[:]
