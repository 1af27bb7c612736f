"""Calibrations of the bundled networks, stored beside their weights, for machines without training images.

One safetensors file per network. The header holds the digest of its float weights and the names of its layers. The
tensors are `ranges` (layers, 4) float64, whose columns are low, high and the running averages of both, and `counts`
(layers, BINS) int32.
"""

import json
from pathlib import Path

import safetensors.torch
import torch

from compression.networks.checkpoints.reading import DAMAGE_ERRORS
from compression.networks.model import FloatModel
from compression.paths import ASSETS, write_whole
from compression.quantization.calibration import BINS, InputStats, LayerInputs

CALIBRATIONS = ASSETS / "calibration"


def calibration_path(name: str) -> Path:
    """The path of the calibration of the bundled network `name`."""
    return CALIBRATIONS / f"{name}.safetensors"


def save_calibration(path: Path, model: FloatModel, calibration: LayerInputs) -> None:
    """Writes the `calibration` of `model` to `path`. Raises OSError."""
    ranges = [(stats.low, stats.high, stats.average_low, stats.average_high) for stats in calibration.values()]
    tensors = {
        "ranges": torch.tensor(ranges, dtype=torch.float64),
        "counts": torch.stack([stats.counts for stats in calibration.values()]).int(),
    }
    about = json.dumps({"weights": model.digest, "layers": list(calibration)})
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, safetensors.torch.save(tensors, {"squeezelab": about}))


def load_calibration(path: Path, model: FloatModel) -> LayerInputs | None:
    """Returns the calibration in `path`, or None if it was made with other weights. Raises ValueError if damaged."""
    try:
        with safetensors.safe_open(path, "pt") as file:
            about = json.loads(file.metadata()["squeezelab"])
            ranges, counts = file.get_tensor("ranges"), file.get_tensor("counts").long()
        weights, layers = about["weights"], about["layers"]
        shapes = tuple(ranges.shape), tuple(counts.shape)
        if shapes != ((len(layers), 4), (len(layers), BINS)) or not ranges.isfinite().all() or (counts < 0).any():
            raise ValueError("its tensors are not those of a calibration")
    except DAMAGE_ERRORS as error:
        raise ValueError(
            f"{path} is damaged; create it again with `python -m compression calibrate {model.name}`"
        ) from error
    if weights != model.digest:
        return None
    return {
        name: InputStats(low, high, average_low, average_high, histogram)
        for name, (low, high, average_low, average_high), histogram in zip(layers, ranges.tolist(), counts, strict=True)
    }
