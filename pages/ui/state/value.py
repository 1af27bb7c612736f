"""All settings of the laboratory, as one frozen value. Widgets show it and change it; the link says it."""

from dataclasses import dataclass

from compression.inside.flips import Change, Matrix
from compression.inside.saliency import Method
from compression.retraining.recipe import (
    Optimizer,
    Precision,
    Quantizers,
    RateSchedule,
    SparsitySchedule,
    WeightPenalty,
)
from compression.spec import (
    DEFAULT_CLIP_AT,
    GROUP_SIZE,
    RATE_PENALTY,
    Calibration,
    Clip,
    Criterion,
    Granularity,
    Order,
    Rounding,
    Scheme,
    Scope,
    Structure,
    Unit,
    VectorFormat,
)
from compression.spec.grid import GRID_BITS, GRID_SPARSITIES

FLOAT = "float"
SPARSITY, THRESHOLD = "sparsity", "threshold"
ALL = "all"
WHOLE = "whole network"
DROP, FILE_SIZE = "an accuracy drop", "a file size"


@dataclass(frozen=True)
class Settings:
    """What the reader has set, on all pages. None means that nothing was set; each page then has a start of its own.

    The fields have the names of the link's parameters. Choices that do not fit together are kept as they are, so that
    taking one back restores the others; `specs.fitting` returns what takes effect.

    `present`: whether text is large enough for a projector. `bits`: bits per weight, or "float". `layers`: the settings
    of single layers, as `recipe.to_link` writes them. `epochs` to `training_seed`: how a compressed network is trained;
    `teacher`: the network that it is distilled from, nothing for the float network. `layer`: the layer whose weights
    are shown. `frozen`: the link of the state A that they are compared with. `pins`: the names of pinned specs.
    `budget`: the largest file size, as the slider of Trade-offs shows it. `sweep_…`: what a sweep combines. `section`
    to `images`: what the page Inside shows; `cell`: the row and the column of a confusion matrix, as "3-5"; `gallery`:
    the page of the gallery; `picture`: the number of a test image; `explanation`: what makes its maps; `images`: how
    many test images are used by what takes long.
    """

    model: str = "resnet20"
    present: bool = False
    bits: str | None = None
    scheme: Scheme = Scheme.SYMMETRIC
    granularity: Granularity = Granularity.CHANNEL
    step: float = 0.02
    clip: Clip = Clip.FULL
    percentile_at: float = DEFAULT_CLIP_AT[Clip.PERCENTILE]
    stds_at: float = DEFAULT_CLIP_AT[Clip.STDS]
    means_at: float = DEFAULT_CLIP_AT[Clip.MEANS]
    group: int = GROUP_SIZE
    only: str = ALL
    ends: bool = False
    inputs: str = FLOAT
    calibration: Calibration = Calibration.MIN_MAX

    structure: str = str(Structure.WEIGHT)
    criterion: Criterion = Criterion.L1
    by: str = SPARSITY
    sparsity: float | None = None
    threshold: float | None = None
    unit: Unit = Unit.ABSOLUTE
    scope: Scope = Scope.GLOBAL
    rival: str | None = None

    fold: bool = False
    order: Order = Order.FOLD_FIRST
    merge: float = 0.0
    reestimate: bool = False
    rounding: Rounding = Rounding.NEAREST
    rate_penalty: float = RATE_PENALTY
    reconstruct: bool = False
    repair: bool = False
    correct_bias: bool = False
    equalize: bool = False
    vector_format: VectorFormat = VectorFormat.FLOAT32

    epochs: float = 1.0
    scales: Quantizers = Quantizers.LEARNED
    gradual: SparsitySchedule = SparsitySchedule.ONE_SHOT
    bits_first: str = ""
    distillation: float = 0.0
    teacher: str = ""
    bit_penalty: float = 0.0
    optimizer: Optimizer = Optimizer.SGD
    rate_schedule: RateSchedule = RateSchedule.LINEAR
    weight_penalty: WeightPenalty = WeightPenalty.L2
    learning_rate: float | None = None
    precision: Precision = Precision.FLOAT32
    training_seed: int = 0

    layers: str = ""
    scan: str = "bits"

    frozen: str = ""
    layer: str = WHOLE
    chart: str = "Overall"
    channel: int = 0
    left_scheme: Scheme = Scheme.SYMMETRIC
    left_clip: Clip = Clip.FULL
    left_granularity: Granularity = Granularity.TENSOR
    right_scheme: Scheme = Scheme.K_MEANS
    right_clip: Clip = Clip.FULL
    right_granularity: Granularity = Granularity.TENSOR
    card_fold: bool = True
    card_bits: str = "4"

    section: str = "Flips"
    flips: str = Change.LOST.value
    true_class: str = ALL
    matrix: Matrix = Matrix.CHANGE
    cell: str = ""
    gallery: int = 1
    picture: int = 0
    explanation: Method = Method.GRAD_CAM
    images: int = 1000

    threads: str = "1"
    fewer_filters: bool = False
    view: str = "Front"
    also: tuple[str, ...] = ()
    drop: float = 1.0
    budget: str | None = None
    axis_from_zero: bool = False
    pins: tuple[str, ...] = ()
    goal: str = DROP
    goal_drop: float = 1.0
    goal_kilobytes: int = 100
    sweep_networks: tuple[str, ...] | None = None
    sweep_bits: tuple[str, ...] = tuple(str(bits or FLOAT) for bits in GRID_BITS)
    sweep_schemes: tuple[Scheme, ...] = (Scheme.SYMMETRIC,)
    sweep_granularities: tuple[Granularity, ...] = (Granularity.CHANNEL,)
    sweep_sparsities: tuple[float, ...] = GRID_SPARSITIES

    @property
    def weight_bits(self) -> int | None:
        """The bits per weight, or None for float, which is also what no choice means."""
        return None if self.bits in (None, FLOAT) else int(self.bits)
