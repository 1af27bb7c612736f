"""What the processor of this machine is and which instructions for integers it has, as far as the system tells."""

import platform
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")

NAMES = ("model name", "Model", "Hardware")

FLAGS = ("flags", "Features")  # on x86, on ARM

INTEGERS = {
    "AMX": {"amx_int8"},
    "VNNI": {"avx512_vnni", "avx_vnni"},
    "AVX-512": {"avx512f"},
    "AVX2": {"avx2"},
    "dot product": {"asimddp"},
    "matrix multiply": {"i8mm"},
}

FAST = ("AMX", "VNNI", "dot product", "matrix multiply")  # four products of 8 bits and their sum at once, or more

SATURATING = ("AVX2", "AVX-512")  # two products and their sum at once, of 16 bits


@dataclass(frozen=True)
class Cpu:
    """`instructions`: those of INTEGERS that it has; None where the system does not tell."""

    name: str
    instructions: tuple[str, ...] | None

    @property
    def multiplies_int8(self) -> bool:
        """Whether it has instructions for sums of products of 8-bit integers."""
        return bool(set(self.instructions or ()) & set(FAST))

    @property
    def saturates(self) -> bool:
        """Whether the fastest that it has instead cuts such sums off at 16 bits."""
        return not self.multiplies_int8 and bool(set(self.instructions or ()) & set(SATURATING))


def this_cpu() -> Cpu:
    """The one of this machine."""
    try:
        return parse_cpuinfo(CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines())
    except OSError:
        return Cpu(platform.processor() or platform.machine(), None)


def parse_cpuinfo(lines: Iterable[str]) -> Cpu:
    """The first core of Linux's /proc/cpuinfo."""
    said: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        said.setdefault(name.strip(), value.strip())
    name = next((said[key] for key in NAMES if key in said), platform.machine())
    flags = next((set(said[key].split()) for key in FLAGS if key in said), None)
    return Cpu(name, None if flags is None else tuple(key for key, any_of in INTEGERS.items() if any_of & flags))
