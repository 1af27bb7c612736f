"""Latencies, who measures them, and what they come to in words. No test asserts on time."""

import platform
import subprocess
import sys
import tempfile
import time

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from compression.deploy.explanation import compare_speed, reasons
from compression.deploy.latency import Latency, measure_latencies, summarize
from compression.deploy.processor import Cpu, parse_cpuinfo, this_cpu
from compression.deploy.runtime import LOGITS, PIXELS, Kernels, moved_bytes, overflows, session_options
from compression.deploy.stopwatch import Stopwatch, Timing
from compression.deploy.variants import OnnxFile, VariantKind
from compression.paths import PROJECT
from tests.support.disks import full_disk

XEON = Cpu("Xeon", ("VNNI", "AVX-512", "AVX2"))
OLD = Cpu("Old", ("AVX2",))
MOVED = 3072 + 12288 + 12288 + 4  # pixels into Cast, floats out of it and into the sum, one number out


def sum_graph() -> bytes:
    """Returns a graph: pixels -> their sums as floats."""
    nodes = [
        helper.make_node("Cast", [PIXELS], ["x"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["x"], [LOGITS], keepdims=0),
    ]
    inputs = [helper.make_tensor_value_info(PIXELS, TensorProto.UINT8, ["N", 3, 32, 32])]
    outputs = [helper.make_empty_tensor_value_info(LOGITS)]
    opset = [helper.make_opsetid("", 20)]
    return helper.make_model(
        helper.make_graph(nodes, "sum", inputs, outputs), opset_imports=opset, ir_version=10
    ).SerializeToString()


@pytest.fixture(scope="module")
def graph() -> bytes:
    return sum_graph()


def latency(kind: VariantKind, batch: int, median_ms: float) -> Latency:
    return Latency(kind, batch, 1, median_ms, median_ms, 10)


def file_of(macs: int = 100, sparsity: float = 0.0, few: int = 0) -> OnnxFile:
    return OnnxFile(b"", macs, macs, sparsity, few)


def wait(stopwatch: Stopwatch, what: str, graphs: dict[str, bytes]) -> Timing:
    while not (timing := stopwatch.look(what, graphs, 1)).done:
        time.sleep(0.05)
    return timing


def test_the_median_and_the_90th_percentile_on_paper():
    latency = summarize("a", 1, 2, [*range(1, 11), 100.0])
    assert latency == Latency("a", 1, 2, median_ms=6.0, p90_ms=10.0, runs=11)


def test_every_graph_is_run_at_every_batch(graph):
    shares: list[float] = []
    latencies = measure_latencies({"a": graph, "b": graph}, 1, {1: 3, 4: 2}, shares.append)
    assert [(each.name, each.batch, each.runs) for each in latencies] == [
        ("a", 1, 3),
        ("b", 1, 3),
        ("a", 4, 2),
        ("b", 4, 2),
    ]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    with pytest.raises(ValueError, match="at least 1"):
        measure_latencies({"a": graph}, 0)


def test_moved_bytes_count_constants_once_and_the_inputs_and_outputs_of_operations():
    halves = numpy_helper.from_array(np.array([0.5, 0.5, 0.5], np.float32), "halves")
    codes = numpy_helper.from_array(np.zeros((2, 3), np.int8), "codes")
    graph = helper.make_model(helper.make_graph([], "constants", [], [], [halves, codes])).SerializeToString()
    operations = [
        {"op_name": "Conv", "activation_size": "100", "parameter_size": "18", "output_size": "40"},
        {"op_name": "Reshape", "activation_size": "40", "parameter_size": "16", "output_size": "40"},
        {"op_name": "Gemm", "activation_size": "40", "parameter_size": "0", "output_size": "4"},
    ]
    assert moved_bytes(graph, operations) == 3 * 4 + 6 + 100 + 40 + 40 + 4


def test_a_stopwatch_measures_in_another_process_and_keeps_the_times(graph):
    stopwatch = Stopwatch({1: 2})
    measurements = wait(stopwatch, "x", {"a": graph}).times
    assert measurements is not None
    assert [(each.name, each.batch, each.runs) for each in measurements.latencies] == [("a", 1, 2)]
    assert measurements.kernels == {"a": Kernels(0, 0, MOVED)}
    assert stopwatch.look("x", {}, 1, go=False).times == measurements
    assert stopwatch.look("x", {}, 2, go=False) == Timing()
    stopwatch.forget("x", 1)
    assert stopwatch.look("x", {}, 1, go=False) == Timing()


def test_a_stopwatch_measures_with_this_code_wherever_the_server_was_started(graph, tmp_path, monkeypatch):
    (tmp_path / "compression").mkdir()
    (tmp_path / "compression" / "__init__.py").write_text("raise RuntimeError('another one')")
    monkeypatch.chdir(tmp_path)
    assert wait(Stopwatch({1: 2}), "x", {"a": graph}).error is None


def test_a_stopwatch_that_cannot_write_says_so_and_leaves_nothing_behind(graph, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    timing = wait(Stopwatch({1: 2}), "x", {"no/such/folder": graph})
    assert "No such file" in timing.error
    assert not list(tmp_path.iterdir())


def test_a_stopwatch_says_that_the_disk_is_full(graph, monkeypatch):
    monkeypatch.setattr(tempfile, "mkdtemp", full_disk)
    assert wait(Stopwatch({1: 2}), "x", {"a": graph}).error == "No space left on device"


def test_a_stopwatch_says_why_it_could_not_measure():
    stopwatch = Stopwatch({1: 2})
    timing = wait(stopwatch, "x", {"a": b"no graph"})
    assert timing.times is None
    assert timing.error is not None
    assert "protobuf" in timing.error.lower()


def test_a_running_measurement_delays_the_next_one(graph):
    stopwatch = Stopwatch({1: 2})
    stopwatch.look("x", {"a": graph}, 1)
    assert stopwatch.look("y", {"a": graph}, 1) == Timing()
    assert wait(stopwatch, "y", {"a": graph}).times
    assert stopwatch.look("x", {}, 1, go=False).times
    stopwatch.close()


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["model name : Xeon", "flags : avx2 avx512f avx512_vnni", "model name : other"], XEON),
        (["model name\t: Old", "flags\t: sse2 avx2"], OLD),
        (["Hardware : Pi", "Features : fp asimd asimddp"], Cpu("Pi", ("dot product",))),
    ],
)
def test_a_processor_is_read_from_proc_cpuinfo(lines, expected):
    assert parse_cpuinfo(lines) == expected


