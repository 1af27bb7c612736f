"""Imports torchvision even beside a CPU-only torch: `from tests.support.vision import torchvision`.

PyPI's torchvision wheel is built for CUDA. Beside a CPU-only torch its operators do not load, and its import fails
where it describes two of them, `nms` and `qnms`. Nothing here calls them, so declaring them is enough; calling one
still raises an error.
"""

import torch

try:
    import torchvision
except RuntimeError as error:
    if "operator torchvision::nms does not exist" not in str(error):
        raise
    for operator in ("nms", "qnms"):
        torch.library.define(f"torchvision::{operator}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision

__all__ = ["torchvision"]
