"""Explains in sentences why a compressed network is or is not faster on this machine, from what was measured."""

from collections.abc import Mapping, Sequence

from compression.deploy.latency import Latency
from compression.deploy.processor import FAST, Cpu
from compression.deploy.runtime import Kernels
from compression.deploy.variants import OnnxFile, VariantKind

LEAST_SPARSITY = 0.005  # a smaller sparsity is not mentioned

AS_FAST = "as fast"

SIMILAR = 1.05  # a ratio up to this is within the differences between two runs

NAMES = {
    VariantKind.FLOAT: "The float network",
    VariantKind.COMPRESSED: "The compressed network in float",
    VariantKind.INT8: "Int8",
    VariantKind.INT8_CHAIN: "Int8 chain",
    VariantKind.SMALLER: "The network without pruned filters",
}


def reasons(
    files: Mapping[VariantKind, OnnxFile],
    kernels: Mapping[VariantKind, Kernels],
    latencies: Sequence[Latency],
    cpu: Cpu,
) -> list[str]:
    """Returns the sentences that apply. `kernels` are those of the kinds that were measured; `latencies` are named by
    their kinds.
    """
    others = [kind for kind in kernels if kind is not VariantKind.FLOAT and VariantKind.FLOAT in kernels]
    sentences = [_speed(kind, latencies) for kind in others]
    sentences += [
        _integer_kernels(kind, kernels[kind], kernels.get(VariantKind.FLOAT))
        for kind in kernels
        if kind.integers and kernels[kind].total
    ]
    if any(kind.integers for kind in kernels):
        sentences.append(_processor(cpu))
    sparsity = files[VariantKind.COMPRESSED].sparsity if VariantKind.COMPRESSED in files else 0.0
    if sparsity > LEAST_SPARSITY:
        sentences.append(
            f"{sparsity:.1%} of the weights of the compressed network are zero. This does not save time, because these "
            "kernels multiply zeros like all other weights."
        )
    float_macs, macs = (files[kind].macs if kind in files else 0 for kind in (VariantKind.FLOAT, VariantKind.SMALLER))
    if 0 < macs < float_macs:
        sentences.append(
            f"The network without pruned filters has {macs / float_macs:.1%} of the multiply-accumulates. That is less "
            "work for any kernel, but narrow layers use a processor less well."
        )
    sentences += [
        f"{NAMES[kind]} has {file.subnormals:,} subnormal number{'s' * (file.subnormals > 1)}. Many processors take a "
        "hundred cycles for one."
        for kind, file in files.items()
        if file.subnormals
    ]
    return sentences


def compare_speed(latency: Latency, other: Latency) -> str:
    """Returns "1.8 times faster", "1.3 times slower" or "as fast"."""
    ratio = other.median_ms / latency.median_ms
    if 1 / SIMILAR <= ratio <= SIMILAR:
        return AS_FAST
    return f"{ratio:.1f} times faster" if ratio > 1 else f"{1 / ratio:.1f} times slower"


def _speed(kind: VariantKind, latencies: Sequence[Latency]) -> str:
    """Returns "Int8 is 1.4 times slower than float for one image, and as fast as float for 64 at once."."""
    float_latencies = {each.batch: each for each in latencies if each.name == VariantKind.FLOAT}
    batches: dict[str, list[str]] = {}
    for each in latencies:
        if each.name == kind:
            images = f"{each.batch} at once" if each.batch > 1 else "one image"
            batches.setdefault(compare_speed(each, float_latencies[each.batch]), []).append(images)
    parts = [
        f"{speed} {'as' if speed == AS_FAST else 'than'} float for {' and for '.join(images)}"
        for speed, images in batches.items()
    ]
    return f"{NAMES[kind]} is {', and '.join(parts)}."


def _integer_kernels(kind: VariantKind, kernels: Kernels, float_kernels: Kernels | None) -> str:
    traffic = f" and moves {_bytes(kernels.moved_bytes / float_kernels.moved_bytes)} float" if float_kernels else ""
    sentence = f"{NAMES[kind]} computes {kernels.int8} of its {kernels.total} convolutions in integers{traffic}."
    if not kernels.float32:
        return sentence
    return (
        f"{sentence} The other convolutions run in float, with conversions around them: either the layer is kept in "
        "float, or its outputs are added, concatenated or averaged in float, or go to a layer that is kept in float."
    )


def _bytes(ratio: float) -> str:
    if 1 / SIMILAR <= ratio <= SIMILAR:
        return "as many bytes as"
    return f"{ratio:.1f} times more bytes than" if ratio > 1 else f"{1 / ratio:.1f} times fewer bytes than"


def _processor(cpu: Cpu) -> str:
    """Returns a sentence on the instructions of the processor for 8-bit integers."""
    if cpu.instructions is None:
        return f"It is unknown which integer instructions {cpu.name or 'this processor'} has."
    if cpu.multiplies_int8:
        names = " and ".join(name for name in cpu.instructions if name in FAST)
        return (
            f"This processor ({cpu.name}) has instructions for sums of 8-bit products ({names}). They compute several "
            "times as many products at once as float instructions do."
        )
    slow = f"This processor ({cpu.name}) has no instructions for sums of 8-bit products"
    widening = "The integers are widened first, which takes most of the gain."
    if not cpu.saturates:
        return f"{slow}. {widening}"
    return (
        f"{slow} (VNNI, AMX). {widening} The option session.x64quantprecision=1 of ONNX Runtime is set for that: by "
        "default, such sums saturate at 16 bits, which gives wrong results."
    )
