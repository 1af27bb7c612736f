"""Second moments of a layer's inputs and outputs: all that reconstruction needs to know of the images.

For columns x (d) of the network compressed so far and outputs y (r) of the float network at the same places:

    second = sum x x^T (d, d)    cross = sum y x^T (r, d)    input_sum = sum x    output_sum = sum y    energy = sum y^2

The squared error of any weight row w follows: sum (y - w x)^2 = energy - 2 w . cross + w second w^T.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums over `count` columns, float64, for each group of channels (first dimension); see the table of the module.

    second (G, d, d), cross (G, r, d), input_sum (G, d), output_sum (G, r), energy (G, r).
    """

    count: int
    second: Tensor
    cross: Tensor
    input_sum: Tensor
    output_sum: Tensor
    energy: Tensor

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(
            self.count + other.count,
            self.second + other.second,
            self.cross + other.cross,
            self.input_sum + other.input_sum,
            self.output_sum + other.output_sum,
            self.energy + other.energy,
        )

    @property
    def centred(self) -> "Moments":
        """The moments about the means: those of outputs whose bias makes up for every difference of the means."""
        inputs, outputs = self.input_sum, self.output_sum
        return replace(
            self,
            second=self.second - inputs[:, :, None] * inputs[:, None] / self.count,
            cross=self.cross - outputs[:, :, None] * inputs[:, None] / self.count,
            energy=self.energy - outputs.square() / self.count,
            input_sum=torch.zeros_like(inputs),
            output_sum=torch.zeros_like(outputs),
        )

    def with_target(self, rows: Tensor) -> "Moments":
        """The moments whose outputs are those of the weights `rows` (G, r, d) for the inputs of these moments."""
        cross = rows.double() @ self.second
        return replace(
            self,
            cross=cross,
            output_sum=(rows.double() @ self.input_sum[:, :, None])[..., 0],
            energy=(cross * rows).sum(2),
        )

    def error(self, rows: Tensor) -> Tensor:
        """rows (G, r, d) -> the sum of the squared errors of each output channel, (G, r)."""
        rows = rows.double()
        return self.energy - 2 * (rows * self.cross).sum(2) + (rows @ self.second * rows).sum(2)


def moments_of(columns: Tensor, outputs: Tensor) -> Moments:
    """columns (G, n, d) and outputs (G, n, r) -> their moments. Products are summed in float32."""
    transposed = columns.transpose(1, 2)
    return Moments(
        columns.shape[1],
        (transposed @ columns).double(),
        (outputs.transpose(1, 2) @ columns).double(),
        columns.sum(1, dtype=torch.float64),
        outputs.sum(1, dtype=torch.float64),
        outputs.double().square().sum(1),
    )
