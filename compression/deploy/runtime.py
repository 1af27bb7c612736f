"""ONNX Runtime on this machine's processor: sessions, what they answer, and which kernels they really use."""

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
    """How many convolutions a runtime does in integers, and in float; and the bytes that it moves for one image."""

    int8: int
    float32: int
    moved_bytes: int

    @property
    def total(self) -> int:
        return self.int8 + self.float32


@cache
def overflows() -> bool:
    """Whether the runtime's usual kernels for int8 are wrong here: on x86 without VNNI they add two products in 16
    bits, and cut off what is beyond. Found out by multiplying the largest codes.
    """
    product = onnx.parser.parse_model(PRODUCT).SerializeToString()
    running = onnxruntime.InferenceSession(product, providers=["CPUExecutionProvider"])
    codes = {"x": np.full((8, 8), 255, np.uint8), "w": np.full((8, 8), 127, np.int8)}
    return bool((running.run(None, codes)[0] != 8 * 255 * 127).any())


def session_options(threads: int = 1) -> onnxruntime.SessionOptions:
    """Threads go to sleep as soon as they are done: spinning, those of one session would slow down the next one. Where
    the kernels for int8 overflow, slower ones that do not take their place.
    """
    found = onnxruntime.SessionOptions()
    found.add_session_config_entry("session.x64quantprecision", str(int(overflows())))
    found.intra_op_num_threads = threads
    found.inter_op_num_threads = 1
    found.log_severity_level = ERRORS_ONLY
    found.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return found


def open_session(graph: bytes, chosen: onnxruntime.SessionOptions | None = None) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(graph, chosen or session_options(), providers=["CPUExecutionProvider"])


def image_shape(running: onnxruntime.InferenceSession) -> tuple[int, ...]:
    """Returns (channels, height, width) of the images that a graph takes."""
    return tuple(running.get_inputs()[0].shape[1:])


def logits(running: onnxruntime.InferenceSession, pixels: Pixels) -> npt.NDArray[np.float32]:
    """pixels (N, channels, height, width) -> (N, classes)."""
    parts = (pixels[start : start + BATCH] for start in range(0, len(pixels), BATCH))
    return np.concatenate([running.run([LOGITS], {PIXELS: part})[0] for part in parts])


def extremes(graph: bytes, names: Sequence[str], pixels: Pixels) -> Mapping[str, tuple[float, float]]:
    """The least and the greatest value that each of the tensors `names` has for any of `pixels`."""
    model = onnx.load_from_string(graph)
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names)
    running = open_session(model.SerializeToString())
    wanted = [LOGITS, *names]  # asked for nothing, a runtime gives everything
    found: dict[str, tuple[float, float]] = {}
    for start in range(0, len(pixels), BATCH):
        _, *values = running.run(wanted, {PIXELS: pixels[start : start + BATCH]})
        for name, value in zip(names, values, strict=True):
            low, high = found.get(name, (np.inf, -np.inf))
            found[name] = min(low, float(value.min())), max(high, float(value.max()))
    return found


def count_kernels(graph: bytes) -> Kernels:
    """What the runtime's own profile of one image says of `graph`.

    A convolution that is not seen in integers is float. The runtime makes convolutions of other operations too: they do
    not count.
    """
    with tempfile.TemporaryDirectory() as folder:
        chosen = session_options()
        chosen.enable_profiling = True
        chosen.profile_file_prefix = f"{folder}/profile"
        running = open_session(graph, chosen)
        running.run(None, {PIXELS: np.zeros((1, *image_shape(running)), np.uint8)})
        events = json.loads(Path(running.end_profiling()).read_text())
    used = {event["name"]: event["args"] for event in events if "op_name" in event.get("args", ())}
    integers = sum(each["op_name"] == "QLinearConv" for each in used.values())
    convolutions = sum(node.op_type == "Conv" for node in onnx.load_from_string(graph).graph.node)
    return Kernels(integers, convolutions - integers, moved_bytes(graph, used.values()))


def moved_bytes(graph: bytes, operations: Iterable[Mapping[str, str]]) -> int:
    """Bytes that are read and written: each number of `graph` once, and all that goes into and comes out of each of the
    `operations` of a profile, in the width and with the padding that the runtime gives it. A view moves nothing.
    """
    constants = sum(numpy_helper.to_array(each).nbytes for each in onnx.load_from_string(graph).graph.initializer)
    working = (each for each in operations if each["op_name"] not in VIEWS)
    return constants + sum(int(each["activation_size"]) + int(each["output_size"]) for each in working)


def count_subnormals(graph: bytes) -> int:
    """How many numbers of `graph` are subnormal in float32: many processors take a hundred cycles for each."""
    tensors = (numpy_helper.to_array(each) for each in onnx.load_from_string(graph).graph.initializer)
    floats = (np.abs(each) for each in tensors if each.dtype == np.float32)
    return sum(int(np.count_nonzero((each > 0) & (each < SMALLEST_NORMAL))) for each in floats)
