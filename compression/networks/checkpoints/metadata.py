"""Reads the numbers and types of NumPy that training scripts store beside the weights, without calling NumPy.

A pickle names NumPy's functions. While it is loaded, those of this file take their place: they know numbers of 1 to 8
bytes and nothing else, so that no file can make NumPy build an object.
"""

import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from compression.networks.checkpoints.pickles import NUMPY_SCALARS, NUMPY_TYPES, ForeignName

ORDERS = {"<": "<", ">": ">", "|": "<"}  # byte order in the state of a type -> in `struct`; one byte has none

_FIELDS = (None, None, None, -1, -1, 0)  # state of a type after version and order: no subarray, no fields, no flags


class NumpyType:
    """Stands for a type of NumPy: the `name` is one of NUMPY_TYPES, `order` one of ORDERS or None before it is set."""

    def __init__(self, name: str, align: bool, copy: bool) -> None:
        if name not in NUMPY_TYPES:
            raise ForeignName(f"numpy.dtype of {name!r:.40}")
        self.name = name
        self.order: str | None = None

    def __setstate__(self, state: Any) -> None:
        """Takes the byte order. Raises ForeignName for the state of any type but that of a number."""
        if not (isinstance(state, tuple) and len(state) == 8 and state[2:] == _FIELDS and state[1] in ORDERS):
            raise ForeignName("numpy.dtype with fields")
        self.order = state[1]


def numpy_scalar(numpy_type: Any, content: Any) -> bool | int | float:
    """Returns the number of NumPy with these bytes. Raises ForeignName for anything but a number."""
    if type(numpy_type) is not NumpyType or numpy_type.order is None or not isinstance(content, bytes):
        raise ForeignName("numpy scalar of another type than a number")
    layout = ORDERS[numpy_type.order] + NUMPY_TYPES[numpy_type.name]
    if len(content) != struct.calcsize(layout):
        raise ForeignName("numpy scalar of another size than its type")
    return struct.unpack(layout, content)[0]


_REPLACEMENTS = [
    (NumpyType, "numpy.dtype"),
    *((numpy_scalar, name.replace(" ", ".")) for name in NUMPY_SCALARS),
]

_ONE_AT_A_TIME = threading.Lock()  # torch keeps the names that it allows for the whole process


@contextmanager
def numpy_replaced() -> Iterator[None]:
    """While it is open, torch.load takes the functions of this file in place of NumPy's."""
    with _ONE_AT_A_TIME, torch.serialization.safe_globals(_REPLACEMENTS):  # type: ignore[arg-type]
        yield
