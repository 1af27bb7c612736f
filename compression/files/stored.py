"""A network that is compressed already: it is what its packed file holds, with the codes and the scales of the file."""

import copy
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from torch import nn

from compression.cached_property import cached_property
from compression.core.compress import compress
from compression.core.record import CompressedModel, LayerRecord
from compression.core.recovery import Report, no_report
from compression.core.training_evidence import evidence_for
from compression.files.coding.bits import unpack, width
from compression.files.packed_file import weight_key
from compression.files.packed_quantizer import Numbers, QuantizerKind, Zeros, from_numbers
from compression.files.packed_reader import Packed, decode
from compression.networks.model import FloatModel
from compression.networks.weights import Weight, compressible_weights
from compression.quantization.activations import InputQuantizer
from compression.quantization.codebooks import Codebook
from compression.quantization.quantizers import QParams, code_bits
from compression.spec import FLOAT_BITS, CompressionSpec
from compression.spec.recipe import from_json


@dataclass(frozen=True, eq=False)
class StoredNetwork(FloatModel):
    """A network of a packed file. `module` has its weights as float32, and `content` is the file."""

    content: bytes = b""

    @property
    def nbytes(self) -> int:
        """The size of the file."""
        return len(self.content)

    @property
    def spec(self) -> CompressionSpec:
        """The spec that the network of the file was compressed by, with the name of the network that it comes from."""
        return self.compressed.spec

    @cached_property
    def compressed(self) -> CompressedModel:
        """The network with the layers, codes and scales of the file."""
        return read_compressed(self.content, self.name)


def is_as_stored(model: FloatModel, spec: CompressionSpec) -> bool:
    """Returns whether `model` is compressed already and `spec` leaves it as it is."""
    if not isinstance(model, StoredNetwork):
        return False
    folds = spec.fold_bn and bool(model.about["folded"])  # batch norm that is folded already
    return spec == CompressionSpec(spec.model) or (folds and spec == CompressionSpec(spec.model, fold_bn=True))


def compress_network(model: FloatModel, spec: CompressionSpec, report: Report = no_report) -> CompressedModel:
    """Returns `model` compressed as `spec` says, with evidence gathered here.

    A network that is compressed already and that `spec` leaves as it is has the codes of its file. Raises what
    `compress` and `evidence_for` raise.
    """
    if isinstance(model, StoredNetwork) and is_as_stored(model, spec):
        return model.compressed
    return compress(model.module, spec, evidence_for(model, spec), report)


def read_compressed(content: bytes, name: str) -> CompressedModel:
    """Returns the compressed network in a packed file called `name`, as it was when the file was written.

    Of what a file does not hold, `original` is the compressed weight, and all zeros of layers that were pruned count as
    pruned. Raises CodecError for a file that is damaged or is none.
    """
    decoded = decode(content, name)
    spec, module = from_json(json.dumps(decoded.model.about["spec"])), decoded.model.module
    inputs = {
        layer: hook
        for layer, part in module.named_modules()
        for hook in part._forward_pre_hooks.values()
        if isinstance(hook, InputQuantizer)
    }
    bare = _without_hooks(module)
    layers = tuple(
        _record(layer, weight, decoded.weights, spec, inputs.get(layer))
        for layer, weight in compressible_weights(bare, spec.also).items()
    )
    return CompressedModel(spec, bare, layers)


def _without_hooks(module: nn.Module) -> nn.Module:
    """Returns a copy of `module` with the same tensors, and without quantizers of inputs."""
    tensors = [*module.parameters(), *module.buffers()]
    bare = copy.deepcopy(module, {id(tensor): tensor for tensor in tensors})
    for part in bare.modules():
        part._forward_pre_hooks.clear()
    return bare


def _record(
    name: str,
    weight: Weight,
    packed: Mapping[str, Packed],
    spec: CompressionSpec,
    inputs: InputQuantizer | None,
) -> LayerRecord:
    """Returns the record of a layer, of which a file holds `packed` weights."""
    values = weight.channels_first
    nonzero = int(np.count_nonzero(values.numpy()))
    record = LayerRecord(
        name=name,
        original=weight.tensor,
        weight=weight.tensor.detach(),
        pruned=values.numel() - nonzero if spec.prunes else 0,
        threshold=0.0,
        nonzero=nonzero,
        bits=FLOAT_BITS,
        qparams=None,
        sqnr_db=math.inf,
        inputs=inputs,
        transposed_groups=weight.transposed_groups,
    )
    own = packed.get(weight_key(record))
    qparams = quantizer_of(own, values.dim()) if own else None
    return replace(
        record,
        bits=code_bits(qparams) if qparams else FLOAT_BITS,
        qparams=qparams,
        pattern=own.entry.pattern if own else None,
    )


def quantizer_of(packed: Packed, dimensions: int) -> QParams | Codebook | None:
    """Returns the quantizer of a packed weight with so many dimensions, None if its weights are stored as float32.

    It gives each weight of the file the code that it has there. A file holds no bounds between the values of a
    codebook; they lie in the middle. Groups of zeros have scale 1, because a file does not hold theirs.
    """
    entry, floats = packed.entry, packed.floats
    if entry.kind is QuantizerKind.FLOAT:
        return None
    count = entry.floats if entry.zeros is Zeros.WHOLES else 0
    wholes = tuple(unpack(packed.content[: entry.lengths[0]], count, width(entry.alphabet)).tolist())
    if entry.kind is not QuantizerKind.CODEBOOK and entry.zeros is not Zeros.FLOATS:
        floats = np.where(floats == 0, np.float32(entry.divisor), floats)
    numbers = Numbers(entry.kind, floats, wholes, entry.zeros, entry.low, entry.group_size, entry.divisor)
    quantizer = from_numbers(numbers, entry.alphabet, dimensions)
    if isinstance(quantizer, QParams):
        return quantizer
    values = quantizer.values
    bounds = (values[:, 1:] + values[:, :-1]) / 2
    stored = 1 if entry.kind is QuantizerKind.POWERS else quantizer.stored_values
    return replace(quantizer, bounds=bounds, stored_values=stored)
