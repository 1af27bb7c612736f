"""What the tests of deployment share."""

from collections.abc import Iterator
from functools import cache

import pytest


@pytest.fixture(scope="package", autouse=True)
def operators_once() -> Iterator[None]:
    """The operators that torch can export are read once for all exports: that takes a third of the time of each."""
    from torch.onnx._internal.exporter._registration import ONNXRegistry  # takes seconds, in whatever process collects

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(cache(ONNXRegistry.from_torchlib)))
        yield
