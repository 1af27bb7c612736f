"""What compression may need to know beside the weights: how the network answers to images that it was trained on."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor

from compression.quantization.calibration import LayerInputs

SAMPLE_BATCH = 125  # images; it divides the thousand of a sample


@dataclass(frozen=True, eq=False)
class Sample:
    """`inputs` (N, ...) as the network takes them, normalised, and the classes `labels` (N,) int64 that are right."""

    inputs: Tensor
    labels: Tensor

    @property
    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs and labels, SAMPLE_BATCH images at a time."""
        return zip(self.inputs.split(SAMPLE_BATCH), self.labels.split(SAMPLE_BATCH), strict=True)


@dataclass(frozen=True, eq=False)
class Evidence:
    """None: not at hand. What needs it then says so. `calibration`: what each layer of the float network saw.

    `gradients`: by layer name, of the loss on the sample by the float weights, folded where the spec folds them first.
    """

    sample: Sample | None = None
    calibration: LayerInputs | None = None
    gradients: Mapping[str, Tensor] | None = None


NO_EVIDENCE = Evidence()
