"""The bits that codes take in the file, as a loss that has a gradient: so that training makes the file smaller."""

from collections.abc import Iterable

import torch
from torch import Tensor

from compression.quantization.quantizers import QParams
from compression.quantization.straight_through import spread_groups

SMOOTHING = 0.1  # of a weight, that each code has besides those counted, so that an unused one has finite bits


def mean_bits(layers: Iterable[tuple[Tensor, QParams, Tensor]]) -> Tensor:
    r"""Returns the bits that a weight takes in the mean over all layers, by the entropy of the codes of each, ().

    Formula: R = \frac1n \sum_i \left[(1 - f_i)\, b_{k_i} + f_i\, b_{k_i + 1}\right], \quad
        b_k = \log_2 (1 / p_k), \quad k_i = \lfloor w_i / s \rfloor, \quad f_i = w_i / s - k_i
    Source: the self-information of weights as a loss, Ballé et al. 2017 (arXiv:1611.01704), equation 9; for networks
        Oktay et al. 2019 (arXiv:1906.06624), section 3. Here p_k is the share of a code in its layer now, and bits
        between two codes are interpolated in a line.
    Fails: with a penalty so large that all weights of a layer get one code, which nothing then leaves again.

    `layers`: the latent weight (C_out, ...), its quantizer, and its gain. Gradients reach weights and gains; the shares
    p have none. A weight beyond the last code counts as that code.
    """
    total, weights = torch.zeros(()), 0
    for weight, qparams, gain in layers:
        scale, zero = (spread_groups(each, weight, qparams) for each in (qparams.scale * gain, qparams.zero_point))
        place = (weight / scale + zero - qparams.low).clamp(0, qparams.codes - 1)
        with torch.no_grad():
            counts = torch.bincount(place.round().long().flatten(), minlength=qparams.codes) + SMOOTHING
            bits = (counts.sum() / counts).log2()
            below = place.floor().long().clamp_max(max(qparams.codes - 2, 0))
            first = bits[below]
            rise = bits[(below + 1).clamp_max(qparams.codes - 1)] - first
        total = total + (first + rise * (place - below)).sum()
        weights += weight.numel()
    return total / max(weights, 1)
