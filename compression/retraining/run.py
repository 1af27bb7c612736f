"""Trains a compressed network to the end, in this process: resumable, and stopped by Ctrl-C with what there is."""

from collections.abc import Callable
from pathlib import Path

from compression.core.network import CompressedNetwork, with_source
from compression.core.training_evidence import evidence_for
from compression.data.images import ImageSet
from compression.networks.model import FloatModel
from compression.retraining.lineage import Lineage
from compression.retraining.recipe import Recipe
from compression.retraining.start import prepare, whole_spec
from compression.retraining.training import Training
from compression.spec import CompressionSpec
from compression.training.checkpoint import load_checkpoint, save_checkpoint

SAVE_STEPS = 100


def recover(
    model: FloatModel,
    spec: CompressionSpec,
    recipe: Recipe,
    images: ImageSet,
    checkpoint: Path | None = None,
    report: Callable[[Training], None] = lambda training: None,
    teacher: FloatModel | None = None,
) -> tuple[CompressedNetwork, Lineage]:
    """Returns `model` compressed as `spec` says and trained by `recipe` on `images`, training images; and its lineage.

    If `checkpoint` is given, the run is saved there whenever held-out images were counted and every SAVE_STEPS steps,
    and a run that is saved there is continued. `report` is called after each step; after a KeyboardInterrupt the best
    network so far is returned. `teacher`: see `Training`. Raises ValueError where network, spec, recipe and checkpoint
    do not fit, or if the checkpoint is damaged.
    """
    spec = whole_spec(model, spec)
    training = Training(prepare(model, spec, evidence_for(model, spec)), recipe, images, teacher)
    if checkpoint and checkpoint.exists():
        training.load(load_checkpoint(checkpoint))
    try:
        while not training.is_done:
            counted = len(training.points)
            training.advance(1)
            if checkpoint and (len(training.points) > counted or training.step % SAVE_STEPS == 0):
                save_checkpoint(checkpoint, training.state())
            report(training)
    except KeyboardInterrupt:
        if not training.points:
            raise
    return with_source(training.network(), model), training.lineage()
