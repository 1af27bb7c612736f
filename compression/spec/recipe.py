"""A CompressionSpec as JSON (a recipe), and its layer settings as text in a link.

Recipes and links can come from anywhere. If one is wrong, a ValueError says what is wrong, with the path of the field,
as `weights.bits`. The JSON is checked here because msgspec would ignore unknown and repeated fields of a dataclass,
and would name the types of wrong values instead of the values.
"""

import difflib
import json
import types
from collections.abc import Iterable
from dataclasses import MISSING, fields, is_dataclass
from enum import StrEnum
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints
from urllib.parse import quote, unquote

from compression.spec.compression import CompressionSpec, LayerSpec

MOST_CHARACTERS = 1_000_000

WORDS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false", type(None): "null"}


def from_json(text: str) -> CompressionSpec:
    """Returns the spec of a recipe. Fields other than `model` may be missing and then have their defaults.

    Raises ValueError, with a sentence on what is wrong, if `text` is not the JSON of a spec.
    """
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"a recipe has at most {MOST_CHARACTERS:,} characters, and this has {len(text):,}")
    try:
        value = json.loads(text, object_pairs_hook=_unique_members, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise ValueError(f"this is not JSON: {error.msg} in line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise ValueError("this is not a recipe: it is nested too deeply") from None
    if isinstance(value, dict) and "model" not in value:
        raise ValueError("model is missing: a recipe must name its network")
    return _read(CompressionSpec, value, "")


def to_link(layers: Iterable[LayerSpec]) -> str:
    """Returns the settings of layers as text: name, bits and sparsity, as in "conv1:8/0,fc:4".

    A setting that is None is left out.
    """
    return ",".join(
        f"{quote(layer.name, safe='')}:{'' if layer.bits is None else layer.bits}"
        + (
            ""
            if layer.sparsity is None
            else f"/{layer.sparsity:g}"
            if _is_short(layer.sparsity)
            else f"/{layer.sparsity!r}"
        )
        for layer in sorted(layers, key=lambda layer: layer.name)
    )


def from_link(text: str) -> tuple[LayerSpec, ...]:
    """Returns the settings in `text`, in the format of `to_link`. Raises ValueError with the part that is damaged."""
    layers = tuple(_read_layer(part) for part in text.split(",")) if text else ()
    return CompressionSpec("", layers=layers).layers


def _is_short(sparsity: float) -> bool:
    return float(f"{sparsity:g}") == sparsity


def _read_layer(part: str) -> LayerSpec:
    name, _, settings = part.partition(":")
    bits, _, sparsity = settings.partition("/")
    try:
        numbers = int(bits) if bits else None, float(sparsity) if sparsity else None
    except ValueError:
        raise ValueError(f"a layer in a link must be written as in conv1:8/0.5, got {part!r}") from None
    return LayerSpec(unquote(name), *numbers)


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            raise ValueError(f"the field {name!r} occurs twice")
        members[name] = value
    return members


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not allowed in a recipe: its numbers are finite")


def _read(kind: Any, value: Any, place: str) -> Any:
    """Returns the JSON `value` at the path `place` as a `kind`: a dataclass, enum, tuple, union or plain type."""
    if get_origin(kind) in (Union, types.UnionType):
        others = [each for each in get_args(kind) if each is not type(None)]
        if value is None and len(others) < len(get_args(kind)):
            return None
        return _read(others[0], value, place) if len(others) == 1 else _read_plain(tuple(others), value, place)
    if get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise ValueError(f"{place} must be a list, got {_shorten(value)}")
        return tuple(_read(get_args(kind)[0], each, f"{place}[{number}]") for number, each in enumerate(value))
    if is_dataclass(kind):
        return _read_fields(kind, value, place)
    if issubclass(kind, StrEnum):
        return _read_member(kind, _read_plain((str,), value, place), place)
    return _read_plain((kind,), value, place)


def _read_fields(kind: Any, value: Any, place: str) -> Any:
    prefix = f"{place}." if place else ""
    if not isinstance(value, dict):
        raise ValueError(f"{place or 'a recipe'} must be an object with {{…}}, got {_shorten(value)}")
    kinds = _field_types(kind)
    known_fields = {each.name: each for each in fields(kind) if each.init}
    for name in value:
        if name not in known_fields:
            near = difflib.get_close_matches(name, known_fields, 1, 0)[0]
            raise ValueError(f"{prefix}{name[:40]} is not a known field; the nearest is {near!r}")
    for name, each in known_fields.items():
        if name not in value and each.default is MISSING and each.default_factory is MISSING:
            raise ValueError(f"{prefix}{name} is missing")
    values = {name: _read(kinds[name], each, f"{prefix}{name}") for name, each in value.items()}
    try:
        return kind(**values)
    except ValueError as error:
        raise ValueError(f"{place}: {error}" if place else str(error)) from None


@cache
def _field_types(kind: Any) -> dict[str, Any]:
    """Returns the types of the fields of `kind`. Cached: the look-up takes a millisecond per spec."""
    return get_type_hints(kind)


def _read_member(kind: type[StrEnum], name: str, place: str) -> StrEnum:
    if name not in list(kind):
        raise ValueError(f"{place} must be one of {', '.join(kind)}, got {name[:40]!r}")
    return kind(name)


def _read_plain(kinds: tuple[Any, ...], value: Any, place: str) -> Any:
    """Returns `value` if it has one of `kinds`. A whole number counts as a number, true and false do not."""
    for kind in kinds:
        if type(value) is kind or (kind is float and type(value) is int):
            return value
    raise ValueError(
        f"{place} must be {' or '.join(WORDS.get(kind, str(kind)) for kind in kinds)}, got {_shorten(value)}"
    )


def _shorten(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:40]}…"
