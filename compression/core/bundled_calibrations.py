"""What the layers of the bundled networks see of training images, in files that come along with the weights.

So that activations can be quantized where there are no training images. One safetensors file a network: the digest of
its float weights and the names of its layers in the header, `ranges` (layers, 4) float64, which are low, high and their
moving averages, and `counts` (layers, BINS) int32.
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
    """Where the calibration of the bundled network `name` lies."""
    return CALIBRATIONS / f"{name}.safetensors"


def save_calibration(path: Path, model: FloatModel, seen: LayerInputs) -> None:
    """Writes what `model` has seen. Raises OSError."""
    ranges = [(stats.low, stats.high, stats.average_low, stats.average_high) for stats in seen.values()]
    tensors = {
        "ranges": torch.tensor(ranges, dtype=torch.float64),
        "counts": torch.stack([stats.counts for stats in seen.values()]).int(),
    }
    about = json.dumps({"weights": model.digest, "layers": list(seen)})
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, safetensors.torch.save(tensors, {"squeezelab": about}))


def load_calibration(path: Path, model: FloatModel) -> LayerInputs | None:
    """What `save` wrote, or None where that was with other weights. Raises ValueError where the file is damaged."""
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
            f"{path} is damaged; make it again with `python -m compression calibrate {model.name}`"
        ) from error
    if weights != model.digest:
        return None
    return {
        name: InputStats(low, high, average_low, average_high, seen)
        for name, (low, high, average_low, average_high), seen in zip(layers, ranges.tolist(), counts, strict=True)
    }
