"""Reads what a checkpoint says of its own accuracy, under one of the names that training scripts use."""

import math
import re
from typing import Any

import torch
from torch import Tensor

NAMES = (  # in lower case and without other characters than letters and digits, so that best_acc@1 is bestacc1
    *("bestprec1", "bestprec", "bestacc1", "bestacc", "besttop1", "bestaccuracy", "besttestacc", "bestvalacc"),
    *("testacc", "testaccuracy", "valacc", "valaccuracy", "prec1", "acc1", "top1", "acc", "accuracy"),
)


def stated_accuracies(content: Any) -> dict[str, float]:
    """Returns the accuracies (0..1) in a dictionary, by their names there; nothing for anything but a dictionary.

    An accuracy is a number, a text of one, or a tensor with one element; above 1, it is in percent. What is no accuracy
    at all is left out. Only built-in types are touched, so that no code of the file runs.
    """
    if not isinstance(content, dict):
        return {}
    accuracies = {}
    for name, value in dict.items(content):  # a file can set an attribute `items` of an OrderedDict
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9_@. /-]{1,40}", name):
            continue
        if re.sub("[^a-z0-9]", "", name.lower()) in NAMES and (accuracy := _accuracy(value)) is not None:
            accuracies[name] = accuracy
    return accuracies


def _accuracy(value: Any) -> float | None:
    """Returns the accuracy (0..1) that `value` stands for, or None."""
    if isinstance(value, Tensor):
        plain = value.layout is torch.strided and value.numel() == 1 and not value.is_complex()
        value = value.detach().double().item() if plain else None
    elif isinstance(value, str):
        value = float(value.rstrip("% ")) if re.fullmatch(r"\s*\d{1,3}(\.\d{1,20})?\s*%?\s*", value) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100 or math.isnan(value):
        return None
    return value / 100 if value > 1 else float(value)
