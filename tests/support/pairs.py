"""Rows of choices that cover every pair of options, with far fewer rows than there are combinations."""

import random
from collections.abc import Hashable, Iterator, Mapping, Sequence
from itertools import combinations, product

Option = tuple[str, Hashable]


class Pairs:
    """The pairs of options that rows have covered so far. `seed` decides between rows that are equally good."""

    def __init__(self, seed: object) -> None:
        self._covered: set[frozenset[Option]] = set()
        self._chance = random.Random(repr(seed))

    def next_row(self, options: Mapping[str, Sequence[Hashable]]) -> dict[str, Hashable] | None:
        """Returns one of the options of each name, some pair of which is new, or None if all are covered."""
        first = next(self._uncovered(options), None)
        if first is None:
            return None
        row = dict(first)
        others = [name for name in options if name not in row]
        self._chance.shuffle(others)
        for name in others:
            row[name] = max(options[name], key=lambda value: (self._gain(row, (name, value)), self._chance.random()))
        self._covered.update(map(frozenset, combinations(row.items(), 2)))
        return row

    def rows(self, options: Mapping[str, Sequence[Hashable]]) -> Iterator[dict[str, Hashable]]:
        """Yields rows until every pair of options is in one of them."""
        while row := self.next_row(options):
            yield row

    def _uncovered(self, options: Mapping[str, Sequence[Hashable]]) -> Iterator[tuple[Option, Option]]:
        names = list(options)
        self._chance.shuffle(names)
        for one, other in combinations(names, 2):
            for pair in product(((one, value) for value in options[one]), ((other, value) for value in options[other])):
                if frozenset(pair) not in self._covered:
                    yield pair

    def _gain(self, row: Mapping[str, Hashable], option: Option) -> int:
        return sum(frozenset((each, option)) not in self._covered for each in row.items())
