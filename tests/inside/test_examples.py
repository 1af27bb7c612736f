"""The examples in the docstrings of `compression.inside` run."""

import doctest
import importlib

import pytest

from compression.data.images import ImageSet
from compression.paths import PACKAGE

MODULES = sorted(path.stem for path in (PACKAGE / "inside").glob("[a-z]*.py"))


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_run(name: str, test_images: ImageSet) -> None:
    assert doctest.testmod(importlib.import_module(f"compression.inside.{name}")).failed == 0
