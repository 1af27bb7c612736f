"""The settings as the parameters of a link, and back. Links come from anywhere: what one says is checked here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from compression.data.cifar10 import TEST
from compression.inside.flips import Change, Matrix
from compression.inside.saliency import Method
from compression.retraining.recipe import (
    MOST_EPOCHS,
    Optimizer,
    Precision,
    Quantizers,
    RateSchedule,
    SparsitySchedule,
    WeightPenalty,
)
from compression.spec import (
    AUTOMATIC_SCHEMES,
    GROUP_SIZES,
    LARGEST_STEP,
    MAX_BITS,
    SMALLEST_STEP,
    Calibration,
    Clip,
    Criterion,
    Granularity,
    Only,
    Order,
    Rounding,
    Scheme,
    Scope,
    Unit,
    VectorFormat,
)
from compression.spec.recipe import from_link, to_link
from pages.ui.state import readers
from pages.ui.state.readers import Read
from pages.ui.state.value import ALL, DROP, FILE_SIZE, FLOAT, SPARSITY, THRESHOLD, Settings

DEFAULTS = Settings()
BITS_FIRST = ("", "32", "4,3", "8,4,3", "32,8,4,3")

CHARTS = ("Overall", "Per class", "Confusion")
SWEEP_BITS = (FLOAT, *(str(bits) for bits in range(MAX_BITS, 0, -1)))
SWEEP_SPARSITIES = tuple(each / 20 for each in range(20))
VIEWS = ("Front", "Bits by sparsity", "Equal bytes", "Compare", "Search", "Sweep")
SECTIONS = ("Flips", "Classes", "Confidence", "Image", "Layers", "Corruptions", "Bit flips")
MANY_IMAGES = (500, 1000, 2000, 10_000)  # that a look which takes seconds can use
OFTEN_LOST = "Often lost"
FLIPS = (Change.LOST, Change.WON, Change.BOTH_WRONG, OFTEN_LOST)
# Names and values that older links have, and what they are called now.
RENAMED = {"bytes": "budget"}
RENAMED_VALUES = {"chart": {"in all": "Overall", "by class": "Per class", "confusion": "Confusion"}}


@dataclass(frozen=True)
class Rejected:
    """A parameter of a link that is not used. `known` says whether there is a setting of that name."""

    key: str
    text: str
    known: bool
    reason: str = ""


def parameters(settings: Settings) -> dict[str, str]:
    """Returns the parameters of the link of `settings`: those that differ from the defaults."""
    values = {field.name: getattr(settings, field.name) for field in fields(Settings)}
    return {key: readers.written(value) for key, value in values.items() if value != getattr(DEFAULTS, key)}


def read(link: Mapping[str, Sequence[str]]) -> tuple[Settings, tuple[Rejected, ...]]:
    """Returns the settings that a link says, and the parameters that cannot be used.

    If a parameter occurs several times, the last one counts.
    """
    values: dict[str, Any] = {}
    rejected = []
    for key, texts in link.items():
        name = RENAMED.get(key, key)
        reader = READERS.get(name)
        text = ",".join(texts) if name in LISTS else (texts[-1] if texts else "")
        if reader is None:
            rejected.append(Rejected(key, text, known=False))
            continue
        try:
            values[name] = reader(RENAMED_VALUES.get(name, {}).get(text, text))
        except ValueError as error:
            rejected.append(Rejected(key, text, known=True, reason=str(error)))
    return Settings(**values), tuple(rejected)


LISTS = {"also", "pins", "sweep_networks", "sweep_bits", "sweep_schemes", "sweep_granularities", "sweep_sparsities"}
READERS: dict[str, Read] = {
    "model": readers.name,
    "present": readers.switch,
    "bits": readers.one_of((FLOAT, *(str(bits) for bits in range(1, MAX_BITS + 1)))),
    "scheme": readers.one_of(Scheme),
    "granularity": readers.one_of(Granularity),
    "step": readers.number(SMALLEST_STEP, LARGEST_STEP),
    "clip": readers.one_of(Clip),
    "percentile_at": readers.number(50.01, 100),
    "stds_at": readers.number(0.01, 1000),
    "means_at": readers.number(0.01, 1000),
    "group": readers.whole(GROUP_SIZES[0], GROUP_SIZES[-1]),
    "only": readers.one_of((ALL, *Only)),
    "ends": readers.switch,
    "inputs": readers.one_of((FLOAT, *(str(bits) for bits in range(2, MAX_BITS + 1)))),
    "calibration": readers.one_of(Calibration),
    "structure": readers.structure,
    "criterion": readers.one_of(Criterion),
    "by": readers.one_of((SPARSITY, THRESHOLD)),
    "sparsity": readers.number(0, 1),
    "threshold": readers.number(0, 1e9),
    "unit": readers.one_of(Unit),
    "scope": readers.one_of(Scope),
    "rival": readers.name,
    "fold": readers.switch,
    "order": readers.one_of(Order),
    "merge": readers.number(0, 0.99),
    "reestimate": readers.switch,
    "rounding": readers.one_of(Rounding),
    "rate_penalty": readers.number(0.001, 100),
    **dict.fromkeys(("reconstruct", "repair", "correct_bias", "equalize"), readers.switch),
    "vector_format": readers.one_of(VectorFormat),
    "epochs": readers.number(0.01, MOST_EPOCHS),
    "scales": readers.one_of(Quantizers),
    "gradual": readers.one_of(SparsitySchedule),
    "bits_first": readers.one_of(BITS_FIRST),
    "distillation": readers.number(0, 1),
    "teacher": readers.name,
    "bit_penalty": readers.number(0, 10),
    "optimizer": readers.one_of(Optimizer),
    "rate_schedule": readers.one_of(RateSchedule),
    "weight_penalty": readers.one_of(WeightPenalty),
    "learning_rate": readers.number(1e-6, 1),
    "precision": readers.one_of(Precision),
    "training_seed": readers.whole(0, 1_000_000),
    "layers": lambda text: to_link(from_link(text)),
    "scan": readers.one_of(("bits", SPARSITY)),
    "frozen": readers.text,
    "layer": readers.name,
    "chart": readers.one_of(CHARTS),
    "channel": readers.whole(0, 1_000_000),
    **{f"{side}_scheme": readers.one_of(AUTOMATIC_SCHEMES) for side in ("left", "right")},
    **{f"{side}_clip": readers.one_of(Clip) for side in ("left", "right")},
    **{f"{side}_granularity": readers.one_of((Granularity.TENSOR, Granularity.CHANNEL)) for side in ("left", "right")},
    "card_fold": readers.switch,
    "card_bits": readers.one_of("234568"),
    "section": readers.one_of(SECTIONS),
    "flips": readers.one_of(FLIPS),
    "true_class": readers.name,
    "matrix": readers.one_of(Matrix),
    "cell": readers.cell,
    "gallery": readers.whole(1, TEST.images),
    "picture": readers.whole(0, TEST.images - 1),
    "explanation": readers.one_of(Method),
    "images": readers.one_of(MANY_IMAGES),
    "threads": readers.one_of(str(threads) for threads in range(1, 1025)),
    "fewer_filters": readers.switch,
    "view": readers.one_of(VIEWS),
    "also": readers.names,
    "drop": readers.number(0, 20),
    "budget": readers.name,
    "axis_from_zero": readers.switch,
    "pins": readers.names,
    "goal": readers.one_of((DROP, FILE_SIZE)),
    "goal_drop": readers.number(0, 20),
    "goal_kilobytes": readers.whole(1, 100_000),
    "sweep_networks": readers.names,
    "sweep_bits": readers.several(SWEEP_BITS),
    "sweep_schemes": readers.several(AUTOMATIC_SCHEMES),
    "sweep_granularities": readers.several(Granularity),
    "sweep_sparsities": readers.several(SWEEP_SPARSITIES),
}
