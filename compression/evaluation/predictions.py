"""Predicted classes as bytes, to keep them in files and databases."""

import numpy as np
import torch
from torch import Tensor

HALF_A_BYTE = 16  # classes


def pack_predictions(predictions: Tensor, classes: int) -> bytes:
    """predictions (N,) uint8 of so many classes -> bytes.

    Up to 16 classes take 4 bits per prediction, two predictions in a byte, the first one in the upper half. More
    classes take one byte per prediction.
    """
    if classes > HALF_A_BYTE:
        return predictions.numpy().tobytes()
    pairs = np.zeros((len(predictions) + 1) // 2 * 2, np.uint8)
    pairs[: len(predictions)] = predictions.numpy()
    return (pairs[0::2] << 4 | pairs[1::2]).tobytes()


def unpack_predictions(content: bytes, count: int, classes: int) -> Tensor:
    """Returns the `count` predictions (count,) uint8 that `pack_predictions` packed for so many classes."""
    octets = np.frombuffer(content, np.uint8)
    if classes > HALF_A_BYTE:
        return torch.from_numpy(octets[:count].copy())
    return torch.from_numpy(np.stack([octets >> 4, octets & 0xF], 1).reshape(-1)[:count])
