"""What each layer costs when it alone is compressed, and the rest of the network stays float.

A change of one layer changes nothing before it. So a batch of images walks through the network once, stage by stage;
where it comes to a layer, that layer is changed, and what comes after it is run, once for every change. On average
that is about half of the network, and the logits are the same bits as those of the whole network compressed so.
"""

import copy
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from compression.core.compress import compress
from compression.core.training_evidence import evidence_for
from compression.data import images as data
from compression.data.images import ImageSet
from compression.engine.tasks import MOST_BYTES, Recent, _checked
from compression.evaluation.evaluation import BATCH, Evaluation, evaluation_of, join
from compression.networks.architectures.stages import run_stages, stages_of
from compression.networks.folding import fold_batch_norm, fold_layer
from compression.networks.model import FloatModel
from compression.networks.weights import weighted_layers
from compression.quantization.activations import InputQuantizer
from compression.spec import FLOAT_BITS, CompressionSpec, LayerSpec, Order


def evaluate_alone(
    model: FloatModel,
    layer: str,
    specs: tuple[CompressionSpec, ...],
    rows: npt.NDArray[np.uint16],
    version: str,
    images: data.ImageSet | None = None,
) -> list[Evaluation]:
    """The test images `rows` through `model`, in which `layer` alone is compressed, as each of `specs` says.

    All else as in `evaluate_rows`.
    """
    images = _checked(version, images)
    staged = _staged.get(model.digest, lambda: Staged(model))
    changes = [_changes.get((model.digest, layer, spec), partial(staged.change, layer, spec)) for spec in specs]
    walk = _walks.get(
        (model.digest, rows.tobytes()), lambda: Walk(staged, images[torch.from_numpy(rows.astype(np.int64))])
    )
    return walk.evaluate(layer, changes)


class Change(NamedTuple):
    """A layer's weight and bias, folded, and what quantizes its inputs."""

    weight: Tensor
    bias: Tensor | None
    inputs: InputQuantizer | None


class Staged:
    """A network of our own, folded for speed, that is run stage by stage on the GPU if there is one.

    One that does not say its stages has a single one: each change then runs all of it.
    """

    def __init__(self, model: FloatModel) -> None:
        self.model = model
        self.names = tuple(weighted_layers(model.module))
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.backends.cudnn.allow_tf32 = False  # as where whole networks are evaluated
        self._folded = fold_batch_norm(model.module)
        self._module = copy.deepcopy(self._folded).to(self.device)
        self.stages = stages_of(self._module)
        self._places: dict[str, int] = {}

    @property
    def nbytes(self) -> int:
        return 2 * sum(tensor.nbytes for tensor in self._module.state_dict().values())

    def change(self, layer: str, spec: CompressionSpec) -> Change:
        """What becomes of `layer` when it alone is compressed as `spec` says."""
        folds_first = spec.fold_bn and spec.order is Order.FOLD_FIRST
        module = self._folded if folds_first else self.model.module
        spec = alone(spec, layer, self.names)
        compressed = compress(module, spec, evidence_for(self.model, spec))
        record = next(record for record in compressed.layers if record.name == layer)
        made: Any = fold_layer(compressed.original, layer, record.weight).to(self.device)
        if record.filters is not None and made.bias is not None:
            with torch.no_grad():
                made.bias[~record.filters.to(self.device)] = 0  # a filter that is gone gives nothing at all
        return Change(made.weight, made.bias, record.inputs)

    def places(self, x: Tensor) -> dict[str, int]:
        """Layer name -> the number of the stage in which it computes first, seen by sending one input `x` (1, ...)."""
        if not self._places:
            reached: list[str] = []
            layers = [(name, self._module.get_submodule(name)) for name in self.names]
            hooks = [layer.register_forward_pre_hook(partial(_note, reached, name)) for name, layer in layers]
            for number, stage in enumerate(self.stages):
                x = stage(x)
                self._places |= {name: number for name in reached if name not in self._places}
            for hook in hooks:
                hook.remove()
        return self._places

    @contextmanager
    def changed(self, layer: str, change: Change) -> Iterator[None]:
        """As long as this lasts, `layer` is as `change` says."""
        module: Any = self._module.get_submodule(layer)
        before = module.weight, module.bias
        hooks = [module.register_forward_pre_hook(change.inputs)] if change.inputs else []
        module.weight, module.bias = change.weight, change.bias
        try:
            yield
        finally:
            module.weight, module.bias = before
            for hook in hooks:
                hook.remove()


_staged: Recent[str, Staged] = Recent(MOST_BYTES, lambda staged: staged.nbytes)

_changes: Recent[tuple[str, str, CompressionSpec], Change] = Recent(MOST_BYTES, lambda change: change.weight.nbytes)


class Walk:
    """A batch of images on its way through a network: as far as it has come, it need not go again."""

    def __init__(self, staged: Staged, images: ImageSet) -> None:
        self._staged, self._images = staged, images
        with torch.inference_mode():
            self._at, self._x = 0, self._inputs()  # the number of a stage, and what enters it
            self._places = staged.places(self._x[:1])

    @property
    def nbytes(self) -> int:
        return self._x.nbytes

    def evaluate(self, layer: str, changes: Sequence[Change]) -> list[Evaluation]:
        """All images at once, once for each change of `layer`. Quick where layers come in the order of the network."""
        found = []
        with torch.inference_mode():
            place = self._places.get(layer, 0)
            if place < self._at:
                self._at, self._x = 0, self._inputs()
            self._x = run_stages(self._staged.stages[self._at : place], self._x)
            self._at = place
            for change in changes:
                with self._staged.changed(layer, change):
                    logits = run_stages(self._staged.stages[place:], self._x)
                found.append(evaluation_of(logits, self._images))
        return found

    def _inputs(self) -> Tensor:
        return self._staged.model.normalization(self._images.pixels.to(self._staged.device))


_walks: Recent[tuple[str, bytes], Walk] = Recent(2 * MOST_BYTES, lambda walk: walk.nbytes)


def alone(spec: CompressionSpec, layer: str, names: Sequence[str]) -> CompressionSpec:
    """`spec` for `layer` alone: all others among `names`, those of the network's layers, stay as they are, and so do
    the statistics of batch norms, which would be others all over the network.
    """
    others = tuple(LayerSpec(name, FLOAT_BITS, 0.0) for name in names if name != layer)
    return replace(spec, layers=others, also=(), reestimate_bn=False)


def _note(reached: list[str], name: str, *_: object) -> None:
    reached.append(name)


def scan(
    model: FloatModel, specs: Sequence[CompressionSpec], images: ImageSet
) -> dict[tuple[str, CompressionSpec], Evaluation]:
    """(layer, spec) -> what comes of it, when it alone is compressed as each of `specs` says. In this process."""
    staged = Staged(model)
    changes = {layer: [staged.change(layer, spec) for spec in specs] for layer in staged.names}
    parts: dict[tuple[str, CompressionSpec], list[Evaluation]] = defaultdict(list)
    for start in range(0, len(images), BATCH):
        walk = Walk(staged, images[start : start + BATCH])
        for layer in staged.names:
            for spec, part in zip(specs, walk.evaluate(layer, changes[layer]), strict=True):
                parts[layer, spec].append(part)
    return {cell: join(found) for cell, found in parts.items()}
