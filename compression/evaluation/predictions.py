"""results/predictions.py"""

import numpy as np
import torch
from torch import Tensor


def packed(classes: Tensor) -> bytes:
    """classes (N,) 0..15 -> 4 bits each, two in a byte, the first one above."""
    pairs = np.zeros((len(classes) + 1) // 2 * 2, np.uint8)
    pairs[: len(classes)] = classes.numpy()
    return (pairs[0::2] << 4 | pairs[1::2]).tobytes()


def unpacked(packed: bytes, count: int) -> Tensor:
    """What `packed` made of `count` classes -> (count,) uint8."""
    pairs = np.frombuffer(packed, np.uint8)
    return torch.from_numpy(np.stack([pairs >> 4, pairs & 0xF], 1).reshape(-1)[:count])
