"""The tests that share a server, a browser or a cluster of workers run in one process."""

import os

import pytest


def test_pytest_xdist_knows_the_group_of_each_test(request: pytest.FixtureRequest) -> None:
    """With some versions of pytest, pytest-xdist ignores all groups without a word, and tests take twice as long."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        pytest.skip("one process runs all tests")
    assert request.node.nodeid.endswith("@test_groups")
