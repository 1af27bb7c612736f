"""Small layers with inputs for the tests of reconstruction, the same ones each time."""

import torch
from torch import Tensor, nn

from compression.reconstruction.moments import Moments, moments_of


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def correlated(count: int, columns: int, seed: int = 0) -> Tensor:
    """Returns columns (1, count, columns) whose inputs depend on each other, as those of real layers do."""
    return (numbers(count, columns, seed=seed) @ numbers(columns, columns, seed=seed + 1))[None]


def layer_moments(rows: Tensor, columns: Tensor) -> Moments:
    """rows (G, r, d), columns (G, n, d) -> the moments of a layer that sees the same inputs in both networks."""
    return moments_of(columns, columns @ rows.transpose(1, 2))


def layers() -> dict[str, tuple[nn.Module, Tensor]]:
    """Returns layers of each kind, with inputs for them."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return {
            "linear": (nn.Linear(6, 4), numbers(5, 6)),
            "linear of sequences": (nn.Linear(6, 4), numbers(5, 3, 6)),
            "3x3": (nn.Conv2d(4, 6, 3, padding=1), numbers(5, 4, 7, 6)),
            "strided": (nn.Conv2d(4, 6, 3, stride=2, padding=1), numbers(5, 4, 7, 6)),
            "dilated": (nn.Conv2d(4, 6, 3, dilation=2), numbers(5, 4, 9, 8)),
            "grouped": (nn.Conv2d(4, 6, 3, padding=1, groups=2), numbers(5, 4, 7, 6)),
            "depthwise": (nn.Conv2d(4, 4, 3, padding=1, groups=4), numbers(5, 4, 7, 6)),
            "circular": (nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"), numbers(5, 2, 5, 5)),
            "one-dimensional": (nn.Conv1d(4, 6, 3, padding=2), numbers(5, 4, 9)),
        }
