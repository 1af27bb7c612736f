"""The results of deploying: a table of the files, their latencies, and the reasons."""

import pandas as pd
import streamlit as st

from compression.deploy.explanation import reasons
from compression.deploy.processor import this_cpu
from compression.deploy.variants import VariantKind
from compression.spec import CompressionSpec
from pages.ui import wording
from pages.ui.charts import deploy as deploy_charts
from pages.ui.charts import show
from pages.ui.compute import compressed
from pages.ui.deploy import run
from pages.ui.frame.metrics import bit_operations_metric, size_metric, sparsity_metric
from pages.ui.settings import selection

UNKNOWN = ""
FILES = {
    VariantKind.FLOAT: "Float",
    VariantKind.COMPRESSED: "Compressed, in float",
    VariantKind.INT8: "Int8",
    VariantKind.INT8_CHAIN: "Int8 chain",
    VariantKind.SMALLER: "Fewer filters",
}
WORDS = """\
Agrees: for how many of all test images the file predicts the same class as the simulation in PyTorch. Int8: inputs of
layers are 8-bit integers, and weights are symmetric integers of at most 8 bits. Int8 chain: sums between layers are
integers too, so the runtime does not go back to float. Moved: bytes for one image, counting each weight once and all
inputs and outputs of every operation. Weights of fewer bits are stored as int8, because ONNX Runtime has no
convolutions of 4-bit integers. Fewer filters: the filters that your settings prune or merge are removed, without
retraining."""


def metrics(model: str) -> None:
    """Shows size, sparsity and bit operations."""
    found, as_float = compressed.answer(selection.spec(model)), compressed.answer(CompressionSpec(model))
    size, sparsity, operations = st.columns(3)
    size_metric(size, found)
    sparsity_metric(sparsity, found)
    bit_operations_metric(operations, as_float.bit_operations, found.bit_operations)


def draw(model: str) -> None:
    """Shows the results so far; without any, explains what will be shown."""
    found = run.known(selection.spec(model))
    if not any(each.file for each in found.files):
        st.caption(WORDS)
        return
    st.dataframe(
        _rows(found),
        hide_index=True,
        alt="The files: size, multiply-accumulates, bytes moved, int8 kernels, accuracy, agreement, latency",
    )
    if not found.timing.times:
        st.caption(WORDS)
        return
    times = found.timing.times
    batches = sorted({each.batch for each in times.latencies})
    for place, batch in zip(st.columns(len(batches)), batches, strict=True):
        of_batch = [each for each in times.latencies if each.batch == batch]
        with place:
            figure = deploy_charts.latencies(of_batch, {kind.value: FILES[kind] for kind in VariantKind}, show.ink())
            show.chart(figure, f"latency {batch}", f"Latency of each file at batch {batch}")
    built = {each.variant.kind: each.file for each in found.files if each.file}
    used = {VariantKind(name): each for name, each in times.kernels.items()}
    sentences = reasons(built, {kind: used[kind] for kind in VariantKind if kind in used}, times.latencies, this_cpu())
    st.markdown("\n".join(f"- {reason}" for reason in sentences))
    st.caption(WORDS)


def _rows(found: run.Known) -> pd.DataFrame:
    """Returns one row per file."""
    times = found.timing.times
    rows = []
    for each in found.files:
        kind, built = each.variant.kind, each.file
        checked = found.checks.get(kind)
        used = times.kernels.get(kind) if times else None
        latencies = {one.batch: one for one in times.latencies if one.name == kind} if times else {}
        rows.append(
            {
                "File": FILES[kind],
                "Size": wording.size(len(built.graph)) if built else UNKNOWN,
                "MACs": wording.quantity(built.macs) if built else UNKNOWN,
                "Bit ops": wording.quantity(built.bit_operations) if built else UNKNOWN,
                "Moved": wording.size(used.moved_bytes) if used else UNKNOWN,
                "In int8": f"{used.int8} of {used.total}" if used else UNKNOWN,
                "Accuracy": wording.percent(checked.correct / checked.images, 2) if checked else UNKNOWN,
                "Agrees": f"{checked.agree:,}" if checked else UNKNOWN,
                "1 image": f"{latencies[1].median_ms:.2f} ms" if 1 in latencies else UNKNOWN,
                "64 images": f"{latencies[64].median_ms:.1f} ms" if 64 in latencies else UNKNOWN,
            }
        )
    return pd.DataFrame(rows)
