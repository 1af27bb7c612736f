"""Tables that compare specs: their numbers, McNemar's p for every pair, accuracy change per class."""

from collections.abc import Mapping, Sequence

import pandas as pd

from compression.evaluation.evaluation import Evaluation
from compression.results.comparison import class_changes, p_values
from compression.results.result import Result
from pages.ui import wording
from pages.ui.compute import networks


def numbers(results: Sequence[Result], before: Mapping[str, Evaluation]) -> pd.DataFrame:
    """Returns the numbers as text, one row per spec."""
    names, specs = zip(*(networks.described(each.spec) for each in results), strict=True)
    return pd.DataFrame(
        {
            "": [str(number) for number in range(1, len(results) + 1)],
            "Network": names,
            "Spec": specs,
            "Accuracy": [wording.percent(each.evaluation.accuracy, 2) for each in results],
            "95 % interval": [wording.interval(*each.evaluation.interval) for each in results],
            "Against float": [change(each, before) for each in results],
            "File": [f"{each.costs.file:,} B" for each in results],
            "MACs": [wording.quantity(each.costs.macs) for each in results],
            "Bit operations": [wording.quantity(each.costs.bit_operations) for each in results],
            "Sparsity": [wording.percent(each.costs.sparsity) for each in results],
        }
    )


def change(result: Result, before: Mapping[str, Evaluation]) -> str:
    """Returns the change against float, such as "-1.2 points", or "" if the float network is not known."""
    float_network = before.get(result.spec.model)
    return wording.points(result.evaluation.accuracy - float_network.accuracy) if float_network else ""


def chance_in_words(count: int) -> str:
    """Returns what the p-values of `matrix` mean for `count` specs, in sentences."""
    pairs = count * (count - 1) // 2
    if pairs == 1:
        return f"The p-value of McNemar's test. Below {wording.SIGNIFICANCE:g}, the difference is more than chance."
    return (
        f"The p-value of McNemar's test for every pair, corrected by Holm's method for all {pairs:,} pairs. Below "
        f"{wording.SIGNIFICANCE:g}, the difference is more than chance: if no two specs really differed, there would "
        "be such a value anywhere in the table in at most 5 % of cases."
    )


def matrix(results: Sequence[Result]) -> pd.DataFrame:
    """Returns McNemar's p for every pair, corrected by Holm's method, by the numbers of the rows."""
    names = [str(number) for number in range(1, len(results) + 1)]
    values = p_values(results)
    cells = [
        ["" if i == j else wording.p_value(p).removeprefix("p ").removeprefix("= ") for j, p in enumerate(row)]
        for i, row in enumerate(values)
    ]
    return pd.DataFrame(cells, names, names)


def classes(results: Sequence[Result], before: Mapping[str, Evaluation]) -> pd.DataFrame:
    """Returns the accuracy change per class in percentage points, one row per spec."""
    rows = [
        class_changes(before[each.spec.model], each.evaluation) if each.spec.model in before else {} for each in results
    ]
    changes = pd.DataFrame(rows, index=[str(number) for number in range(1, len(results) + 1)])
    return changes.map(lambda value: f"{100 * value:+.1f}")
