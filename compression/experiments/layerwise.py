"""Evaluates a network with one layer compressed, for many layers and specs, without running all of it each time.

A change of one layer changes nothing before it. So a batch of images goes through the network once, stage by stage;
the outputs of the stages before a layer are computed once, and the stages from that layer on once for each change of
it. On average that is about half of the network. The logits are bit for bit those of the whole network with that
change.
"""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from compression.core.compress import compress
from compression.core.training_evidence import evidence_for
from compression.data.images import ImageSet
from compression.evaluation.evaluation import Evaluation, evaluation_of
from compression.networks.architectures.stages import run_stages, stages_of
from compression.networks.folding import fold_batch_norm, fold_layer
from compression.networks.model import FloatModel
from compression.networks.weights import weighted_layers
from compression.quantization.activations import InputQuantizer
from compression.spec import FLOAT_BITS, CompressionSpec, LayerSpec, Order


class LayerChange(NamedTuple):
    """A compressed layer: its weight and bias after batch norm is folded in, and the quantizer of its inputs."""

    weight: Tensor
    bias: Tensor | None
    inputs: InputQuantizer | None


class StagedNetwork:
    """A copy of a float network with batch norm folded, run stage by stage; on the GPU if there is one.

    A network that does not declare its stages has a single one, so each change runs all of it.
    """

    def __init__(self, model: FloatModel) -> None:
        self.model = model
        self.names = tuple(weighted_layers(model.module))
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.backends.cudnn.allow_tf32 = False  # as in the evaluation of whole networks
        self._folded = fold_batch_norm(model.module)
        self._module = copy.deepcopy(self._folded).to(self.device)
        self.stages = stages_of(self._module)
        self._stage_numbers: dict[str, int] = {}

    @property
    def nbytes(self) -> int:
        """The size of both copies of the network."""
        return 2 * sum(tensor.nbytes for tensor in self._module.state_dict().values())

    def change(self, layer: str, spec: CompressionSpec) -> LayerChange:
        """Returns `layer` as it is when it alone is compressed as `spec` says."""
        folds_first = spec.fold_bn and spec.order is Order.FOLD_FIRST
        module = self._folded if folds_first else self.model.module
        spec = single_layer_spec(spec, layer, self.names)
        compressed = compress(module, spec, evidence_for(self.model, spec))
        record = next(record for record in compressed.layers if record.name == layer)
        compressed_layer: Any = fold_layer(compressed.original, layer, record.weight).to(self.device)
        if record.filters is not None and compressed_layer.bias is not None:
            with torch.no_grad():
                compressed_layer.bias[~record.filters.to(self.device)] = 0  # a pruned filter outputs zero, not its bias
        return LayerChange(compressed_layer.weight, compressed_layer.bias, record.inputs)

    def stage_numbers(self, x: Tensor) -> dict[str, int]:
        """Returns the number of the stage in which each layer computes first, observed on one input `x` (1, ...)."""
        if not self._stage_numbers:
            reached: list[str] = []
            layers = [(name, self._module.get_submodule(name)) for name in self.names]
            hooks = [layer.register_forward_pre_hook(partial(_note, reached, name)) for name, layer in layers]
            for number, stage in enumerate(self.stages):
                x = stage(x)
                self._stage_numbers |= {name: number for name in reached if name not in self._stage_numbers}
            for hook in hooks:
                hook.remove()
        return self._stage_numbers

    @contextmanager
    def with_change(self, layer: str, change: LayerChange) -> Iterator[None]:
        """Within this context `layer` computes as `change` says."""
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


class Walk:
    """A batch of images on its way through a network; the stages that it has passed are not run again."""

    def __init__(self, network: StagedNetwork, images: ImageSet) -> None:
        self._network, self._images = network, images
        with torch.inference_mode():
            self._stage, self._x = 0, self._inputs()  # the number of the next stage, and its input
            self._stage_numbers = network.stage_numbers(self._x[:1])

    @property
    def nbytes(self) -> int:
        """The size of the input of the next stage."""
        return self._x.nbytes

    def evaluate(self, layer: str, changes: Sequence[LayerChange]) -> list[Evaluation]:
        """Evaluates all images in one batch, once for each of `changes` of `layer`.

        It is fast if layers come in the order of the network; a layer before the last one starts the walk again.
        """
        evaluations = []
        with torch.inference_mode():
            target = self._stage_numbers.get(layer, 0)
            if target < self._stage:
                self._stage, self._x = 0, self._inputs()
            self._x = run_stages(self._network.stages[self._stage : target], self._x)
            self._stage = target
            for change in changes:
                with self._network.with_change(layer, change):
                    logits = run_stages(self._network.stages[target:], self._x)
                evaluations.append(evaluation_of(logits, self._images))
        return evaluations

    def _inputs(self) -> Tensor:
        return self._network.model.normalization(self._images.pixels.to(self._network.device))


def single_layer_spec(spec: CompressionSpec, layer: str, names: Sequence[str]) -> CompressionSpec:
    """Returns the spec that compresses `layer` as `spec` says, and leaves all other layers of `names` in float.

    Weights are rounded to nearest, and nothing is re-estimated or reconstructed, because that would change all of the
    network.
    """
    others = tuple(LayerSpec(name, FLOAT_BITS, 0.0) for name in names if name != layer)
    return replace(spec.without_recovery, layers=others, also=())


def _note(reached: list[str], name: str, *_: object) -> None:
    reached.append(name)
