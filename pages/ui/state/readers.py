"""Readers of the texts in a link: each returns the value that a text says, or raises ValueError."""

import math
from collections.abc import Callable, Iterable
from typing import Any

from compression.spec import structure_from

Read = Callable[[str], Any]
MOST_CHARACTERS = 200  # of a name
MOST_CHARACTERS_OF_TEXT = 2000


def written(value: Any) -> str:
    """Returns the text of a value in a link."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(map(written, value))
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    return str(value)


def one_of(options: Iterable[Any]) -> Read:
    """Returns a reader that accepts the texts of `options`."""
    by_name = {written(option): option for option in options}

    def read(text: str) -> Any:
        if text not in by_name:
            raise ValueError
        return by_name[text]

    return read


def number(lowest: float, highest: float) -> Read:
    """Returns a reader of numbers from `lowest` to `highest`."""

    def read(text: str) -> float:
        value = float(text)
        if not lowest <= value <= highest:
            raise ValueError
        return value

    return read


def whole(lowest: int, highest: int) -> Read:
    """Returns a reader of whole numbers from `lowest` to `highest`."""

    def read(text: str) -> int:
        value = int(text) if text.isdecimal() and text.isascii() else math.inf
        if not lowest <= value <= highest:
            raise ValueError
        return int(value)

    return read


def switch(text: str) -> bool:
    """Reads "true" or "false"."""
    return one_of(("true", "false"))(text.lower()) == "true"


def text(text: str) -> str:
    """Reads a text that is read further where it is used, and is not too long."""
    if len(text) > MOST_CHARACTERS_OF_TEXT:
        raise ValueError
    return text


def name(text: str) -> str:
    """Reads a name, which is not empty and not too long."""
    if not 0 < len(text) <= MOST_CHARACTERS:
        raise ValueError
    return text


def names(text: str) -> tuple[str, ...]:
    """Reads names that are separated by commas; each is kept once."""
    return tuple(dict.fromkeys(name(each) for each in text.split(",") if each))


def structure(text: str) -> str:
    """Reads a pruning granularity, such as "filter" or "2:4"."""
    structure_from(text)
    return text


def cell(text: str) -> str:
    """Reads a row and a column of a matrix, such as "3-5"."""
    row, column = (whole(0, 999)(each) for each in text.split("-"))
    return f"{row}-{column}"


def several(options: Iterable[Any]) -> Read:
    """Returns a reader of some of `options`, separated by commas."""
    one = one_of(options)
    return lambda text: tuple(dict.fromkeys(one(each) for each in text.split(",") if each))
