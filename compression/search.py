"""What a search looks for, what it tries, and which of the things it tried it chooses. By the search half alone.

Something is tried on few images first. Only what may still be chosen is tried on more, and only what was tried on the
whole half can be.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from compression.assignment import least_harm
from compression.halves import OnHalf
from compression.spec import CompressionSpec, LayerSpec, PruneSpec, QuantSpec

STAGES = (500, 1500, 5000)  # images
BITS = (2, 3, 4, 5, 6, 8)
SCANNED = (2, 3, 4)  # bits at which each layer is tried alone
SPARSITIES = tuple(number / 20 for number in range(19))
SPARSITY = "sparsity"
Z_90 = 1.64  # standard errors beyond which one in twenty lies, on one side
MARGIN = 1.0  # standard errors by which what is chosen keeps within a drop

Choices = Mapping[str, float]  # layer -> bits, and SPARSITY -> of the network


@dataclass(frozen=True)
class Goal:
    """Either the smallest file that loses at most `drop` (0..1) of accuracy, or the best network whose file has at most
    `nbytes` bytes.
    """

    drop: float | None = None
    nbytes: int | None = None

    def __post_init__(self) -> None:
        if (self.drop is None) == (self.nbytes is None):
            raise ValueError("a search takes a drop of accuracy or a number of bytes, and needs exactly one of them")
        if self.drop is not None and not 0 <= self.drop < 1:
            raise ValueError(f"the drop must be at least 0 and below 100 points, got {100 * self.drop:g}")
        if self.nbytes is not None and self.nbytes < 1:
            raise ValueError(f"a file has at least one byte, got {self.nbytes}")


@dataclass(frozen=True)
class Tried:
    """A spec, the bytes of its file, and how it did on the first images of the search half."""

    spec: CompressionSpec
    file: int
    found: OnHalf


def meets(goal: Goal, tried: Tried, margin: float = MARGIN) -> bool:
    """Whether it can be chosen. A drop has to keep within the goal by `margin` standard errors: the best of many that
    were tried was lucky, too.
    """
    if goal.drop is None:
        return tried.file <= (goal.nbytes or 0)
    return tried.found.drop + margin * tried.found.error <= goal.drop


def best(goal: Goal, tried: Iterable[Tried], images: int, margin: float = MARGIN) -> Tried | None:
    """The one to choose, of those that were tried on all `images` of the half and meet the goal, or None."""
    fit = [each for each in tried if each.found.images == images and meets(goal, each, margin)]
    return min(fit, key=lambda each: _rank(goal, each), default=None)


def _rank(goal: Goal, tried: Tried) -> tuple[float, float]:
    sizes = float(tried.file), tried.found.drop
    return sizes if goal.drop is not None else (sizes[1], sizes[0])


def may_be_chosen(goal: Goal, tried: Tried, chosen: Tried | None) -> bool:
    """Whether more images could make it the one, after what is chosen now."""
    least = tried.found.drop - Z_90 * tried.found.error
    if goal.drop is None:
        return tried.file <= (goal.nbytes or 0) and (chosen is None or least < chosen.found.drop)
    return least <= goal.drop and (chosen is None or tried.file < chosen.file)


def violation(goal: Goal, tried: Tried) -> float:
    """How far it is from the goal: at most 0 where it meets it."""
    if goal.drop is None:
        return tried.file / (goal.nbytes or 1) - 1
    return tried.found.drop - goal.drop


def spec_of(model: str, choices: Choices, fold_bn: bool) -> CompressionSpec:
    """The spec of some `choices`: what most layers have is said once."""
    bits = {name: int(value) for name, value in choices.items() if name != SPARSITY}
    usual = Counter(bits.values()).most_common(1)[0][0]
    layers = tuple(LayerSpec(name, bits=each) for name, each in bits.items() if each != usual)
    sparsity = choices[SPARSITY]
    prune = PruneSpec(sparsity=sparsity) if sparsity else None
    return CompressionSpec(model, prune, QuantSpec(usual), layers, fold_bn=fold_bn)


def harms(scanned: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    """layer -> what each of BITS does to the loss, from what each of SCANNED did to that layer alone.

    With a bit more, the squared error of rounding is a quarter; so, nearly, is the harm. More bits harm no more.
    """
    found = {}
    for layer, losses in scanned.items():
        row = [max(0.0, each) for each in losses]
        for place in range(1, len(row)):
            row[place] = min(row[place], row[place - 1])
        last, at = row[-1], SCANNED[-1]
        found[layer] = row + [last / 4 ** (bits - at) for bits in BITS[len(SCANNED) :]]
    return found


def seeds(weights: Mapping[str, int], scanned: Mapping[str, Sequence[float]]) -> list[Choices]:
    """What is tried first: the least harm at several budgets of bits, and the same bits everywhere, pruned or not."""
    total, found = sum(weights.values()), harms(scanned)
    costs = [[count * bits for bits in BITS] for count in weights.values()]
    rows = [[each + 1e-9 / bits for each, bits in zip(found[layer], BITS, strict=True)] for layer in weights]
    chosen: list[Choices] = []
    for budget in (4.0, 3.5, 3.0, 4.5, 5.0, 2.5):
        places = least_harm(costs, rows, budget * total)
        bits = {layer: float(BITS[place]) for layer, place in zip(weights, places, strict=True)}
        chosen += [bits | {SPARSITY: sparsity} for sparsity in (0.3, 0.0, 0.5)]
    for each in (4, 5, 3):
        chosen += [dict.fromkeys(weights, float(each)) | {SPARSITY: sparsity} for sparsity in (0.0, 0.3)]
    return chosen
