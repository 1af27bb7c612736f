"""Exports a compressed network as ONNX with int8 weights and uint8 inputs, for integer kernels.

Each layer has QuantizeLinear and DequantizeLinear operations before and after it. Weights are int8 and inputs are
uint8, with the codes and scales of the simulation; biases are int32 of scale s_w s_x. A runtime can use integer kernels
only for a layer whose output is quantized immediately. A sum after the layer, as in a shortcut, prevents that, unless
the sum is quantized too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor

from compression.core.record import CompressedModel, LayerRecord
from compression.data.cifar10 import SHAPE
from compression.data.split import Shape
from compression.deploy.float_onnx import to_onnx, weight_name
from compression.deploy.runtime import extremes
from compression.networks.folding import fold_batch_norm
from compression.networks.normalization import Normalization
from compression.quantization.activations import InputQuantizer
from compression.quantization.quantizers import QParams, affine_qparams, quantize

BITS = 8

PRODUCTS = ("Conv", "Gemm")

BETWEEN_LAYERS = ("Add", "Concat", "ReduceMean", "GlobalAveragePool")

MOST_BIAS = 2**30  # leaves room in int32 for the sum that the bias is added to

SMALLEST_STEP = 1e-30  # smallest step of a bias: divided by the scale of any output, it is still a normal float32

Constants = dict[str, npt.NDArray[np.generic]]


@dataclass(frozen=True, eq=False)
class _QuantizedLayer:
    """A layer whose weights and inputs are quantized to integers."""

    record: LayerRecord
    weights: QParams
    inputs: InputQuantizer


def to_int8(
    compressed: CompressedModel, normalization: Normalization, sample: Tensor | None = None, shape: Shape = SHAPE
) -> bytes:
    """Returns the ONNX file of `compressed`: quantized layers compute in 8-bit integers, and float layers stay float.

    With `sample`, training images (N, channels, height, width) uint8, tensors that are added, concatenated or averaged
    between layers are quantized too, with the range that they have on these images. Then all operations compute in
    integers, and the network is less precise than the simulation of `compressed`.

    Raises ValueError if batch norm is not folded, or if a layer has codes that int8 kernels do not support.
    """
    layers = {
        weight_name(layer.name): _quantized_layer(layer) for layer in compressed.layers if layer.qparams or layer.inputs
    }
    plain = replace(compressed, layers=tuple(replace(layer, inputs=None) for layer in compressed.layers)).module
    if fold_batch_norm(plain) is not plain:
        raise ValueError("int8 needs batch norm folded first: folding after quantization changes the quantized weights")
    graph = to_onnx(plain, normalization, shape)
    model = onnx.load_from_string(graph)
    between = None if sample is None else _ranges(extremes(graph, _tensors_between_layers(model.graph), sample.numpy()))
    _insert_integers_(model.graph, layers, between)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _quantized_layer(record: LayerRecord) -> _QuantizedLayer:
    weights, inputs = record.qparams, record.inputs
    if (
        not isinstance(weights, QParams)
        or weights.group_size
        or bool(weights.zero_point.any())
        or not -(2 ** (BITS - 1)) <= weights.low <= weights.high < 2 ** (BITS - 1)
    ):
        raise ValueError(
            f"the weights of layer {record.name} do not fit int8 kernels: they must be symmetric, with at most {BITS} "
            "bits and one scale per tensor or per channel"
        )
    if inputs is None or inputs.bits != BITS:
        raise ValueError(f"layer {record.name} has inputs of {record.activation_bits} bits; int8 kernels need {BITS}")
    return _QuantizedLayer(record, weights, inputs)


def _tensors_between_layers(graph: onnx.GraphProto) -> list[str]:
    """Returns the names of the tensors that are added, concatenated or averaged."""
    constants = {each.name for each in graph.initializer}
    names = dict.fromkeys(name for node in graph.node if node.op_type in BETWEEN_LAYERS for name in node.input)
    return [name for name in names if name not in constants]


def _ranges(ends: Mapping[str, tuple[float, float]]) -> dict[str, InputQuantizer]:
    qparams = {name: affine_qparams(torch.tensor(low), torch.tensor(high), BITS) for name, (low, high) in ends.items()}
    return {name: InputQuantizer(BITS, float(each.scale), int(each.zero_point)) for name, each in qparams.items()}


def _insert_integers_(
    graph: onnx.GraphProto, layers: Mapping[str, _QuantizedLayer], between: Mapping[str, InputQuantizer] | None
) -> None:
    """Inserts quantization into `graph`, in place, for `layers` by the name of their weight, and for the tensors in
    `between` by their name. With `between`, all readers of a quantized tensor read its codes.
    """
    readers = {node.input[1]: node for node in graph.node if node.op_type in PRODUCTS and node.input[1] in layers}
    if unmatched := [each.record.name for weight, each in layers.items() if weight not in readers]:
        raise ValueError(f"layer {unmatched[0]} is not a single operation in ONNX: keep it in float, with 32 bits")
    quantizers = {**(between or {}), **{node.input[0]: layers[name].inputs for name, node in readers.items()}}
    floats = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    constants: Constants = {}
    nodes = []
    for node in graph.node:
        layer = layers.get(node.input[1]) if node.op_type in PRODUCTS else None
        weight_and_bias = list(node.input[1:])
        if layer or between is not None:
            for place, name in enumerate(node.input):
                node.input[place] = _dequantized_name(name) if name in quantizers else name
        if layer:
            constants |= _constants(layer, weight_and_bias, floats)
            for place, name in enumerate(weight_and_bias, start=1):
                nodes.append(_dequantize(name, axis=0))
                node.input[place] = _dequantized_name(name)
        nodes.append(node)
        for name in node.output:
            if name in quantizers:
                constants |= _step_constants(name, quantizers[name])
                steps = [f"{name}.scale", f"{name}.zero"]
                nodes.append(helper.make_node("QuantizeLinear", [name, *steps], [f"{name}.codes"]))
                nodes.append(_dequantize(name))
    inputs = {name for node in nodes for name in node.input}
    initializers = [each for each in graph.initializer if each.name in inputs]
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.initializer.extend(initializers)
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())


def _constants(layer: _QuantizedLayer, weight_and_bias: list[str], floats: Constants) -> Constants:
    """Returns the codes, scales and zero points of a weight and, if there is one, a bias.

    If the weights of a channel are so small that its bias, in steps of s_w s_x, would not fit int32, the channel gets
    larger steps; the error of its weights is then below 2^-30 of the bias. A channel of zeros gets steps for its bias.
    """
    weight, *bias = weight_and_bias
    steps = layer.inputs.scale
    scale = np.resize(layer.weights.scale.numpy(), len(layer.record.weight))
    values = floats[bias[0]] if bias else np.zeros_like(scale)
    least = np.maximum(np.abs(values) / MOST_BIAS, SMALLEST_STEP) / steps
    zeros = ~layer.record.weight.flatten(1).any(1).numpy()
    scale = np.where(zeros, least, np.maximum(scale, least)).astype(np.float32)
    shape = (-1, *[1] * (layer.record.weight.dim() - 1))
    qparams = replace(layer.weights, scale=torch.from_numpy(scale).view(shape), zero_point=torch.tensor(0))
    codes = quantize(layer.record.weight, qparams).numpy()
    constants = _code_constants(weight, codes.astype(np.int8), scale)
    if bias:
        scale = scale * np.float32(steps)
        constants |= _code_constants(bias[0], np.round(values / scale).astype(np.int32), scale)
    return constants


def _code_constants(name: str, codes: npt.NDArray[np.generic], scale: npt.NDArray[np.float32]) -> Constants:
    return {f"{name}.codes": codes, f"{name}.scale": scale, f"{name}.zero": np.zeros(len(scale), codes.dtype)}


def _step_constants(name: str, quantizer: InputQuantizer) -> Constants:
    return {
        f"{name}.scale": np.array(quantizer.scale, np.float32),
        f"{name}.zero": np.array(quantizer.zero_point, np.uint8),
    }


def _dequantize(name: str, axis: int | None = None) -> onnx.NodeProto:
    """Returns the operation that dequantizes the tensor `name`; with `axis`, each channel along it has a scale."""
    inputs = [f"{name}.{part}" for part in ("codes", "scale", "zero")]
    return helper.make_node("DequantizeLinear", inputs, [_dequantized_name(name)], axis=axis)


def _dequantized_name(name: str) -> str:
    return f"{name}.dequantized"
