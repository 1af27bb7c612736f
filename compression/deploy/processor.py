"""The processor of this machine: its name and its instructions for integers, as far as the system reports them."""

import platform
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")

NAMES = ("model name", "Model", "Hardware")

FLAGS = ("flags", "Features")  # on x86 and on ARM

INTEGERS = {
    "AMX": {"amx_int8"},
    "VNNI": {"avx512_vnni", "avx_vnni"},
    "AVX-512": {"avx512f"},
    "AVX2": {"avx2"},
    "dot product": {"asimddp"},
    "matrix multiply": {"i8mm"},
}

FAST = ("AMX", "VNNI", "dot product", "matrix multiply")  # each sums at least four 8-bit products at once

SATURATING = ("AVX2", "AVX-512")  # each sums two 8-bit products at once, in 16 bits


@dataclass(frozen=True)
class Cpu:
    """A processor. `instructions` are its entries of INTEGERS; None if the system does not report them."""

    name: str
    instructions: tuple[str, ...] | None

    @property
    def multiplies_int8(self) -> bool:
        """Whether it has instructions for sums of 8-bit products."""
        return bool(set(self.instructions or ()) & set(FAST))

    @property
    def saturates(self) -> bool:
        """Whether its fastest other instructions saturate such sums at 16 bits."""
        return not self.multiplies_int8 and bool(set(self.instructions or ()) & set(SATURATING))


def this_cpu() -> Cpu:
    """Returns the processor of this machine."""
    try:
        return parse_cpuinfo(CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines())
    except OSError:
        return Cpu(platform.processor() or platform.machine(), None)


def parse_cpuinfo(lines: Iterable[str]) -> Cpu:
    """Returns the processor that the lines of Linux's /proc/cpuinfo describe, from its first core."""
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    name = next((fields[key] for key in NAMES if key in fields), platform.machine())
    flags = next((set(fields[key].split()) for key in FLAGS if key in fields), None)
    return Cpu(name, None if flags is None else tuple(key for key, any_of in INTEGERS.items() if any_of & flags))
