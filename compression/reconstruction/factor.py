"""Factors the second moments of a layer's inputs, damped so that the factor exists, and says how much was needed."""

from dataclasses import dataclass

import torch
from torch import Tensor

DAMPING = 0.01  # added to the diagonal, as a share of its mean

DAMPING_STEP = 10.0  # how much more is added after a matrix that could not be factored

MOST_DAMPING = 1e4


@dataclass(frozen=True)
class Damping:
    """What was done to make the second moments of a layer invertible.

    `share`: what was added to the diagonal, as a share of its mean. `dead`: how many input columns are always zero; the
    weights that read them do not matter. `deficient`: whether there were fewer samples than columns, so that without
    damping many weights would give the same outputs on the sample.
    """

    share: float
    dead: int = 0
    deficient: bool = False

    @property
    def words(self) -> str:
        """A sentence on what was unusual, or "" if nothing was."""
        parts = [f"{self.dead} inputs are always zero"] if self.dead else []
        parts += ["there are fewer samples than inputs"] if self.deficient else []
        parts += [f"the damping was raised to {self.share:g}"] if self.share > DAMPING else []
        return "; ".join(parts)


@dataclass(frozen=True, eq=False)
class Factor:
    r"""The upper triangular U (G, d, d) with (H + damping)^{-1} = U^T U, and how H was damped.

    Row j of U, divided by its diagonal, says how the columns after j make up for an error in column j, once the columns
    before it are fixed (Frantar et al. 2022, arXiv:2210.17323, section 3.3).
    """

    upper: Tensor
    damping: Damping


def damped(second: Tensor, share: float) -> Tensor:
    """second (G, d, d) -> the same with `share` of the mean of the diagonal added to it, and ones for dead columns."""
    diagonal = second.diagonal(dim1=1, dim2=2)
    extra = share * diagonal.mean(1, keepdim=True) + (diagonal == 0)
    extra = torch.where(diagonal.amax(1, keepdim=True) > 0, extra, 1.0)
    return second + torch.diag_embed(extra)


def factor_inverse(second: Tensor, count: int, share: float = DAMPING) -> Factor:
    r"""Returns the factor U of the inverse of second (G, d, d), the sum of `count` outer products.

    Formula: H + \lambda I = R R^T \text{ with } R \text{ upper triangular}, \quad U = R^{-1}
    Source: Frantar et al. 2022 (arXiv:2210.17323), who factor the inverse instead, which takes twice as long.
    Fails: if the sample says little about the inputs: damping then keeps the weights near where they are.

    Damping is raised tenfold until the matrix can be factored. Raises ValueError if it holds NaN or infinity.
    """
    if not second.isfinite().all():
        raise ValueError("the inputs of this layer include NaN or infinity")
    dead = int((second.diagonal(dim1=1, dim2=2) == 0).sum())
    while True:
        lower, failures = torch.linalg.cholesky_ex(damped(second, share).flip(1, 2))
        if not failures.any():
            break
        share = max(share, DAMPING / DAMPING_STEP) * DAMPING_STEP
        if share > MOST_DAMPING:
            raise ValueError("the second moments of the inputs of this layer cannot be factored")
    identity = torch.eye(second.shape[1], dtype=second.dtype).expand_as(second)
    inverse = torch.linalg.solve_triangular(lower.flip(1, 2), identity, upper=True)
    return Factor(inverse, Damping(share, dead, count < second.shape[1]))
