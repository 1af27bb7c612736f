"""A cache that discards the values that were used least recently, once it holds too many or too large ones."""

import contextlib
import ctypes
import gc
import sys
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

V = TypeVar("V")


class LruCache(Generic[K, V]):
    """Values by key, from the least to the most recently used. Not thread-safe: its owner holds the lock.

    At most `most_values` values stay, of together at most `most_bytes`; None means no limit. `nbytes` gives the size
    of a value, which may change as long as the value is here. A value for which `is_removable` is false stays even if
    there is no room, and so do all that were used after it, and the one that was used last. `on_removal` is called
    with each value that is removed for lack of room.
    """

    def __init__(
        self,
        most_values: int | None = None,
        most_bytes: int | None = None,
        nbytes: Callable[[V], int] = lambda value: 0,
        is_removable: Callable[[V], bool] = lambda value: True,
        on_removal: Callable[[V], object] = lambda value: None,
    ) -> None:
        self._most_values, self._most_bytes, self._nbytes = most_values, most_bytes, nbytes
        self._is_removable, self._on_removal = is_removable, on_removal
        self._values: OrderedDict[K, V] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: K) -> V | None:
        """Returns the value under `key`, or None; this does not count as a use."""
        return self._values.get(key)

    def use(self, key: K, make: Callable[[], V]) -> V:
        """Returns the value under `key`, which is made if there is none, and marks it as the most recently used."""
        if key not in self._values:
            self._values[key] = make()
        self._values.move_to_end(key)
        self.make_room()
        return self._values[key]

    def put(self, key: K, value: V) -> None:
        """Replaces the value under `key`, and marks the new one as the most recently used."""
        self.discard(key)
        self.use(key, lambda: value)

    def discard(self, key: K) -> V | None:
        """Removes the value under `key`, and returns it, or None; `on_removal` is not called."""
        return self._values.pop(key, None)

    def clear(self) -> None:
        """Removes all values; `on_removal` is not called."""
        self._values.clear()

    def values(self) -> tuple[V, ...]:
        """Returns all values, the least recently used first."""
        return tuple(self._values.values())

    def make_room(self) -> None:
        """Removes values until the rest has room. `use` and `put` call this; call it when values have grown."""
        while len(self._values) > 1 and not self._has_room():
            key, oldest = next(iter(self._values.items()))
            if not self._is_removable(oldest):
                return
            del self._values[key]
            self._on_removal(oldest)

    def _has_room(self) -> bool:
        if self._most_values is not None and len(self._values) > self._most_values:
            return False
        return self._most_bytes is None or sum(map(self._nbytes, self._values.values())) <= self._most_bytes


def forget_all() -> None:
    """Empties the caches of this process that are variables of a module of this package, and gives memory back."""
    for name, module in list(sys.modules.items()):
        if name.startswith(f"{__package__.partition('.')[0]}."):
            for value in list(vars(module).values()):
                if isinstance(value, LruCache):
                    value.clear()
    give_memory_back()


def give_memory_back() -> None:
    """Gives memory that is free back to the system, which glibc does on its own only at the end of its heap."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # a system without glibc
        ctypes.CDLL("libc.so.6").malloc_trim(0)