def test_this_machine_has_a_processor():
    assert isinstance(this_cpu(), Cpu)
    assert parse_cpuinfo(["nothing : known"]).instructions is None


@pytest.mark.parametrize(
    ("median_ms", "words"), [(5.0, "2.0 times faster"), (20.0, "2.0 times slower"), (10.3, "as fast"), (9.7, "as fast")]
)
def test_the_words_for_a_ratio_of_times(median_ms, words):
    assert compare_speed(latency(VariantKind.INT8, 1, median_ms), latency(VariantKind.FLOAT, 1, 10.0)) == words


def test_the_verdict_gives_the_reasons_that_apply_and_no_others():
    times = [latency(VariantKind.FLOAT, 1, 10.0), latency(VariantKind.INT8, 1, 20.0)]
    times += [latency(VariantKind.FLOAT, 64, 10.0), latency(VariantKind.INT8, 64, 10.0)]
    kernels = {VariantKind.FLOAT: Kernels(0, 21, 1000), VariantKind.INT8: Kernels(9, 12, 1500)}
    sentences = reasons({kind: file_of() for kind in kernels}, kernels, times, XEON)
    assert sentences[0] == "Int8 is 2.0 times slower than float for one image, and as fast as float for 64 at once."
    assert "9 of its 21 convolutions in integers and moves 1.5 times more bytes than float." in sentences[1]
    assert "added, concatenated or averaged" in sentences[1]
    assert "(VNNI)" in sentences[2]
    assert len(sentences) == 3


def test_the_verdict_names_zeros_filters_subnormals_and_an_old_processor():
    kinds = (VariantKind.FLOAT, VariantKind.COMPRESSED, VariantKind.INT8_CHAIN, VariantKind.SMALLER)
    kernels = {kind: Kernels(*((3, 0, 500) if kind is VariantKind.INT8_CHAIN else (0, 3, 1000))) for kind in kinds}
    times = [latency(kind, batch, 10.0) for kind in kinds for batch in (1, 64)]
    files = {kind: file_of() for kind in kinds} | {
        VariantKind.COMPRESSED: file_of(sparsity=0.9, few=7),
        VariantKind.SMALLER: file_of(macs=50),
    }
    words = " ".join(reasons(files, kernels, times, OLD))
    assert "The compressed network in float is as fast as float for one image and for 64 at once." in words
    assert "3 of its 3 convolutions in integers and moves 2.0 times fewer bytes than float." in words
    assert "no instructions for sums of 8-bit products" in words
    assert "session.x64quantprecision=1" in words
    assert "90.0% of the weights of the compressed network are zero. This does not save time" in words
    assert "50.0% of the multiply-accumulates" in words
    assert "7 subnormal numbers" in words
    assert "added, concatenated" not in words


def test_the_verdict_mentions_only_what_exists():
    """There is no float file to compare with, no convolution, no pruned filter, and one subnormal number."""
    compressed = {
        VariantKind.COMPRESSED: file_of(sparsity=0.999, few=1),
        VariantKind.INT8: file_of(),
        VariantKind.SMALLER: file_of(),
    }
    sentences = reasons(
        compressed, {kind: Kernels(0, 0, 0) for kind in compressed}, [latency(VariantKind.INT8, 1, 10.0)], Cpu("Pi", ())
    )
    assert sentences == [
        "This processor (Pi) has no instructions for sums of 8-bit products. The integers are widened first, which "
        "takes most of the gain.",
        "99.9% of the weights of the compressed network are zero. This does not save time, because these kernels "
        "multiply zeros like all other weights.",
        "The compressed network in float has 1 subnormal number. Many processors take a hundred cycles for one.",
    ]


def test_the_runtime_uses_exact_kernels_where_the_default_ones_overflow():
    if platform.machine() in ("x86_64", "AMD64") and (here := this_cpu()).instructions is not None:
        assert overflows() == here.saturates
    assert session_options().get_session_config_entry("session.x64quantprecision") == str(int(overflows()))


def test_the_process_that_measures_imports_no_torch():
    program = "import sys, compression.deploy.latency_process; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=PROJECT, check=False).returncode == 0
