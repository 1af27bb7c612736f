"""The values of a scan: which layers and settings it measures, and what is known of it at one moment.

A scan compresses one layer at a time and leaves the rest of the network in float; so it shows how sensitive each is.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from compression.evaluation.evaluation import Evaluation
from compression.spec import CompressionSpec

IMAGES = 1000

Cells = Mapping[tuple[str, CompressionSpec], Evaluation]


@dataclass(frozen=True)
class Scan:
    """Each of `layers` alone, compressed as each of `specs` says of a whole network, on the first `images`."""

    specs: tuple[CompressionSpec, ...]
    layers: tuple[str, ...]
    images: int


@dataclass(frozen=True, eq=False)
class ScanReading:
    """What is known of a scan at one moment.

    `before` is the evaluation of the float network, None until it is complete. `cells` are the complete evaluations by
    layer and spec. `share` (0..1) of the work is done. `notice` and `error` are sentences for the reader.
    """

    scan: Scan
    before: Evaluation | None
    cells: Cells
    share: float
    seconds_left: float | None = None
    notice: str | None = None
    error: str | None = None

    @property
    def done(self) -> bool:
        """Whether the float network and all cells are evaluated."""
        return self.before is not None and len(self.cells) == len(self.scan.specs) * len(self.scan.layers)
