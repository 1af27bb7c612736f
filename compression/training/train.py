"""Trains a network: SGD with Nesterov momentum, one-cycle schedule, label smoothing, crops and flips, weight averaging.

A run is a pure function of its recipe. The order of the images and their crops and flips are drawn from (seed, epoch).
A run that was killed and resumed from its checkpoint therefore ends with the same bits as an uninterrupted one, on the
same machine with the same number of threads.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from compression.data.images import ImageSet
from compression.networks.normalization import NORMALIZATIONS
from compression.training.checkpoint import load_checkpoint, save_checkpoint
from compression.training.recipe import TrainingProgress, TrainingRecipe


def pad_crop_flip(pixels: Tensor, pad_pixels: int, generator: torch.Generator) -> Tensor:
    """Returns each image shifted by up to `pad_pixels` with zeros at the borders, and mirrored with probability 1/2.

    pixels (N, 3, H, W) -> a new tensor of the same shape and type; `generator` decides shifts and flips.
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
    """Returns bfloat16 on GPUs and on CPUs with AMX tiles, where it is faster, and float32 elsewhere.

    Measured: with the bfloat16 dot products of AVX-512 alone, ResNet-20 trains 15 % slower than in float32.
    """
    if device.type == "cuda" or torch.cpu._is_amx_tile_supported():
        return torch.bfloat16
    return torch.float32


@dataclass(frozen=True, eq=False)
class _Run:
    """The parts of a training run whose states make up a checkpoint."""

    module: nn.Module
    average: AveragedModel
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler


def train(
    module: nn.Module,
    images: ImageSet,
    recipe: TrainingRecipe,
    checkpoint: Path | None = None,
    report: Callable[[TrainingProgress], None] = lambda progress: None,
) -> nn.Module:
    """Trains `module` in place and returns the exponential moving average of its weights, in eval mode.

    If `checkpoint` is given, the run is saved there after each epoch, and a run that is saved there is resumed. Raises
    ValueError if that file is damaged or belongs to another recipe or network. Calls `report` after each step.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    run = _start_run(module.to(device, memory_format=torch.channels_last), images, recipe)  # type: ignore[call-overload]
    first_epoch = _resume_(run, recipe, checkpoint) if checkpoint and checkpoint.exists() else 0
    for epoch in range(first_epoch, recipe.epochs):
        _train_epoch_(run, images, recipe, epoch, device, report)
        if checkpoint:
            _save(run, recipe, epoch + 1, checkpoint)
    return run.average.module.eval()


def _start_run(module: nn.Module, images: ImageSet, recipe: TrainingRecipe) -> _Run:
    module.train()
    optimizer = torch.optim.SGD(
        module.parameters(),
        lr=recipe.max_lr,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=True,
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        recipe.max_lr,
        total_steps=recipe.epochs * recipe.steps(len(images)),
        pct_start=recipe.warmup_fraction,
        cycle_momentum=False,
    )
    average = AveragedModel(module, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema_decay), use_buffers=True)
    return _Run(module, average, optimizer, schedule)


def _train_epoch_(
    run: _Run,
    images: ImageSet,
    recipe: TrainingRecipe,
    epoch: int,
    device: torch.device,
    report: Callable[[TrainingProgress], None],
) -> None:
    """Trains one epoch, counted from 0. The order of the images and their crops depend on (seed, epoch) alone."""
    generator = torch.Generator().manual_seed(recipe.seed * 10_000 + epoch)
    order = torch.randperm(len(images), generator=generator)
    steps_before = epoch * recipe.steps(len(images))
    loss_sum = correct = total = 0.0
    for step, rows in enumerate(order.split(recipe.batch_size), 1):
        pixels = pad_crop_flip(images.pixels[rows], recipe.crop_pad_pixels, generator).to(device)
        labels = images.labels[rows].to(device)
        loss, logits = _step_(run, pixels, labels, recipe)
        total += len(rows)
        loss_sum += loss.item() * len(rows)
        correct += (logits.argmax(1) == labels).sum().item()
        report(TrainingProgress(epoch + 1, recipe.epochs, steps_before + step, loss_sum / total, correct / total))


def _step_(run: _Run, pixels: Tensor, labels: Tensor, recipe: TrainingRecipe) -> tuple[Tensor, Tensor]:
    """Takes one optimizer step on a batch; returns its loss () and its logits (N, classes) from before the step."""
    normalize = NORMALIZATIONS[recipe.normalization]
    dtype = autocast_dtype(pixels.device)
    with torch.autocast(pixels.device.type, torch.bfloat16, enabled=dtype is torch.bfloat16):
        logits = run.module(normalize(pixels))
        loss = F.cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)
    run.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    run.optimizer.step()
    run.schedule.step()
    run.average.update_parameters(run.module)
    return loss, logits


def _save(run: _Run, recipe: TrainingRecipe, epochs_done: int, path: Path) -> None:
    state = {name: part.state_dict() for name, part in vars(run).items()}
    save_checkpoint(path, {**state, "recipe": dataclasses.asdict(recipe), "epochs_done": epochs_done})


def _resume_(run: _Run, recipe: TrainingRecipe, path: Path) -> int:
    """Loads the saved state into the parts of `run`; returns the number of epochs done. Raises ValueError."""
    state = load_checkpoint(path)
    saved_recipe, epochs_done = state.get("recipe"), state.get("epochs_done", 0)
    if saved_recipe != dataclasses.asdict(recipe):
        raise ValueError(
            f"{path} belongs to a run with another recipe: {saved_recipe}; move it away to start a new run"
        )
    try:
        for name, part in vars(run).items():
            part.load_state_dict(state[name])
    except RuntimeError as error:
        raise ValueError(f"{path} belongs to a run of another network; move it away to start a new run") from error
    return epochs_done
