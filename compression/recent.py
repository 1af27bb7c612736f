"""Values that are worth keeping as long as there is room."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """Values by key, together of at most `most_bytes`, or one alone; the one used longest ago goes first.

    `nbytes` says how large a value is now: it may change.
    """

    def __init__(self, most_bytes: int, nbytes: Callable[[V], int]) -> None:
        self._most_bytes, self._nbytes = most_bytes, nbytes
        self._values: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K, make: Callable[[], V]) -> V:
        """The value under `key`, made if it is not there."""
        if key not in self._values:
            self._values[key] = make()
        self._values.move_to_end(key)
        while sum(map(self._nbytes, self._values.values())) > self._most_bytes and len(self._values) > 1:
            self._values.popitem(last=False)
        return self._values[key]
