"""A CompressionSpec as a file, and its layers as a few words in a link: written, and read back with care.

A recipe comes from anywhere. What is wrong with it is said in a ValueError, with the place in it, as `weights.bits`.
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
    """What `CompressionSpec.to_json` wrote, or somebody by hand; fields that are left out have their defaults.

    Raises ValueError, in the reader's words, for all that is not the JSON of a spec.
    """
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"a recipe has at most {MOST_CHARACTERS:,} characters, and this has {len(text):,}")
    try:
        value = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise ValueError(f"this is no JSON: {error.msg} in line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise ValueError("this is no recipe: it is nested too deeply") from None
    if isinstance(value, dict) and "model" not in value:
        raise ValueError("model is missing: a recipe in a file names its network")
    return _read(CompressionSpec, value, "")


def to_link(layers: Iterable[LayerSpec]) -> str:
    """ "conv1:8/0,fc:4": name, bits, sparsity; what a layer has in common with the network is left out."""
    return ",".join(
        f"{quote(layer.name, safe='')}:{'' if layer.bits is None else layer.bits}"
        + (
            ""
            if layer.sparsity is None
            else f"/{layer.sparsity:g}"
            if _short(layer.sparsity)
            else f"/{layer.sparsity!r}"
        )
        for layer in sorted(layers, key=lambda layer: layer.name)
    )


def from_link(text: str) -> tuple[LayerSpec, ...]:
    """What `to_link` wrote. Raises ValueError, with the part that is damaged, for anything else."""
    layers = tuple(_layer(part) for part in text.split(",")) if text else ()
    return CompressionSpec("", layers=layers).layers


def _short(sparsity: float) -> bool:
    return float(f"{sparsity:g}") == sparsity


def _layer(part: str) -> LayerSpec:
    name, _, said = part.partition(":")
    bits, _, sparsity = said.partition("/")
    try:
        numbers = int(bits) if bits else None, float(sparsity) if sparsity else None
    except ValueError:
        raise ValueError(f"the layers of a link are written as conv1:8/0.5, and this has {part!r}") from None
    return LayerSpec(unquote(name), *numbers)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{name!r} is said twice")
        found[name] = value
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number that a recipe can have")


def _read(kind: Any, value: Any, place: str) -> Any:
    """`value`, as JSON has it, as a `kind`: a dataclass, an enum, a tuple, a union or a plain type."""
    if get_origin(kind) in (Union, types.UnionType):
        others = [each for each in get_args(kind) if each is not type(None)]
        if value is None and len(others) < len(get_args(kind)):
            return None
        return _read(others[0], value, place) if len(others) == 1 else _plain(tuple(others), value, place)
    if get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise ValueError(f"{place} must be a list, got {_said(value)}")
        return tuple(_read(get_args(kind)[0], each, f"{place}[{number}]") for number, each in enumerate(value))
    if is_dataclass(kind):
        return _read_fields(kind, value, place)
    if issubclass(kind, StrEnum):
        return _member(kind, _plain((str,), value, place), place)
    return _plain((kind,), value, place)


def _read_fields(kind: Any, value: Any, place: str) -> Any:
    within = f"{place}." if place else ""
    if not isinstance(value, dict):
        raise ValueError(f"{place or 'a recipe'} must be an object with {{…}}, got {_said(value)}")
    kinds = _hints(kind)
    known = {each.name: each for each in fields(kind) if each.init}
    for name in value:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1, 0)[0]
            raise ValueError(f"{within}{name[:40]} is not known; the nearest is {near!r}")
    for name, each in known.items():
        if name not in value and each.default is MISSING and each.default_factory is MISSING:
            raise ValueError(f"{within}{name} is missing")
    found = {name: _read(kinds[name], each, f"{within}{name}") for name, each in value.items()}
    try:
        return kind(**found)
    except ValueError as error:
        raise ValueError(f"{place}: {error}" if place else str(error)) from None


@cache
def _hints(kind: Any) -> dict[str, Any]:
    """What its fields are; looked up once, for that takes a millisecond a spec."""
    return get_type_hints(kind)


def _member(kind: type[StrEnum], name: str, place: str) -> StrEnum:
    if name not in list(kind):
        raise ValueError(f"{place} must be one of {', '.join(kind)}, got {name[:40]!r}")
    return kind(name)


def _plain(kinds: tuple[Any, ...], value: Any, place: str) -> Any:
    """A whole number is a number too, and true is neither."""
    for kind in kinds:
        if type(value) is kind or (kind is float and type(value) is int):
            return value
    raise ValueError(f"{place} must be {' or '.join(WORDS.get(kind, str(kind)) for kind in kinds)}, got {_said(value)}")


def _said(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:40]}…"
