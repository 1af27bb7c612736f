"""Tables that compare specs: numbers, McNemar's p between any two, accuracy by class."""

from collections.abc import Mapping, Sequence

import pandas as pd

from compression.evaluation.evaluation import Evaluation
from compression.results.comparison import class_changes, p_values
from compression.results.result import Result
from compression.spec.title import title
from pages.ui import wording


def numbers(results: Sequence[Result], before: Mapping[str, Evaluation]) -> pd.DataFrame:
    """In words, a row a spec."""
    return pd.DataFrame(
        {
            "": [str(number) for number in range(1, len(results) + 1)],
            "Network": [each.spec.model for each in results],
            "Spec": [title(each.spec) for each in results],
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
    """ "-1.2 points", or nothing where the float network is not known."""
    found = before.get(result.spec.model)
    return wording.points(result.evaluation.accuracy - found.accuracy) if found else ""


def matrix(results: Sequence[Result]) -> pd.DataFrame:
    """p by the numbers of the rows."""
    names = [str(number) for number in range(1, len(results) + 1)]
    values = p_values(results)
    cells = [
        ["" if i == j else wording.p_value(p).removeprefix("p ").removeprefix("= ") for j, p in enumerate(row)]
        for i, row in enumerate(values)
    ]
    return pd.DataFrame(cells, names, names)


def classes(results: Sequence[Result], before: Mapping[str, Evaluation]) -> pd.DataFrame:
    """Points by class, a row a spec."""
    rows = [
        class_changes(before[each.spec.model], each.evaluation) if each.spec.model in before else {} for each in results
    ]
    found = pd.DataFrame(rows, index=[str(number) for number in range(1, len(results) + 1)])
    return found.map(lambda value: f"{100 * value:+.1f}")
