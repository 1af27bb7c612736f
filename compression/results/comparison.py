"""Networks side by side, image by image: which of their differences may be chance, and which classes pay."""

from collections.abc import Mapping, Sequence

import pandas as pd

from compression.evaluation.evaluation import Evaluation, flips
from compression.results.result import Result
from compression.results.table import table


def p_values(results: Sequence[Result]) -> list[list[float]]:
    """McNemar's p between any two; 1 with itself."""
    found = [[1.0] * len(results) for _ in results]
    for i, one in enumerate(results):
        for j in range(i):
            found[i][j] = found[j][i] = flips(results[j].evaluation, one.evaluation).p
    return found


def class_changes(before: Evaluation, after: Evaluation) -> dict[str, float]:
    """Class name -> the change of its accuracy; of classes that have images."""
    then, now = before.per_class, after.per_class
    return {name: (now[name][0] - right) / total for name, (right, total) in then.items() if total}


def compared(results: Sequence[Result], before: Mapping[str, Evaluation]) -> pd.DataFrame:
    """The table of `tables`, with the change of each class against the float network, where that is known."""
    changes = [
        class_changes(before[each.spec.model], each.evaluation) if each.spec.model in before else {} for each in results
    ]
    classes = pd.DataFrame(changes, index=range(len(results))).add_prefix("change_")
    return pd.concat([table(results, before), classes], axis=1)
