"""Predictions of a compressed ResNet-20, made without the code that they test: `python -m tests.core.reference`.

Needs the public checkpoint (shared/checkpoints beside the project) and CIFAR-10's test images. The forward pass is
written out here, and quantization is torch's `fake_quantize`. Each row is counted on all 10,000 test images and must
agree with the figures that the README beside the checkpoint publishes; what is written to PREDICTIONS are that count
and the classes of the first 1,000 images, one digit per image.
"""

import json
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from compression.data.cifar10 import TEST
from compression.data.images import ImageSet, load
from tests.conftest import PUBLIC_CHECKPOINT

PREDICTIONS = Path(__file__).with_name("reference_predictions.json")
FIRST_IMAGES = 1000

COLUMNS = [("symmetric", "tensor"), ("symmetric", "channel"), ("affine", "tensor"), ("affine", "channel")]
FLOAT = 91.73  # per cent of all 10,000 test images; the published error is 8.27 %
QUANTIZED = {  # bits: one figure per column
    8: (91.74, 91.77, 91.80, 91.76),
    6: (91.50, 91.66, 91.55, 91.54),
    5: (91.09, 91.22, 91.02, 91.48),
    4: (85.43, 90.12, 86.05, 90.56),
    3: (27.03, 72.07, 62.83, 83.95),
    2: (10.00, 9.70, 10.00, 17.14),
}
PRUNED = {0.3: 91.54, 0.5: 90.07, 0.6: 83.70, 0.7: 72.96, 0.8: 41.44}
PUBLISHED = (
    {"float": FLOAT}
    | {
        f"{bits}-{'-'.join(c)}": figure
        for bits, row in QUANTIZED.items()
        for c, figure in zip(COLUMNS, row, strict=True)
    }
    | {f"pruned-{sparsity}": figure for sparsity, figure in PRUNED.items()}
)


def quantize_weights(weight: Tensor, bits: int, scheme: str, granularity: str) -> Tensor:
    """Symmetric with the narrow range, or affine with an integer zero point and a range that contains 0."""
    rows = weight.flatten(1) if granularity == "channel" else weight.reshape(1, -1)
    low, high = rows.amin(1).clamp(max=0), rows.amax(1).clamp(min=0)
    if scheme == "symmetric":
        first, last = -(2 ** (bits - 1) - 1), 2 ** (bits - 1) - 1
        scale = torch.maximum(-low, high) / last
        zero_point = torch.zeros(len(rows), dtype=torch.int32)
    else:
        first, last = 0, 2**bits - 1
        scale = (high - low) / last
        zero_point = (-low / scale).round().int()
    return torch.fake_quantize_per_channel_affine(rows, scale, zero_point, 0, first, last).view_as(weight)


def prune_weights(weights: dict[str, Tensor], sparsity: float) -> dict[str, Tensor]:
    """The smallest magnitudes of all layers together are zero."""
    magnitudes = torch.cat([weight.abs().flatten() for weight in weights.values()])
    threshold = magnitudes.sort().values[round(sparsity * len(magnitudes))]
    return {name: weight * (weight.abs() >= threshold) for name, weight in weights.items()}


def forward(state: dict[str, Tensor], x: Tensor) -> Tensor:
    """ResNet-20 with shortcuts without parameters: logits of normalised images."""

    def conv(x: Tensor, conv: str, norm: str, stride: int = 1) -> Tensor:
        statistics = [state[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        return F.batch_norm(F.conv2d(x, state[f"{conv}.weight"], stride=stride, padding=1), *statistics)

    x = F.relu(conv(x, "conv1", "bn1"))
    for stage in (1, 2, 3):
        for block in range(3):
            name, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            inside = F.relu(conv(x, f"{name}.conv1", f"{name}.bn1", stride))
            inside = conv(inside, f"{name}.conv2", f"{name}.bn2")
            padding = (inside.shape[1] - x.shape[1]) // 2
            x = F.relu(inside + F.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, padding, padding)))
    return F.linear(x.mean((2, 3)), state["linear.weight"], state["linear.bias"])


def predictions(state: dict[str, Tensor], images: ImageSet) -> Tensor:
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    batches = images.pixels.split(500)
    with torch.inference_mode():
        return torch.cat([forward(state, (batch / 255 - mean) / std).argmax(1) for batch in batches])


def main() -> None:
    images = load(TEST)
    checkpoint = torch.load(PUBLIC_CHECKPOINT, weights_only=True, map_location="cpu")["state_dict"]
    state = {name.removeprefix("module."): value for name, value in checkpoint.items()}
    weights = {name: value for name, value in state.items() if value.dim() > 1}
    variants: dict[str, Callable[[], dict[str, Tensor]]] = {"float": dict}
    for bits in QUANTIZED:
        for column in COLUMNS:
            variants[f"{bits}-{'-'.join(column)}"] = lambda b=bits, c=column: {
                name: quantize_weights(weight, b, *c) for name, weight in weights.items()
            }
    for sparsity in PRUNED:
        variants[f"pruned-{sparsity}"] = lambda share=sparsity: prune_weights(weights, share)
    rows = {}
    for name, accuracy in PUBLISHED.items():
        classes = predictions(state | variants[name](), images)
        correct = int((classes == images.labels).sum())
        print(f"{name}: {correct / 100:.2f} %, published {accuracy:.2f} %", flush=True)
        assert abs(correct - round(100 * accuracy)) <= 10
        rows[name] = {"correct": correct, "classes": "".join(map(str, classes[:FIRST_IMAGES].tolist()))}
    PREDICTIONS.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
