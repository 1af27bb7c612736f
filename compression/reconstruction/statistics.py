"""Mean and spread of each output channel: what a shift and a gain per channel give back after compression.

Both follow from the moments of a layer (`moments`), without another pass over the images.
"""

import torch
from torch import Tensor

from compression.reconstruction.moments import Moments

SMALLEST_GAIN, LARGEST_GAIN = 0.2, 5.0


def mean_shift(moments: Moments, rows: Tensor) -> Tensor:
    r"""Returns what the mean output of each channel of rows (G, r, d) lacks, (G, r) float64; a bias can add it.

    Formula: \Delta b = \mathrm{E}[y] - \hat W\, \mathrm{E}[x]
    Source: bias correction, Nagel et al. 2019 (arXiv:1906.04721), section 4.2; empirical, appendix D.
    Fails: if the error differs from image to image, and only cancels in the mean.
    """
    predicted = (rows.double() @ moments.input_sum[:, :, None])[..., 0]
    return (moments.output_sum - predicted) / moments.count


def spread_gain(moments: Moments, rows: Tensor) -> Tensor:
    r"""Returns the factor (G, r) float64 that gives each output channel of rows (G, r, d) its spread back, shrunk.

    Formula: a = 1 + \rho^2 (\sigma_y / \sigma_{\hat y} - 1), with the correlation \rho of the outputs before and after
    Source: REPAIR, Jordan et al. 2022 (arXiv:2211.08403), per channel; shrinkage for damaged channels as advised by
        Zhan et al. 2026 (arXiv:2605.21426). The rule of shrinkage, by the squared correlation, is our own.
    Fails: for channels whose error is large: more spread is then more noise, and the gain stays near 1.

    A channel that is constant, or whose gain would be extreme, has the gain 1.
    """
    centred = moments.centred
    rows = rows.double()
    spread = (rows @ centred.second * rows).sum(2)
    together = (rows * centred.cross).sum(2)
    usable = (spread > 1e-12 * centred.energy) & (centred.energy > 0)
    spread, energy = torch.where(usable, spread, 1.0), torch.where(usable, centred.energy, 1.0)
    reliability = (together.square() / (spread * energy)).clamp(0, 1)
    gain = 1 + reliability * ((energy / spread).sqrt() - 1)
    return torch.where(usable & (gain > SMALLEST_GAIN) & (gain < LARGEST_GAIN), gain, 1.0)
