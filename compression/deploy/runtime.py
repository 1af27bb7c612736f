"""ONNX Runtime on the processor of this machine: sessions, their logits, and the kernels that they use."""

import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx.parser
import onnxruntime
from onnx import numpy_helper

PIXELS, LOGITS = "pixels", "logits"

BATCH = 125

ERRORS_ONLY = 3

VIEWS = ("Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze")

PRODUCT = """<ir_version: 10, opset_import: ["": 20]>
product (uint8[8, 8] x, int8[8, 8] w) => (int32[8, 8] y) { y = MatMulInteger(x, w) }"""

SMALLEST_NORMAL = np.finfo(np.float32).tiny

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Kernels:
    """How many convolutions the runtime computes in integers and in float, and the bytes that it moves per image."""

    int8: int
    float32: int
    moved_bytes: int

    @property
    def total(self) -> int:
        """All convolutions."""
        return self.int8 + self.float32


@cache
def overflows() -> bool:
    """Returns whether the default int8 kernels give wrong results here, from a product of the largest codes.

    On x86 without VNNI, they add two products in 16 bits, and the sum saturates.
    """
    product = onnx.parser.parse_model(PRODUCT).SerializeToString()
    session = onnxruntime.InferenceSession(product, providers=["CPUExecutionProvider"])
    codes = {"x": np.full((8, 8), 255, np.uint8), "w": np.full((8, 8), 127, np.int8)}
    return bool((session.run(None, codes)[0] != 8 * 255 * 127).any())


def session_options(threads: int = 1) -> onnxruntime.SessionOptions:
    """Returns the settings of a session on `threads` threads.

    Idle threads sleep, because spinning threads of one session would slow down the next one. If the default int8
    kernels overflow, slower exact ones are used.
    """
    settings = onnxruntime.SessionOptions()
    settings.add_session_config_entry("session.x64quantprecision", str(int(overflows())))
    settings.intra_op_num_threads = threads
    settings.inter_op_num_threads = 1
    settings.log_severity_level = ERRORS_ONLY
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return settings


def open_session(graph: bytes, settings: onnxruntime.SessionOptions | None = None) -> onnxruntime.InferenceSession:
    """Returns a session of an ONNX file; by default with `session_options` for one thread."""
    return onnxruntime.InferenceSession(graph, settings or session_options(), providers=["CPUExecutionProvider"])


def image_shape(session: onnxruntime.InferenceSession) -> tuple[int, ...]:
    """Returns (channels, height, width) of the images that a graph takes."""
    return tuple(session.get_inputs()[0].shape[1:])


def logits(session: onnxruntime.InferenceSession, pixels: Pixels) -> npt.NDArray[np.float32]:
    """Returns the logits (N, classes) of pixels (N, channels, height, width)."""
    parts = (pixels[start : start + BATCH] for start in range(0, len(pixels), BATCH))
    return np.concatenate([session.run([LOGITS], {PIXELS: part})[0] for part in parts])


def extremes(graph: bytes, names: Sequence[str], pixels: Pixels) -> Mapping[str, tuple[float, float]]:
    """Returns the smallest and the largest value of each tensor in `names`, over all `pixels`."""
    model = onnx.load_from_string(graph)
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names)
    session = open_session(model.SerializeToString())
    outputs = [LOGITS, *names]  # an empty list would mean all outputs
    ranges: dict[str, tuple[float, float]] = {}
    for start in range(0, len(pixels), BATCH):
        _, *values = session.run(outputs, {PIXELS: pixels[start : start + BATCH]})
        for name, value in zip(names, values, strict=True):
            low, high = ranges.get(name, (np.inf, -np.inf))
            ranges[name] = min(low, float(value.min())), max(high, float(value.max()))
    return ranges


def count_kernels(graph: bytes) -> Kernels:
    """Returns the kernels of `graph`, from the profile that the runtime writes for one image.

    A convolution of the graph that does not run in integers counts as float. The runtime also turns some other
    operations into convolutions; these do not count.
    """
    with tempfile.TemporaryDirectory() as folder:
        settings = session_options()
        settings.enable_profiling = True
        settings.profile_file_prefix = f"{folder}/profile"
        session = open_session(graph, settings)
        session.run(None, {PIXELS: np.zeros((1, *image_shape(session)), np.uint8)})
        events = json.loads(Path(session.end_profiling()).read_text())
    operations = {event["name"]: event["args"] for event in events if "op_name" in event.get("args", ())}
    integers = sum(each["op_name"] == "QLinearConv" for each in operations.values())
    convolutions = sum(node.op_type == "Conv" for node in onnx.load_from_string(graph).graph.node)
    return Kernels(integers, convolutions - integers, moved_bytes(graph, operations.values()))


def moved_bytes(graph: bytes, operations: Iterable[Mapping[str, str]]) -> int:
    """Returns the bytes that are read and written: each constant of `graph` once, and the inputs and outputs of each of
    the `operations` of a profile, with the types and the padding that the runtime gives them. Views move nothing.
    """
    constants = sum(numpy_helper.to_array(each).nbytes for each in onnx.load_from_string(graph).graph.initializer)
    copying = (each for each in operations if each["op_name"] not in VIEWS)
    return constants + sum(int(each["activation_size"]) + int(each["output_size"]) for each in copying)


def count_subnormals(graph: bytes) -> int:
    """Returns how many float32 constants of `graph` are subnormal. Many processors take a hundred cycles for each."""
    tensors = (numpy_helper.to_array(each) for each in onnx.load_from_string(graph).graph.initializer)
    floats = (np.abs(each) for each in tensors if each.dtype == np.float32)
    return sum(int(np.count_nonzero((each > 0) & (each < SMALLEST_NORMAL))) for each in floats)
