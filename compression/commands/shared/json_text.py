"""Writes what a command prints with --json as JSON that any program can read."""

import json
import math
from typing import Any


def to_json(values: Any) -> str:
    """Returns `values` as JSON text. A number that is infinite or not a number becomes null: JSON has neither."""
    return json.dumps(_finite(values), allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
