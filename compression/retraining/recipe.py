"""How a compressed network is trained, as frozen values: `Recipe` and its options."""

import itertools
import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from enum import StrEnum

from compression.spec import FLOAT_BITS, CompressionSpec, Criterion, Scheme, Structure
from compression.spec.checks import member

MOST_EPOCHS = 1000

MOST_RATE = 1e30  # what is much larger does not fit into a float32

RATES = {"sgd": 0.02, "adam": 0.001}

CODEBOOKS = (Scheme.POWER_OF_TWO, Scheme.K_MEANS, Scheme.TERNARY, Scheme.BINARY)  # their steps are not even

LATER = ("bit_penalty", "weight_penalty", "bit_schedule", "precision")  # fields that recipes of the first version lack

FIXED_VALUES = (Scheme.POWER_OF_TWO, Scheme.STEP)  # scaled, they would be no powers of two, or have another step

GROWING = (Scheme.SYMMETRIC, Scheme.AFFINE, Scheme.MIN_MAX)  # with more bits they have finer steps in the same range


class Optimizer(StrEnum):
    """What makes a step of a gradient: SGD with Nesterov momentum, or Adam with decoupled weight decay."""

    SGD = "sgd"
    ADAM = "adam"


class RateSchedule(StrEnum):
    """The learning rate over the steps: it falls to zero in a line or by a cosine, or stays; or it falls in a line in
    each stage of iterative pruning, and starts high again in the next."""

    LINEAR = "linear"
    COSINE = "cosine"
    CONSTANT = "constant"
    REWOUND = "rewound"


class Quantizers(StrEnum):
    """Whether the scales and codebooks of the start stay, or the scale of each group is learned with the weights (LSQ).

    PACT: weights fill their range as in DoReFa-Net, and the clip of layer inputs is learned from what lies beyond it.
    """

    FROZEN = "frozen"
    LEARNED = "learned"
    PACT = "pact"


class SparsitySchedule(StrEnum):
    """When weights are pruned: all at the start, or more and more of them, by a cubic curve or in equal stages."""

    ONE_SHOT = "one-shot"
    CUBIC = "cubic"
    ITERATIVE = "iterative"


class WeightPenalty(StrEnum):
    """What makes weights small in training: half their square, their magnitude, or Huber's function, which is the
    square near zero and the magnitude beyond the root mean square of the layer's weights."""

    L2 = "l2"
    L1 = "l1"
    HUBER = "huber"


class Precision(StrEnum):
    """What the forward and backward pass of a step compute in; weights and their updates are float32 in both.

    With bfloat16 a step takes 0.5 to 0.9 of the time where the processor multiplies in it, and longer elsewhere.
    """

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


