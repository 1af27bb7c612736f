"""Who watches what, so that work for which nobody waits any more can stop."""

import time
from typing import Generic, TypeVar

T = TypeVar("T")

FORGET_SECONDS = 60

ACTIVE_SECONDS = 5


class Watchers(Generic[T]):
    """The thing that each watcher looks at: one at a time, forgotten if there was no look for FORGET_SECONDS.

    Things are compared by identity.
    """

    def __init__(self) -> None:
        self._watched: dict[str, tuple[T, float]] = {}

    def watches(self, who: str, thing: T) -> bool:
        """Returns whether the last look of `who` was at `thing`."""
        return who in self._watched and self._watched[who][0] is thing

    def look(self, who: str, thing: T, stays: bool) -> list[T]:
        """Notes that `who` looks at `thing`, and, if it `stays`, waits for it.

        Returns what was watched before and is watched by nobody now.
        """
        values = [self._watched.pop(who)[0]] if who in self._watched else []
        if stays:
            self._watched[who] = thing, time.monotonic()
        return [each for each in values if not self.is_watched(each)] + self.forget()

    def forget(self) -> list[T]:
        """Forgets who has not looked for FORGET_SECONDS. Returns what they watched and is watched by nobody now."""
        now, values = time.monotonic(), []
        for watcher, (watched, seen_at) in list(self._watched.items()):
            if now - seen_at > FORGET_SECONDS:
                del self._watched[watcher]
                values.append(watched)
        return [each for each in values if not self.is_watched(each)]

    def is_watched(self, thing: T) -> bool:
        """Returns whether somebody watches `thing`."""
        return any(thing is watched for watched, _ in self._watched.values())

    @property
    def active(self) -> int:
        """How many watchers have looked within the last ACTIVE_SECONDS."""
        now = time.monotonic()
        return sum(now - seen_at < ACTIVE_SECONDS for _, seen_at in list(self._watched.values()))
