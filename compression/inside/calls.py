"""The calls that workers make for each kind of look, and what their results become."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from compression.data.images import ImageSet
from compression.engine.cluster import Engine, Shared
from compression.inside.bits.report import trials
from compression.inside.calibration import Calibration, CurvePoint, CurveSpec, calibrate, curve_point
from compression.inside.corruptions import CONDITIONS
from compression.inside.inspector import Call
from compression.inside.layers import LayerReport, layer_names
from compression.inside.saliency import Method
from compression.inside.tasks import (
    classify_corrupted,
    compute_logits,
    compute_training_logits,
    count_flipped,
    explain_maps,
    find_worst_bit,
    flip_packed_file,
    measure_reestimated,
    measure_signal,
)
from compression.networks.model import FloatModel
from compression.results.provenance import arithmetic
from compression.spec import CompressionSpec

CHUNK = 500  # images of one call


def shared_arguments(engine: Engine, model: FloatModel, images: ImageSet) -> tuple[Shared, Shared | None]:
    """Returns the network and the test images as arguments of many calls; None for images that workers have."""
    return (
        Shared(f"network-{model.digest}", model),
        None if engine.local else Shared(f"images-{images.fingerprint}", images),
    )


def _shared(name: str, value: Any) -> Shared | None:
    return None if value is None else Shared(name, value)


def chunks(count: int) -> list[tuple[int, int]]:
    """Returns the ranges of CHUNK images that `count` images are divided into; the last one may be shorter."""
    return [(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK)]


def logit_calls(
    engine: Engine, model: FloatModel, spec: CompressionSpec, images: ImageSet, compressed: Any = None
) -> list[Call]:
    """Returns the calls that compute the logits of `model`, compressed as `spec` says, for all of `images`.

    `compressed` is the module of a network that takes seconds to make; None means that each worker makes it.
    """
    network, pixels = shared_arguments(engine, model, images)
    name = f"logits {model.digest} {spec.to_json()}"
    module = _shared(f"module {name}", compressed)
    return [
        Call(
            f"{name} {start} {stop}",
            compute_logits,
            (network, spec, start, stop, arithmetic(), pixels, module),
        )
        for start, stop in chunks(len(images))
    ]


def calibrate_results(parts: Sequence[Any], labels: Tensor) -> Calibration:
    """Returns the calibration of a network from the results of its `logit_calls`, with the labels of the images."""
    return calibrate(torch.from_numpy(np.concatenate(parts)), labels)


def curve_calls(engine: Engine, model: FloatModel, at: CurveSpec, images: ImageSet) -> list[Call]:
    """Returns the calls for one point of a curve of calibration: the logits of `images`, then of training images."""
    network, _ = shared_arguments(engine, model, images)
    return [
        *logit_calls(engine, model, at.spec, images),
        Call(
            f"training logits {model.digest} {at.spec.to_json()}",
            compute_training_logits,
            (network, at.spec, arithmetic()),
        ),
    ]


def read_curve_point(at: CurveSpec, parts: Sequence[Any], labels: Tensor) -> CurvePoint:
    """Returns a point of a curve from the results of its `curve_calls`, with the labels of the images."""
    *logits, training = parts
    known = None if isinstance(training, str) else (torch.from_numpy(training[0]), torch.from_numpy(training[1]))
    return curve_point(at, torch.from_numpy(np.concatenate(logits)), labels, known)


def corruption_calls(
    engine: Engine, model: FloatModel, spec: CompressionSpec, images: ImageSet, count: int, compressed: Any = None
) -> list[Call]:
    """Returns the calls that classify the first `count` of `images` under all CONDITIONS.

    `model` is compressed as `spec` says; `compressed` is as for `inspector.logit_calls`.
    """
    network, pixels = shared_arguments(engine, model, images)
    name = f"corrupted {model.digest} {spec.to_json()}"
    module = _shared(f"module {name}", compressed)
    return [
        Call(
            f"{name} {condition} {start} {stop}",
            classify_corrupted,
            (network, spec, condition, start, stop, arithmetic(), pixels, module),
        )
        for condition in CONDITIONS
        for start, stop in chunks(count)
    ]


def right_by_condition(results: Sequence[Any], count: int) -> list[Tensor]:
    """Returns which images are classified correctly under each condition, from the results of `corruption_calls`."""
    size = len(chunks(count))
    parts = [results[start : start + size] for start in range(0, len(results), size)]
    return [torch.from_numpy(np.concatenate(each)) for each in parts]


def layer_calls(
    engine: Engine, model: FloatModel, spec: CompressionSpec, images: ImageSet, count: int, compressed: Any = None
) -> list[Call]:
    """Returns the calls that measure each layer of `model`, compressed as `spec` says, on the first `count` images.

    `compressed` is the network with the record of each layer if it takes seconds to make, else None.
    """
    network, pixels = shared_arguments(engine, model, images)
    name = f"layers {model.digest} {spec.to_json()} {count}"
    argument = Shared(f"network {name}", compressed) if compressed is not None else None
    return [
        Call(f"{name} {layer}", measure_signal, (network, spec, layer, count, arithmetic(), pixels, argument))
        for layer in layer_names(model.module)
    ] + [Call(f"{name} reestimated", measure_reestimated, (network, spec, count, arithmetic(), pixels, argument))]


def report_layers(results: Sequence[Any]) -> LayerReport:
    """Returns the report of all layers, from the results of `layer_calls`."""
    *layers, reestimated = results
    return LayerReport(tuple(layers), reestimated or None)


def bit_flip_calls(
    engine: Engine,
    model: FloatModel,
    spec: CompressionSpec,
    bits: int,
    images: ImageSet,
    count: int,
    compressed: Any = None,
) -> list[Call]:
    """Returns the calls that flip bits of the weights as `spec` stores them, in words of at most `bits` bits.

    First `bits.report.trials`, then the worst bit, then the packed file. `compressed` is that of `layer_calls`.
    """
    network, pixels = shared_arguments(engine, model, images)
    name = f"bits {model.digest} {spec.to_json()} {count}"
    argument = Shared(f"network {name}", compressed) if compressed is not None else None
    return [
        *(
            Call(f"{name} {trial}", count_flipped, (network, spec, trial, count, arithmetic(), pixels, argument))
            for trial in trials(bits)
        ),
        Call(f"{name} worst", find_worst_bit, (network, spec, count, arithmetic(), pixels, argument)),
        Call(f"{name} file", flip_packed_file, (network, spec, arithmetic(), argument)),
    ]


def map_call(model: FloatModel, spec: CompressionSpec, pixels: Tensor, method: Method, module: Any = None) -> Call:
    """Returns the call that makes the saliency maps of both networks for one image, pixels (3, H, W) uint8.

    `module` is `compressed` of `logit_calls`.
    """
    name = f"maps {model.digest} {spec.to_json()} {method} {hashlib.sha256(pixels.numpy().tobytes()).hexdigest()}"
    network = Shared(f"network-{model.digest}", model)
    argument = _shared(f"module {model.digest} {spec.to_json()}", module)
    return Call(name, explain_maps, (network, spec, pixels, method, arithmetic(), argument))
