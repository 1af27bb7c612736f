"""How long a search still takes: the images that are still to be evaluated, at the pace of the last ones.

How much work a phase has depends on the network: the scan of a network with twenty layers is a large part of all work,
that of one with three layers almost none. So fixed shares of the time for each phase would be wrong for most networks.
"""

import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from compression.data.cifar10 import TEST
from compression.evaluation.subsets import HALF
from compression.experiments.scan import IMAGES
from compression.experiments.search.goal import Trial
from compression.experiments.search.reading import Phase
from compression.experiments.search.space import Space

# Images per spec on average, in searches of simple_cnn and resnet20; the bytes of its file are counted meanwhile.
RIVAL_IMAGES, TRIAL_IMAGES = 900, 1600

PRIOR_TRIALS = 20  # for so many trials TRIAL_IMAGES counts beside those that are complete; the first ones take longest

CONFIRMED_SPECS = 2  # the winner and the best uniform spec

SCAN_SPEED = 1.5  # a scan takes less time per image, because its tasks are large

WARM_UP_IMAGES = HALF  # the first ones say nothing of the pace, because workers are still starting

WINDOW_IMAGES = 10_000  # the pace is that of the last ones


def work_of(space: Space, trial_count: int) -> dict[Phase, float]:
    """Returns the expected work of each phase, in images that the whole network evaluates."""
    layers = len(space.weights)
    # A batch goes once through the stages before a layer, and for each spec through those from the layer on.
    passes = sum(1 + len(specs) * (layers + 1) / 2 for specs in space.layer_specs)
    return {
        Phase.FLOAT: HALF,
        Phase.RIVALS: RIVAL_IMAGES * len(space.rivals),
        Phase.SCAN: IMAGES * passes / SCAN_SPEED,
        Phase.TRIALS: TRIAL_IMAGES * trial_count,
        Phase.CONFIRM: TEST.images * CONFIRMED_SPECS,
    }


def share_done(work: Mapping[Phase, float], phase: Phase, share: float) -> float:
    """Returns the share (0..1) of all work that is done when `share` of `phase` and all of the phases before it are."""
    if phase is Phase.DONE:
        return 1.0
    phases = list(work)
    done = sum(work[each] for each in phases[: phases.index(phase)]) + share * work[phase]
    return done / sum(work.values())


def images_left(
    work: Mapping[Phase, float], phase: Phase, share: float, rivals_left: int, trials: Collection[Trial], count: int
) -> float:
    """Returns how many images are still to be evaluated in `phase`, of which `share` is done, and after it.

    `rivals_left` are still to be tried, and of `count` trials these `trials` are complete.
    """
    phases = list(work)
    if phase not in work:
        return 0.0
    later = sum(work[each] for each in phases[phases.index(phase) + 1 :])
    if phase is Phase.RIVALS:
        return RIVAL_IMAGES * rivals_left + later
    if phase is Phase.TRIALS:
        images = sum(each.images for each in trials) + PRIOR_TRIALS * TRIAL_IMAGES
        return images / (len(trials) + PRIOR_TRIALS) * max(0, count - len(trials)) + later
    return work[phase] * (1 - share) + later


@dataclass(eq=False)
class Meter:
    """Measures the pace of one search from the number of `images` that were evaluated for it.

    `seconds` passed since the workers are warm, without pauses. `marks` are the seconds and images at earlier looks.
    """

    clock: Callable[[], float] = time.monotonic
    images: float = 0.0
    seconds: float = 0.0
    marks: deque[tuple[float, float]] = field(default_factory=deque)
    looked_at: float | None = None

    def look(self) -> None:
        """Notes the time; between two looks the search was running."""
        now = self.clock()
        if self.marks and self.looked_at is not None:
            self.seconds += now - self.looked_at
        self.looked_at = now
        if self.images >= WARM_UP_IMAGES and (not self.marks or self.images > self.marks[-1][1]):
            self.marks.append((self.seconds, self.images))
        while len(self.marks) > 2 and self.images - self.marks[1][1] >= WINDOW_IMAGES:
            self.marks.popleft()

    def pause(self) -> None:
        """Leaves out the time until the next look, as when the search rests."""
        self.looked_at = None

    def seconds_left(self, images: float) -> float | None:
        """Returns how long so many images take, or None if nothing was measured yet."""
        if len(self.marks) < 2:
            return None
        (began, first), (_, last) = self.marks[0], self.marks[-1]
        return (self.seconds - began) / (last - first) * images
