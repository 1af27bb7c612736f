"""Trains a compressed network step by step. The state between two steps is a value: a run is a function of it.

The order of the images follows from (seed, epoch), their crops and flips from (seed, step). A run that is continued
from its state therefore ends with the same bits as one that was never interrupted, on the same machine with the same
number of threads.
"""

import hashlib
import math
import time
import zlib
from dataclasses import asdict, replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from compression.cached_property import cached_property
from compression.core.record import CompressedModel
from compression.data.cifar10 import TEST
from compression.data.images import ImageSet
from compression.evaluation.evaluation import evaluate
from compression.networks.model import FloatModel
from compression.retraining.collapse import INPUTS, collapsed_layers
from compression.retraining.latent import Latent, latent_network, masks_of
from compression.retraining.lineage import Lineage, Point
from compression.retraining.loss import loss_of
from compression.retraining.optimizers import Optimizers
from compression.retraining.recipe import Quantizers, Recipe, SparsitySchedule
from compression.retraining.schedules import bits_at, is_settled, point_steps, rate_share, sparsity_at
from compression.retraining.start import Start, choose_teacher, input_shares, least_error_gains
from compression.spec import CompressionSpec
from compression.training.train import pad_crop_flip

State = dict[str, Any]
RISE = 1.2


class Training:
    """A run of a recipe on training images, of which the last are held out. `step` steps are done.

    `points` are counted so far, and `problem` says why the run has ended early. `teacher` is distilled from.
    """

    def __init__(self, start: Start, recipe: Recipe, images: ImageSet, teacher: FloatModel | None = None) -> None:
        """`images`: the training images. Without a `teacher`, a recipe that distils takes `start.model`.

        Raises ValueError if recipe, spec and images do not fit, and for test images.
        """
        if images.fingerprint == TEST.fingerprint:
            raise ValueError("test images measure a network and never train it: give training images")
        self.teacher = choose_teacher(start.model, start.compressed.spec, recipe, teacher)
        self.start, self.recipe, self.images = start, recipe, images
        self.total, self.steps_per_epoch = recipe.total_steps(len(images)), recipe.steps_per_epoch(len(images))
        self.step, self.seconds, self.problem = 0, 0.0, ""
        self.points: list[Point] = []
        self._point_steps = point_steps(recipe, self.total)
        self._latent = self._new_latent()
        self._optimizers = Optimizers(self._latent, recipe)
        self._best = self._latent.state() | {"step": 0}
        self._sparsity = -1.0
        self._loss_sum, self._losses = 0.0, 0
        self._entropy_sum = 0.0  # of the cross-entropy alone
        self._first_entropy: float | None = None

    @property
    def spec(self) -> CompressionSpec:
        return self.start.compressed.spec

    @property
    def is_done(self) -> bool:
        """Whether all steps are done and counted, or the run has ended early."""
        return bool(self.problem) or (self._is_counted and self.step == self.total)

    @property
    def share(self) -> float:
        """The share (0..1) of the steps that is done."""
        return self.step / self.total

    def advance(self, steps: int) -> None:
        """Takes up to `steps` steps, and counts held-out images where it is their turn, after which it returns."""
        began = time.monotonic()
        if not self.points:
            self._count(began)
        else:
            end = min(self.step + steps, self.total, *(at for at in self._point_steps if at > self.step))
            while self.step < end and not self.problem:
                self._train_step()
            if self.step in self._point_steps and not self._is_counted and not self.problem:
                self._count(began)
        self.seconds += time.monotonic() - began

    def network(self) -> CompressedModel:
        """Returns the network that came out, as its packed file holds it, bit for bit.

        It is the one after all steps, once it is counted. Before that, and if the run has ended early, it is the best
        of those that were counted.
        """
        if self._is_whole:
            return self._finished(self._latent, self.step).network()
        if not self._best["step"]:
            return self.start.compressed
        latent = self._new_latent()
        latent.load_(self._best)
        latent.use_bits_(self._bits_before(self._best["step"]))
        return self._finished(latent, self._best["step"]).network()

    def lineage(self) -> Lineage:
        """Returns the lineage of `network`."""
        steps = self.step if self._is_whole else self._best["step"]
        return Lineage(
            parent=self.start.model.name,
            digest=self.start.model.digest,
            spec=self.spec,
            recipe=self.recipe,
            teacher=self.teacher.name if self.teacher else None,
            steps=steps,
            epochs=steps / self.steps_per_epoch,
            images=self.images.fingerprint,
            seconds=self.seconds,
            points=tuple(self.points),
            problem=self.problem,
        )

    def state(self) -> State:
        """Returns where the run stands: tensors, numbers and texts, from which `load` continues."""
        return {
            "run": self._name,
            "latent": self._latent.state(),
            "optimizers": self._optimizers.state(),
            "best": self._best,
            "points": [asdict(point) for point in self.points],
            "numbers": [self.step, self._sparsity, self._loss_sum, self._losses, self.seconds, self.problem],
            "entropy": [self._entropy_sum, self._first_entropy],
        }

    def load(self, state: State) -> None:
        """Continues from `state`. Raises ValueError if it belongs to another run."""
        if state.get("run") != self._name:
            raise ValueError(
                "the saved run is of another network, spec or recipe, or of other images; "
                "move it away to start a new one"
            )
        self._latent.load_(state["latent"])
        self._optimizers.load_(state["optimizers"])
        self._best = state["best"]
        self.points = [Point(**point) for point in state["points"]]
        self.step, self._sparsity, self._loss_sum, self._losses, self.seconds, self.problem = state["numbers"]
        self._entropy_sum, self._first_entropy = state.get("entropy", (0.0, None))  # not there in older states
        self._latent.use_bits_(self._bits_before(self.step))

    @cached_property
    def _name(self) -> list[str]:
        """What the run depends on."""
        model, teacher, images = self.start.model, self.teacher, hashlib.sha256(self.images.pixels.numpy().tobytes())
        images.update(self.images.labels.numpy().tobytes())
        of_teacher = teacher.digest if teacher else ""
        return [model.digest, self.spec.to_json(), self.recipe.to_json(), of_teacher, images.hexdigest()]

    @property
    def _is_counted(self) -> bool:
        return bool(self.points) and self.points[-1].step == self.step

    @property
    def _is_whole(self) -> bool:
        return self.step == self.total and self._is_counted and not self.problem

    @property
    def _is_gradual(self) -> bool:
        return self.recipe.sparsity_schedule is not SparsitySchedule.ONE_SHOT

    def _new_latent(self) -> Latent:
        is_pact = self.recipe.quantizers is Quantizers.PACT
        masks = {} if self._is_gradual else self.start.masks
        keeps_codes = self.spec.recovers and not self._is_gradual and not self.recipe.bit_schedule
        return latent_network(self.start.compressed, masks, keeps_codes, is_pact)

    def _bits_before(self, step: int) -> int | None:
        """Returns the bits per weight that were trained last before `step`, or None for those of the spec."""
        return bits_at(self.recipe, step - 1, self.total) if step else None

    def _finished(self, latent: Latent, step: int) -> Latent:
        """Returns `latent`, as it was after `step` steps, pruned and rounded as the whole spec says."""
        if self._is_gradual:
            latent = latent.pruned(masks_of(latent.module, self.spec, self.start.evidence))
        bits = self._bits_before(step)
        return latent if bits is None else latent.with_last_bits(input_shares(self.start, bits, None))

    def _train_step(self) -> None:
        """Takes one optimizer step, unless the loss is not a number."""
        if self._is_gradual:
            self._prune()
        if self.step == 0 and self.recipe.quantizers is not Quantizers.FROZEN and not self.start.continues:
            self._latent.start_gains_(least_error_gains(self.start))
        before, bits = self._bits_before(self.step), bits_at(self.recipe, self.step, self.total)
        if bits != before:
            self._latent.change_bits_(bits, input_shares(self.start, before, bits))
        pixels, labels = self._batch()
        with torch.enable_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(_seed(self.recipe.seed, "layers", self.step))  # of dropout
            loss, entropy = loss_of(self._latent, self.start.model, self.teacher, self.recipe, pixels, labels)
            value = float(loss.detach())
            if not math.isfinite(value):
                self.problem = f"training ended after step {self.step:,}: the loss is {value}; lower the learning rate"
                return
            self._optimizers.step_(loss, rate_share(self.recipe, self.step, self.total))
        self.step += 1
        self._loss_sum, self._losses = self._loss_sum + value, self._losses + 1
        self._entropy_sum += float(entropy.detach())

    def _batch(self) -> tuple[Tensor, Tensor]:
        """Returns the pixels and the labels of this step."""
        epoch, number = divmod(self.step, self.steps_per_epoch)
        order = _order(_seed(self.recipe.seed, "order", epoch), len(self.images) - self.recipe.held_out)
        rows = order[number * self.recipe.batch_size :][: self.recipe.batch_size]
        generator = torch.Generator().manual_seed(_seed(self.recipe.seed, "crops", self.step))
        pixels = pad_crop_flip(self.images.pixels[rows], self.recipe.crop_pad_pixels, generator)
        return pixels, self.images.labels[rows]

    def _prune(self) -> None:
        """Prunes as many weights as the schedule says for this step."""
        assert self.spec.prune is not None
        assert self.spec.prune.sparsity is not None
        target = self.spec.prune.sparsity
        sparsity = sparsity_at(self.recipe, target, self.step, self.total)
        if sparsity != self._sparsity:
            spec = with_share_of_pruning(self.spec, sparsity / target)
            self._latent.prune_(masks_of(self._latent.module, spec, self.start.evidence))
            self._optimizers.forget_(self._latent.held)
            self._sparsity = sparsity

    def _count(self, began: float) -> None:
        """Counts the held-out images, and ends the run if it diverges."""
        if not self._latent.is_bounded():
            self.problem = f"training ended after step {self.step:,}: weights grow without end; lower the learning rate"
            return
        held_out = self.images[len(self.images) - self.recipe.held_out :]
        network = self._finished(self._latent, self.step).network() if self.step else self.start.compressed
        evaluation = evaluate(network.module, held_out, self.start.model.normalization)
        loss = self._loss_sum / self._losses if self._losses else None
        seconds = self.seconds + time.monotonic() - began
        self._check_entropy()
        self._check_layers(network, held_out)
        self.points.append(Point(self.step, loss, evaluation.correct, evaluation.total, seconds))
        self._loss_sum, self._losses, self._entropy_sum = 0.0, 0, 0.0
        if evaluation.correct >= max(point.correct for point in self.points):
            self._best = self._latent.state() | {"step": self.step}

    def _is_settled(self, step: int) -> bool:
        """Returns whether `step` is trained with the pruning and the bits of the spec."""
        target = self.spec.prune.sparsity if self._is_gradual and self.spec.prune else None
        return is_settled(self.recipe, target, step, self.total)

    def _check_layers(self, network: CompressedModel, held_out: ImageSet) -> None:
        """Ends the run if the pruning of the spec has left nothing that could learn."""
        if not self.step or not self._is_settled(self.step):
            return
        layers = collapsed_layers(network, self.start.model.normalization(held_out.pixels[:INPUTS]))
        if layers and not self.problem:
            self.problem = (
                f"training ended after step {self.step:,}: no weight of {' and '.join(layers)} is left, so every image "
                "gets the same answer; prune less, or the same share of each layer, or lower the learning rate"
            )

    def _check_entropy(self) -> None:
        """Ends the run if the cross-entropy since the last point is RISE times that of guessing, and of the beginning.

        A network that has learned nothing yet guesses. Steps before the pruning and the bits of the spec are reached do
        not count: in these a network gets worse.
        """
        if not self._losses or not self._is_settled(self.points[-1].step):
            return
        entropy = self._entropy_sum / self._losses
        if self._first_entropy is None:
            self._first_entropy = entropy
        elif entropy > RISE * max(self._first_entropy, math.log(len(self.images.classes))):
            self.problem = (
                f"training ended after step {self.step:,}: the cross-entropy has risen from {self._first_entropy:.2f} "
                f"to {entropy:.2f}; lower the learning rate"
            )


def with_share_of_pruning(spec: CompressionSpec, share: float) -> CompressionSpec:
    """Returns `spec` with all sparsities multiplied by `share` (0..1)."""
    assert spec.prune is not None
    assert spec.prune.sparsity is not None
    layers = tuple(
        layer if layer.sparsity is None else replace(layer, sparsity=layer.sparsity * share) for layer in spec.layers
    )
    return replace(spec, prune=replace(spec.prune, sparsity=spec.prune.sparsity * share), layers=layers)


@lru_cache(maxsize=2)
def _order(seed: int, images: int) -> Tensor:
    return torch.randperm(images, generator=torch.Generator().manual_seed(seed))


def _seed(seed: int, what: str, number: int) -> int:
    return zlib.crc32(f"{seed} {what} {number}".encode())
