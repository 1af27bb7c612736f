"""The settings as the parameters of a link, and back. Links come from anywhere: what one says is checked here."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

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
    structure_from,
)
from compression.spec.recipe import from_link, to_link
from pages.ui.state.value import ALL, DROP, FILE_SIZE, FLOAT, SPARSITY, THRESHOLD, Settings

Read = Callable[[str], Any]
DEFAULTS = Settings()
MOST_CHARACTERS = 200  # of a name
CHARTS = ("Overall", "Per class", "Confusion")
SWEEP_BITS = (FLOAT, *(str(bits) for bits in range(MAX_BITS, 0, -1)))
SWEEP_SPARSITIES = tuple(each / 20 for each in range(20))
VIEWS = ("Front", "Bits by sparsity", "Equal bytes", "Compare", "Search", "Sweep")
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
    return {key: _written(value) for key, value in values.items() if value != getattr(DEFAULTS, key)}


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


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(map(_written, value))
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    return str(value)


def _one_of(options: Iterable[Any]) -> Read:
    by_name = {_written(option): option for option in options}

    def one_of(text: str) -> Any:
        if text not in by_name:
            raise ValueError
        return by_name[text]

    return one_of


def _number(lowest: float, highest: float) -> Read:
    def number(text: str) -> float:
        value = float(text)
        if not lowest <= value <= highest:
            raise ValueError
        return value

    return number


def _whole(lowest: int, highest: int) -> Read:
    def whole(text: str) -> int:
        value = int(text) if text.isdecimal() and text.isascii() else math.inf
        if not lowest <= value <= highest:
            raise ValueError
        return int(value)

    return whole


def _switch(text: str) -> bool:
    return _one_of(("true", "false"))(text.lower()) == "true"


def _name(text: str) -> str:
    if not 0 < len(text) <= MOST_CHARACTERS:
        raise ValueError
    return text


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_name(name) for name in text.split(",") if name))


def _structure(text: str) -> str:
    structure_from(text)
    return text


def _several(options: Iterable[Any]) -> Read:
    one = _one_of(options)
    return lambda text: tuple(dict.fromkeys(one(each) for each in text.split(",") if each))


LISTS = {"also", "pins", "sweep_networks", "sweep_bits", "sweep_schemes", "sweep_granularities", "sweep_sparsities"}
READERS: dict[str, Read] = {
    "model": _name,
    "bits": _one_of((FLOAT, *(str(bits) for bits in range(1, MAX_BITS + 1)))),
    "scheme": _one_of(Scheme),
    "granularity": _one_of(Granularity),
    "step": _number(SMALLEST_STEP, LARGEST_STEP),
    "clip": _one_of(Clip),
    "percentile_at": _number(50.01, 100),
    "stds_at": _number(0.01, 1000),
    "means_at": _number(0.01, 1000),
    "group": _whole(GROUP_SIZES[0], GROUP_SIZES[-1]),
    "only": _one_of((ALL, *Only)),
    "ends": _switch,
    "inputs": _one_of((FLOAT, *(str(bits) for bits in range(2, MAX_BITS + 1)))),
    "calibration": _one_of(Calibration),
    "structure": _structure,
    "criterion": _one_of(Criterion),
    "by": _one_of((SPARSITY, THRESHOLD)),
    "sparsity": _number(0, 1),
    "threshold": _number(0, 1e9),
    "unit": _one_of(Unit),
    "scope": _one_of(Scope),
    "rival": _name,
    "fold": _switch,
    "order": _one_of(Order),
    "merge": _number(0, 0.99),
    "reestimate": _switch,
    "rounding": _one_of(Rounding),
    **dict.fromkeys(("reconstruct", "repair", "correct_bias", "equalize"), _switch),
    "layers": lambda text: to_link(from_link(text)),
    "scan": _one_of(("bits", SPARSITY)),
    "layer": _name,
    "chart": _one_of(CHARTS),
    "channel": _whole(0, 1_000_000),
    **{f"{side}_scheme": _one_of(AUTOMATIC_SCHEMES) for side in ("left", "right")},
    **{f"{side}_clip": _one_of(Clip) for side in ("left", "right")},
    **{f"{side}_granularity": _one_of((Granularity.TENSOR, Granularity.CHANNEL)) for side in ("left", "right")},
    "card_fold": _switch,
    "card_bits": _one_of("234568"),
    "threads": _one_of(str(threads) for threads in range(1, 1025)),
    "fewer_filters": _switch,
    "view": _one_of(VIEWS),
    "also": _names,
    "drop": _number(0, 20),
    "budget": _name,
    "axis_from_zero": _switch,
    "pins": _names,
    "goal": _one_of((DROP, FILE_SIZE)),
    "goal_drop": _number(0, 20),
    "goal_kilobytes": _whole(1, 100_000),
    "sweep_networks": _names,
    "sweep_bits": _several(SWEEP_BITS),
    "sweep_schemes": _several(AUTOMATIC_SCHEMES),
    "sweep_granularities": _several(Granularity),
    "sweep_sparsities": _several(SWEEP_SPARSITIES),
}
