"""What is known of a sweep, which evaluates many specs and counts their costs, at one moment."""

from collections.abc import Mapping
from dataclasses import dataclass

from compression.evaluation.evaluation import Evaluation
from compression.results.result import Result
from compression.spec import CompressionSpec


@dataclass(frozen=True, eq=False)
class SweepReading:
    """The `results` that are complete, and by its spec the reason why another one will never be.

    `before` has the evaluations of the float networks by name, as far as they are known. `share` (0..1) of the work is
    done. `notice` is a sentence for the reader.
    """

    specs: tuple[CompressionSpec, ...]
    results: tuple[Result, ...]
    before: Mapping[str, Evaluation]
    failures: Mapping[CompressionSpec, str]
    share: float
    seconds_left: float | None = None
    notice: str | None = None

    @property
    def done(self) -> bool:
        """Whether each spec has a result or a failure."""
        return len(self.results) + len(self.failures) == len(self.specs)

    @property
    def error(self) -> None:
        """Nothing ends a sweep as a whole: a spec that fails is among `failures`, and the others go on."""
        return None
