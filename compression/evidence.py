"""What compression may need to know beside the weights: how the network answers to images that it was trained on."""

from dataclasses import dataclass

from torch import Tensor

from compression.calibration import Seen


@dataclass(frozen=True, eq=False)
class Sample:
    """`inputs` (N, ...) as the network takes them, normalised, and the classes `labels` (N,) int64 that are right."""

    inputs: Tensor
    labels: Tensor


@dataclass(frozen=True, eq=False)
class Evidence:
    """None: not at hand. What needs it then says so. `calibration`: what each layer of the float network saw."""

    sample: Sample | None = None
    calibration: Seen | None = None


NONE = Evidence()
