"""The explanation of each method, read from the docstring of the function that implements it.

Such a docstring begins with a paragraph in plain words. After a blank line it has `Formula:` (LaTeX), `Source:` and
`Fails:`, each of which may continue on the next lines. The text after another blank line is for programmers.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from compression.pruning.criteria import CRITERIA
from compression.pruning.masks import UNITS
from compression.pruning.structures import STRUCTURES
from compression.quantization.calibration import CALIBRATIONS
from compression.quantization.codebooks import CODEBOOKS
from compression.quantization.quantizers import QPARAMS, RANGES, fake_quantize, step_qparams
from compression.reconstruction.learned import learned
from compression.reconstruction.rounding import compensated, rate_aware
from compression.spec import Calibration, Clip, Criterion, Rounding, Scheme, Structure, Unit

METHODS: dict[type[StrEnum], Mapping[Any, Callable[..., Any]]] = {
    Scheme: {**QPARAMS, **CODEBOOKS, Scheme.STEP: step_qparams},
    Clip: RANGES,
    Calibration: CALIBRATIONS,
    Rounding: {
        Rounding.NEAREST: fake_quantize,
        Rounding.COMPENSATED: compensated,
        Rounding.LEARNED: learned,
        Rounding.RATE_AWARE: rate_aware,
    },
    Criterion: CRITERIA,
    Structure: STRUCTURES,
    Unit: UNITS,
}


@dataclass(frozen=True)
class Explanation:
    """What a method does and what it is good for, its formula in LaTeX, its source, and when it fails."""

    text: str
    formula: str
    source: str
    fails: str


def explanation(member: StrEnum) -> Explanation:
    """Returns the explanation of a member of an enum in METHODS. Raises ValueError if its docstring is incomplete."""
    function = METHODS[type(member)][member]
    try:
        return parse_docstring(inspect.getdoc(function) or "")
    except ValueError as error:
        raise ValueError(f"the docstring of {function.__name__}: {error}") from None


def parse_docstring(docstring: str) -> Explanation:
    """Returns the parts of `docstring`. Raises ValueError if a part is missing, empty or unknown."""
    text, sections, *_ = [*docstring.split("\n\n"), ""]
    pieces = re.split(r"^(\w+): ", sections, flags=re.MULTILINE)
    parts = {"text": text} | {label.lower(): part for label, part in zip(pieces[1::2], pieces[2::2], strict=True)}
    parts = {label: " ".join(part.split()) for label, part in parts.items()}
    labels = list(Explanation.__dataclass_fields__)
    if list(parts) != labels or not all(parts.values()):
        raise ValueError(f"the parts must be {', '.join(labels)}, in this order, got {', '.join(parts)}")
    return Explanation(**parts)
