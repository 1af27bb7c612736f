"""What compression may need to know besides the weights: how the float network responds to training images."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor

from compression.quantization.calibration import LayerInputs

SAMPLE_BATCH = 125  # images per batch; a divisor of the 1,000 images of a sample


@dataclass(frozen=True, eq=False)
class Sample:
    """Labelled images: normalised network inputs `inputs` (N, ...) and their true classes `labels` (N,) int64."""

    inputs: Tensor
    labels: Tensor

    @property
    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs and labels in batches of SAMPLE_BATCH images; the last batch may be smaller."""
        return zip(self.inputs.split(SAMPLE_BATCH), self.labels.split(SAMPLE_BATCH), strict=True)


@dataclass(frozen=True, eq=False)
class Evidence:
    """A field is None if it is unavailable; code that needs it then raises ValueError.

    `sample`: images to re-estimate batch norm on, or to reconstruct layers from. `calibration`: statistics of the
    inputs of each layer of the float network, equalized if the spec equalizes.
    `gradients`: layer name -> gradient of the loss on the sample by the float weight (C_out, ...), after folding if the
    spec folds first; or of the error of the layer's output, for the criterion obs (`core.output_gradients`).
    """

    sample: Sample | None = None
    calibration: LayerInputs | None = None
    gradients: Mapping[str, Tensor] | None = None


NO_EVIDENCE = Evidence()
