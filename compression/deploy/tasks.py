"""What workers do for a deployment: they build ONNX files and classify test images with them."""

import numpy as np

from compression.deploy.deployment import Answers
from compression.deploy.runtime import Pixels, logits, open_session
from compression.deploy.variants import OnnxFile, Variant, build
from compression.engine.cluster import tasks_at_once
from compression.networks.model import FloatModel
from compression.results.provenance import check_version


def build_on_worker(model: FloatModel, variant: Variant, version: str) -> OnnxFile:
    """Builds the file of `variant`. `version` is the `arithmetic` of the process that asks.

    Raises RuntimeError if the code here has another version, or if this process computes several tasks at once: other
    computations fail while torch exports, and after two exports at once all later exports fail.
    """
    if tasks_at_once() > 1:
        raise RuntimeError("workers that export networks need one thread each: start them with --nthreads 1")
    check_version(version)
    return build(model, variant)


def predict_classes(graph: bytes, pixels: Pixels) -> Answers:
    """Runs an ONNX file: pixels (N, channels, height, width) -> the class (N,) with the largest logit."""
    return logits(open_session(graph), pixels).argmax(1).astype(np.uint8)