@dataclass(frozen=True)
class Recipe:
    """How a compressed network is trained. Raises ValueError for numbers out of range.

    `epochs`: passes over the training images, also parts of one. `steps`: optimizer steps instead, or None.
    `learning_rate`: the highest, at the beginning, or None for the one of the `optimizer` in RATES.
    `weight_decay`: how strongly `weight_penalty` acts on weights, not on biases and batch norm.
    `quantizers`: whether scales are learned; those of FIXED_VALUES stay in any case.
    `gain_rate`: the highest learning rate of scales, relative to their size at the start.
    `sparsity_schedule`: when weights are pruned; the target is reached after the share `pruned_by` (0..1) of the steps.
    `distillation`: the share (0..1) of the loss that compares with the outputs of a teacher at `temperature`.
    `held_out`: how many training images are not trained on but counted for the curve, `points` times and at the start.
    `bit_penalty`: the loss, in nats, that a bit per weight of the codes' entropy adds; 0 for none (`retraining.rate`).
    `bit_schedule`: descending bits of weights and of layer inputs that are quantized, FLOAT_BITS for float, with which
    the first half of the steps is trained, in equal parts, before those of the spec; training then begins with weights
    that are not rounded.
    """

    epochs: float = 1.0
    steps: int | None = None
    optimizer: Optimizer = Optimizer.SGD
    learning_rate: float | None = None
    rate_schedule: RateSchedule = RateSchedule.LINEAR
    batch_size: int = 128
    momentum: float = 0.9
    weight_decay: float = 1e-4
    crop_pad_pixels: int = 4
    seed: int = 0
    quantizers: Quantizers = Quantizers.LEARNED
    gain_rate: float = 0.002
    sparsity_schedule: SparsitySchedule = SparsitySchedule.ONE_SHOT
    pruned_by: float = 0.5
    distillation: float = 0.0
    temperature: float = 4.0
    held_out: int = 1000
    points: int = 8
    bit_penalty: float = 0.0
    weight_penalty: WeightPenalty = WeightPenalty.L2
    bit_schedule: tuple[int, ...] = ()
    precision: Precision = Precision.FLOAT32

    def __post_init__(self) -> None:
        for name, enum in (
            ("optimizer", Optimizer),
            ("rate_schedule", RateSchedule),
            ("quantizers", Quantizers),
            ("sparsity_schedule", SparsitySchedule),
            ("weight_penalty", WeightPenalty),
            ("precision", Precision),
        ):
            object.__setattr__(self, name, member(enum, getattr(self, name)))
        if self.learning_rate is None:
            object.__setattr__(self, "learning_rate", RATES[self.optimizer])
        for name in ("batch_size", "held_out", "points", *(() if self.steps is None else ("steps",))):
            if not (isinstance(value := getattr(self, name), int) and value >= 1):
                raise ValueError(f"{name} must be a whole number of at least 1, got {value}")
        if not 0 < self.epochs <= MOST_EPOCHS:
            raise ValueError(f"epochs must be above 0 and at most {MOST_EPOCHS}, got {self.epochs}")
        for name in ("learning_rate", "gain_rate", "temperature"):
            if not 0 < getattr(self, name) <= MOST_RATE:
                raise ValueError(f"{name} must be above 0 and at most {MOST_RATE}, got {getattr(self, name)}")
        for name in ("distillation", "pruned_by"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in 0..1, got {getattr(self, name)}")
        if not 0 <= self.bit_penalty < math.inf:
            raise ValueError(f"bit_penalty must be a finite number of at least 0, got {self.bit_penalty}")
        for name in ("momentum", "weight_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 0 and below 1, got {getattr(self, name)}")
        object.__setattr__(self, "bit_schedule", _descending_bits(self.bit_schedule))

    @property
    def rate(self) -> float:
        """The highest learning rate, at the beginning."""
        assert self.learning_rate is not None
        return self.learning_rate

    def total_steps(self, images: int) -> int:
        """Returns the number of optimizer steps for `images` training images, of which some are held out."""
        return self.steps or max(1, round(self.epochs * self.steps_per_epoch(images)))

    def steps_per_epoch(self, images: int) -> int:
        """Returns the number of batches in the training images that are not held out; an incomplete one is left out.

        Raises ValueError if not even one batch is left.
        """
        steps = (images - self.held_out) // self.batch_size
        if steps < 1:
            raise ValueError(
                f"{images:,} training images are too few for a batch of {self.batch_size} beside {self.held_out:,} "
                "that are held out: give a smaller batch_size or fewer held_out"
            )
        return steps

    def to_json(self) -> str:
        """Returns canonical JSON: equal recipes have equal strings.

        Fields that came later are left out at their defaults, so that runs and files of before are found.
        """
        unused = {
            field.name for field in fields(self) if field.name in LATER and getattr(self, field.name) == field.default
        }
        values = {name: value for name, value in asdict(self).items() if name not in unused}
        return json.dumps(values, sort_keys=True, separators=(",", ":"))


def _descending_bits(bits: Iterable[int]) -> tuple[int, ...]:
    """Returns `bits` as a tuple. Raises ValueError unless they are whole numbers from 3 to FLOAT_BITS that fall."""
    schedule = tuple(bits)
    pairs = itertools.pairwise(schedule)
    if not all(isinstance(each, int) and 3 <= each <= FLOAT_BITS for each in schedule) or any(a <= b for a, b in pairs):
        raise ValueError(f"bit_schedule must be falling whole numbers from {FLOAT_BITS} to 3, got {schedule}")
    return schedule


def recipe_from_json(text: str) -> Recipe:
    """Returns the recipe that `Recipe.to_json` wrote. Raises ValueError for other text."""
    try:
        return Recipe(**json.loads(text))
    except TypeError as error:
        raise ValueError(f"not a training recipe: {error}") from None


def bit_penalty_problem(spec: CompressionSpec, scales: Quantizers = Quantizers.LEARNED) -> str | None:
    """Returns why a network compressed as `spec` says cannot be trained with a bit penalty, or None if it can.

    `scales`: how those of its weights are found.
    """
    if scales is Quantizers.PACT:
        return "with pact weights fill the range of their codes, so they cannot shrink by a bit penalty"
    if not spec.quantizes_weights:
        return "a bit penalty is on the codes of weights, and no weights are quantized"
    if spec.weights and spec.weights.scheme in CODEBOOKS:
        return f"a bit penalty needs even steps, and the scheme {spec.weights.scheme} has a codebook"
    return None


def fewest_bits(spec: CompressionSpec) -> int | None:
    """Returns the fewest bits of weights or layer inputs that can have more bits first, or None if there are none."""
    weights = [spec.weights.bits] if spec.weights and spec.weights.scheme in GROWING else []
    return min([*weights, *([spec.activations.bits] if spec.activations else [])], default=None)


def bit_schedule_problem(schedule: tuple[int, ...], spec: CompressionSpec) -> str | None:
    """Returns why a network compressed as `spec` says cannot be trained with more bits first, or None if it can."""
    fewest = fewest_bits(spec)
    if fewest is None:
        return f"more bits first need layer inputs or weights of a scheme that has bits: {', '.join(GROWING)}"
    if schedule[-1] <= fewest:
        return f"the bits that are trained first must be more than the {fewest} of the spec"
    return None


def pact_problem(spec: CompressionSpec) -> str | None:
    """Returns why a network compressed as `spec` says cannot be trained with Quantizers.PACT, or None if it can."""
    if spec.weights and spec.weights.scheme not in (*GROWING, Scheme.BINARY):
        return f"pact is for weights with even steps or of one bit: {', '.join((*GROWING, Scheme.BINARY))}"
    return None


def check_fits(recipe: Recipe, spec: CompressionSpec) -> None:
    """Raises ValueError if a network compressed as `spec` says cannot be trained by `recipe`."""
    if recipe.bit_penalty and (problem := bit_penalty_problem(spec, recipe.quantizers)):
        raise ValueError(problem)
    if recipe.bit_schedule and (problem := bit_schedule_problem(recipe.bit_schedule, spec)):
        raise ValueError(problem)
    if recipe.quantizers is Quantizers.PACT and (problem := pact_problem(spec)):
        raise ValueError(problem)
    if recipe.bit_schedule and recipe.quantizers is not Quantizers.LEARNED:
        raise ValueError("with fewer bits the scales are other ones, so a bit schedule needs learned scales")
    if recipe.rate_schedule is RateSchedule.REWOUND and recipe.sparsity_schedule is not SparsitySchedule.ITERATIVE:
        raise ValueError(
            "a rewound learning rate starts again at each stage of an iterative sparsity schedule: add one"
        )
    if recipe.sparsity_schedule is SparsitySchedule.ONE_SHOT:
        return
    prune = spec.prune
    if prune is None or prune.sparsity is None or prune.structure is Structure.N_M:
        raise ValueError(
            f"a {recipe.sparsity_schedule} sparsity schedule needs a sparsity target; "
            "thresholds, n:m and layers alone are pruned one-shot"
        )
    if prune.criterion is Criterion.SIGNED or spec.needs_gradients:
        raise ValueError(f"the criterion {prune.criterion} is for one-shot pruning")
