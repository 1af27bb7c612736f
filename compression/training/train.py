"""Training on CIFAR-10: SGD with Nesterov momentum, one cycle, label smoothing, pad-crop and flip, EMA.

A run is a pure function of its recipe: the order of the images and their crops and flips in an epoch are
drawn from (seed, epoch), so a run that was killed and goes on from its checkpoint ends with the same bits as
one that never stopped (on the same machine with the same number of threads).
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from compression.data.images import ImageSet
from compression.networks.checkpoints.reading import DAMAGE_ERRORS
from compression.networks.normalization import NORMALIZATIONS
from compression.training.recipe import TrainingProgress, TrainingRecipe


def pad_crop_flip(pixels: Tensor, pad_pixels: int, generator: torch.Generator) -> Tensor:
    """Moves each image by up to `pad_pixels` (zeros come in) and mirrors every second one, on the whole batch.

    pixels (N, 3, H, W) -> a new tensor of the same shape and type.
    """
    n, _, height, width = pixels.shape
    shift = torch.randint(0, 2 * pad_pixels + 1, (2, n, 1), generator=generator)
    flip = torch.rand(n, 1, generator=generator) < 0.5
    rows = shift[0] + torch.arange(height)
    columns = torch.arange(width).expand(n, width)
    columns = shift[1] + torch.where(flip, width - 1 - columns, columns)
    padded = F.pad(pixels, (pad_pixels,) * 4)
    image = torch.arange(n)[:, None, None]
    return padded.permute(0, 2, 3, 1)[image, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def autocast_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where it is faster: on a GPU, and on CPUs with AMX tiles. (With AVX-512's bf16 dot products
    alone, ResNet-20 trains 15 % slower in bfloat16 than in float32: measured.)"""
    if device.type == "cuda" or torch.cpu._is_amx_tile_supported():
        return torch.bfloat16
    return torch.float32


def train(
    module: nn.Module,
    images: ImageSet,
    recipe: TrainingRecipe,
    checkpoint: Path | None = None,
    report: Callable[[TrainingProgress], None] = lambda progress: None,
) -> nn.Module:
    """Trains `module` in place and returns its exponential moving average, in eval mode.

    With `checkpoint`, each epoch is saved there and a run found there goes on; a checkpoint of another
    recipe or network is refused with a ValueError. Progress is reported after each step.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    module.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    average = AveragedModel(module, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema_decay), use_buffers=True)
    optimizer = torch.optim.SGD(
        module.parameters(),
        lr=recipe.max_lr,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=True,
    )
    steps = recipe.steps(len(images))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        recipe.max_lr,
        total_steps=recipe.epochs * steps,
        pct_start=recipe.warmup_fraction,
        cycle_momentum=False,
    )
    parts = {"module": module, "average": average, "optimizer": optimizer, "schedule": schedule}
    first = _resume_(parts, recipe, checkpoint) if checkpoint and checkpoint.exists() else 0
    normalize = NORMALIZATIONS[recipe.normalization]
    dtype = autocast_dtype(device)
    for epoch in range(first, recipe.epochs):
        generator = torch.Generator().manual_seed(recipe.seed * 10_000 + epoch)
        order = torch.randperm(len(images), generator=generator)
        loss_sum = correct = seen = 0.0
        for step, rows in enumerate(order.split(recipe.batch_size), 1):
            pixels = pad_crop_flip(images.pixels[rows], recipe.crop_pad_pixels, generator)
            labels = images.labels[rows].to(device)
            with torch.autocast(device.type, torch.bfloat16, enabled=dtype is torch.bfloat16):
                logits = module(normalize(pixels.to(device)))
                loss = F.cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            average.update_parameters(module)
            seen += len(rows)
            loss_sum += loss.item() * len(rows)
            correct += (logits.argmax(1) == labels).sum().item()
            report(TrainingProgress(epoch + 1, recipe.epochs, epoch * steps + step, loss_sum / seen, correct / seen))
        if checkpoint:
            _save(parts, recipe, epoch + 1, checkpoint)
    return average.module.eval()


def _save(parts: dict, recipe: TrainingRecipe, epochs_done: int, path: Path) -> None:
    state = {name: part.state_dict() for name, part in parts.items()}
    partial = path.with_suffix(".partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({**state, "recipe": dataclasses.asdict(recipe), "epochs_done": epochs_done}, partial)
    partial.replace(path)


def _resume_(parts: dict, recipe: TrainingRecipe, path: Path) -> int:
    """Puts the saved state into `parts`; returns the number of epochs done."""
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        recipe_saved, epochs_done = saved["recipe"], saved["epochs_done"]
    except DAMAGE_ERRORS as error:
        raise ValueError(f"{path} is damaged; move it away to start afresh") from error
    if recipe_saved != dataclasses.asdict(recipe):
        raise ValueError(f"{path} belongs to another recipe: {recipe_saved}; move it away to start afresh")
    try:
        for name, part in parts.items():
            part.load_state_dict(saved[name])
    except RuntimeError as error:
        raise ValueError(f"{path} belongs to another network; move it away to start afresh") from error
    return epochs_done
