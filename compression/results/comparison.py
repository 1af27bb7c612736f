"""Compares networks image by image: which differences may be chance, and which classes lose accuracy."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import pandas as pd

from compression.evaluation.evaluation import Evaluation, flips
from compression.evaluation.multiplicity import holm
from compression.results.result import Result
from compression.results.table import results_table


def p_values(results: Sequence[Result]) -> list[list[float]]:
    """Returns the p-value of McNemar's test for each pair of results, [i][j] = [j][i]; 1 on the diagonal.

    The values are adjusted by Holm's method, because some of many pairs differ by chance alone.
    """
    pairs = list(combinations(range(len(results)), 2))
    values = holm([flips(results[i].evaluation, results[j].evaluation).p for i, j in pairs])
    matrix = [[1.0] * len(results) for _ in results]
    for (i, j), p in zip(pairs, values, strict=True):
        matrix[i][j] = matrix[j][i] = p
    return matrix


def class_changes(before: Evaluation, after: Evaluation) -> dict[str, float]:
    """Returns the change of accuracy for each class that has images, by the name of the class."""
    now = after.per_class
    return {name: (now[name][0] - correct) / total for name, (correct, total) in before.per_class.items() if total}


def comparison_table(results: Sequence[Result], before: Mapping[str, Evaluation]) -> pd.DataFrame:
    """Returns `results_table` with a column `change_CLASS` for each class: the change against the float network.

    `before` are the evaluations of float networks by name; without one the columns are empty for its results.
    """
    changes = [
        class_changes(before[each.spec.model], each.evaluation) if each.spec.model in before else {} for each in results
    ]
    classes = pd.DataFrame(changes, index=range(len(results))).add_prefix("change_")
    return pd.concat([results_table(results, before), classes], axis=1)
