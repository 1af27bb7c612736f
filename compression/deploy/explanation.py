"""Why a compressed network is or is not faster on this machine, in words, from what was measured."""

from collections.abc import Mapping, Sequence

from compression.deploy.latency import Latency
from compression.deploy.processor import FAST, Cpu
from compression.deploy.runtime import Kernels
from compression.deploy.variants import OnnxFile, VariantKind

WORTH_SAYING = 0.005  # of the weights

AS_FAST = "as fast"

ALIKE = 1.05  # a ratio that is no more is within what runs differ by

NAMES = {
    VariantKind.FLOAT: "The float network",
    VariantKind.AS_SET: "The network as set",
    VariantKind.INT8: "Int8",
    VariantKind.INT8_CHAIN: "Int8 in one chain",
    VariantKind.SMALLER: "The smaller network",
}


def reasons(
    built: Mapping[VariantKind, OnnxFile],
    kernels: Mapping[VariantKind, Kernels],
    latencies: Sequence[Latency],
    cpu: Cpu,
) -> list[str]:
    """Sentences; of each kind that was measured those that apply. `latencies` are named by their kinds."""
    found = [
        _times(kind, latencies) for kind in kernels if kind is not VariantKind.FLOAT and VariantKind.FLOAT in kernels
    ]
    found += [
        _integers(kind, kernels[kind], kernels.get(VariantKind.FLOAT))
        for kind in kernels
        if kind.integers and kernels[kind].total
    ]
    if any(kind.integers for kind in kernels):
        found.append(_processor(cpu))
    zeros = built[VariantKind.AS_SET].sparsity if VariantKind.AS_SET in built else 0.0
    if zeros > WORTH_SAYING:
        found.append(
            f"{zeros:.1%} of the weights as set are zero, and multiplied all the same: these kernels skip no zeros, "
            "wherever they lie."
        )
    whole, few = (built[kind].macs if kind in built else 0 for kind in (VariantKind.FLOAT, VariantKind.SMALLER))
    if 0 < few < whole:
        found.append(
            f"With filters taken out, {few / whole:.1%} of the multiplications are left. That is less work for any "
            "kernel, though narrow layers use a processor less well."
        )
    found += [
        f"{NAMES[kind]} has {each.subnormals:,} subnormal number{'s' * (each.subnormals > 1)}: many processors take a "
        "hundred cycles for one."
        for kind, each in built.items()
        if each.subnormals
    ]
    return found


def compare_speed(latency: Latency, than: Latency) -> str:
    """ "1.8 times faster", "1.3 times slower" or "as fast"."""
    ratio = than.median_ms / latency.median_ms
    if 1 / ALIKE <= ratio <= ALIKE:
        return AS_FAST
    return f"{ratio:.1f} times faster" if ratio > 1 else f"{1 / ratio:.1f} times slower"


def _times(kind: VariantKind, latencies: Sequence[Latency]) -> str:
    """ "Int8 is 1.4 times slower than float for one image, and as fast as float for 64 at once." """
    as_float = {each.batch: each for each in latencies if each.name == VariantKind.FLOAT}
    said: dict[str, list[str]] = {}
    for each in latencies:
        if each.name == kind:
            images = f"{each.batch} at once" if each.batch > 1 else "one image"
            said.setdefault(compare_speed(each, as_float[each.batch]), []).append(images)
    parts = [
        f"{words} {'as' if words == AS_FAST else 'than'} float for {' and for '.join(batches)}"
        for words, batches in said.items()
    ]
    return f"{NAMES[kind]} is {', and '.join(parts)}."


def _integers(kind: VariantKind, found: Kernels, as_float: Kernels | None) -> str:
    moves = f" and moves {_bytes(found.moved_bytes / as_float.moved_bytes)} float" if as_float else ""
    sentence = f"{NAMES[kind]} runs {found.int8} of its {found.total} convolutions in integers{moves}"
    if not found.float32:
        return f"{sentence}."
    return (
        f"{sentence}. The others are float, with conversions around them: they were left so, or what they answer goes "
        "on as float, to be added up, joined or averaged, or to a layer that was left so."
    )


def _bytes(ratio: float) -> str:
    if 1 / ALIKE <= ratio <= ALIKE:
        return "as many bytes as"
    return f"{ratio:.1f} times more bytes than" if ratio > 1 else f"{1 / ratio:.1f} times fewer bytes than"


def _processor(cpu: Cpu) -> str:
    """What the processor has for integers."""
    if cpu.instructions is None:
        return f"What {cpu.name or 'this processor'} has for integers, its system does not tell."
    if cpu.multiplies_int8:
        able = " and ".join(name for name in cpu.instructions if name in FAST)
        return (
            f"This processor ({cpu.name}) multiplies 8-bit integers at once ({able}), several times as many as floats."
        )
    slow = f"This processor ({cpu.name}) has no instructions for sums of 8-bit products"
    if not cpu.saturates:
        return f"{slow}: they are widened first, which takes most of the gain."
    return (
        f"{slow} (VNNI, AMX): they are widened first, which takes most of the gain. ONNX Runtime does so here because "
        "it was told to, by session.x64quantprecision=1; by itself it cuts such sums off at 16 bits, which is wrong."
    )
