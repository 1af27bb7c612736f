"""The state of the ONNX files of one compressed network, and their comparison with the simulation in PyTorch."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from compression.deploy.variants import OnnxFile, Variant
from compression.evaluation.evaluation import Evaluation

BUILD = -1  # the number of the task that builds the file; the other tasks have the numbers of their chunks of images

Answers = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Deployment:
    """A reading of one variant: its file and the classes that the file gives for the test images, or an error.

    `answers` (N,) are the classes of all test images; None if they are not complete or there are no images. `share`
    (0..1) of the work is done. `error` is a sentence on why there is no file, or None.
    """

    variant: Variant
    file: OnnxFile | None
    answers: Answers | None
    share: float
    error: str | None

    @property
    def done(self) -> bool:
        """Whether the work is finished or has failed."""
        return self.share == 1 or self.error is not None


@dataclass(frozen=True)
class Check:
    """How many of `images` images a file classifies `correct`ly, and how many as the simulation does (`agree`)."""

    images: int
    correct: int
    agree: int


def compare_answers(answers: Answers, simulation: Evaluation) -> Check:
    """Compares the classes (N,) that a file gives with the labels and with the simulation of the same images."""
    return Check(
        images=len(answers),
        correct=int((answers == simulation.labels.numpy()).sum()),
        agree=int((answers == simulation.predictions.numpy()).sum()),
    )


@dataclass(eq=False)
class VariantState:
    """The work on one variant: its file, the answers by number of chunk, and the numbers of the pending tasks.

    `name` is a prefix of the keys of its tasks. `looked_at` is the time of the last look, on the monotonic clock.
    """

    name: str
    variant: Variant
    looked_at: float
    file: OnnxFile | None = None
    parts: dict[int, Answers] = field(default_factory=dict)
    pending: set[int] = field(default_factory=set)
    error: str | None = None

    @property
    def nbytes(self) -> int:
        """The size of the file in bytes; 0 as long as there is none."""
        return len(self.file.graph) if self.file else 0

    def reading(self, chunks: int) -> Deployment:
        """Returns what is known now, where the test images are cut into `chunks` chunks."""
        answers = None
        if 0 < len(self.parts) == chunks:
            answers = np.concatenate([self.parts[number] for number in range(chunks)])
        share = ((self.file is not None) + len(self.parts)) / (1 + chunks)
        return Deployment(self.variant, self.file, answers, share, self.error)
