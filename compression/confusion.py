"""Which class a network takes for which."""

from compression.cifar10 import CLASSES
from compression.evaluate import Evaluation


def confusion(evaluation: Evaluation) -> list[list[int]]:
    """[true class][class it was called] -> images; the diagonal are those that are right."""
    count = len(CLASSES)
    pairs = evaluation.labels * count + evaluation.predictions.long()
    return pairs.bincount(minlength=count * count).view(count, count).tolist()
