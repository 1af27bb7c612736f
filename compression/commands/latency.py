"""`latency`: exports a network to ONNX in float and int8, verifies the files, and times them on this machine."""

import argparse
from collections.abc import Mapping
from dataclasses import asdict

import numpy as np
from tqdm import tqdm

from compression.commands.shared.inputs import image_count, network_and_spec
from compression.commands.shared.json_text import to_json
from compression.commands.shared.progress import follow_images
from compression.data.images import ImageSet, load
from compression.deploy.deployer import MOST_IMAGES
from compression.deploy.deployment import Check, compare_answers
from compression.deploy.explanation import reasons
from compression.deploy.latency import Latency, check_threads, measure_latencies
from compression.deploy.processor import Cpu, this_cpu
from compression.deploy.runtime import Kernels, count_kernels
from compression.deploy.tasks import predict_classes
from compression.deploy.variants import OnnxFile, Variant, VariantKind, build, variants
from compression.engine.cluster import engine
from compression.engine.evaluator import Evaluator
from compression.errors import DataError, DataMissing
from compression.networks.model import FloatModel
from compression.results.store import Store


def run(options: argparse.Namespace) -> None:
    """Prints the report. Where there are no test images, the files are timed and not verified."""
    threads, count = check_threads(options.threads), image_count(options.images)
    model, spec = network_and_spec(options)
    kinds = {each.kind: each for each in variants(spec, options.fewer_filters)}
    files, failures = _build_all(model, kinds)
    try:
        images = load()[:count]
    except DataMissing as error:
        images = None
        failures["check"] = str(error)
    checks = _checks(model, kinds, files, images) if images else {}
    with tqdm(total=1.0, desc="timing", bar_format="{desc}: {percentage:3.0f}%|{bar}|", leave=False) as bar:
        graphs = {str(kind): each.graph for kind, each in files.items()}
        latencies = measure_latencies(graphs, threads, report=lambda share: bar.update(share - bar.n))
    kernels = {kind: count_kernels(each.graph) for kind, each in files.items()}
    report = (files, kernels, latencies, checks, failures, this_cpu())
    print(as_json(*report) if options.json else as_words(*report))


def _build_all(
    model: FloatModel, kinds: Mapping[VariantKind, Variant]
) -> tuple[dict[VariantKind, OnnxFile], dict[str, str]]:
    """Returns the files by kind, and the reason for each kind that cannot be built."""
    files: dict[VariantKind, OnnxFile] = {}
    failures: dict[str, str] = {}
    for kind, variant in tqdm(kinds.items(), desc="exporting", leave=False):
        try:
            files[kind] = build(model, variant)
        except (DataError, ValueError) as error:
            failures[kind] = str(error)
    return files, failures


def _checks(
    model: FloatModel, kinds: Mapping[VariantKind, Variant], files: Mapping[VariantKind, OnnxFile], images: ImageSet
) -> dict[VariantKind, Check]:
    """Returns how each file classifies `images`, compared with PyTorch."""
    evaluator = Evaluator(engine(), Store(), images)
    checks = {}
    for kind, each in files.items():
        reading = follow_images(evaluator.follow(model, kinds[kind].spec), len(images), kind)
        if reading.whole is None:
            raise KeyboardInterrupt
        chunks = range(0, len(images), MOST_IMAGES)
        pixels = (images[start : start + MOST_IMAGES].pixels.numpy() for start in chunks)
        parts = [predict_classes(each.graph, part) for part in tqdm(pixels, f"{kind}, ONNX", len(chunks), leave=False)]
        checks[kind] = compare_answers(np.concatenate(parts), reading.whole)
    return checks


def as_words(
    files: Mapping[VariantKind, OnnxFile],
    kernels: Mapping[VariantKind, Kernels],
    latencies: tuple[Latency, ...],
    checks: Mapping[VariantKind, Check],
    failures: Mapping[str, str],
    processor: Cpu,
) -> str:
    """Returns a table with one row per file, and sentences that explain the times."""
    batches = sorted({each.batch for each in latencies})
    columns = "".join(f"{f'ms for {batch}':>11}{'p90':>9}" for batch in batches)
    lines = [f"{'':10} {'bytes':>10} {'MACs':>12} {'moved':>11} {'int8':>7}{columns} {'correct':>9} {'agree':>9}"]
    for kind, each in files.items():
        times = {one.batch: one for one in latencies if one.name == kind}
        cells = "".join(f"{times[batch].median_ms:11.3f}{times[batch].p90_ms:9.3f}" for batch in batches)
        each_check = checks.get(kind)
        right = f"{each_check.correct:9,} {each_check.agree:9,}" if each_check else f"{'.':>9} {'.':>9}"
        share = f"{kernels[kind].int8}/{kernels[kind].total}"
        lines.append(
            f"{kind:10} {len(each.graph):10,} {each.macs:12,} {kernels[kind].moved_bytes:11,} {share:>7}{cells} {right}"
        )
    images = next((f", on {each.images:,} images" for each in checks.values()), "")
    lines.append(
        f"agree: images classified as the simulation in PyTorch does{images}; int8: convolutions computed in integers; "
        "moved: bytes moved per image"
    )
    lines += reasons(files, kernels, latencies, processor)
    return "\n".join([*lines, *(f"no {what}: {why}" for what, why in failures.items())])


def as_json(
    files: Mapping[VariantKind, OnnxFile],
    kernels: Mapping[VariantKind, Kernels],
    latencies: tuple[Latency, ...],
    checks: Mapping[VariantKind, Check],
    failures: Mapping[str, str],
    processor: Cpu,
) -> str:
    """Returns the same as one JSON object."""
    kinds = {
        kind: {
            "bytes": len(each.graph),
            "macs": each.macs,
            "bit_operations": each.bit_operations,
            "convolutions": {"int8": kernels[kind].int8, "float": kernels[kind].float32},
            "bytes_moved": kernels[kind].moved_bytes,
            "check": asdict(checks[kind]) if kind in checks else None,
            "latencies": [asdict(one) for one in latencies if one.name == kind],
        }
        for kind, each in files.items()
    }
    words = reasons(files, kernels, latencies, processor)
    return to_json({"kinds": kinds, "missing": dict(failures), "cpu": asdict(processor), "verdict": words})
