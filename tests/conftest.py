"""What pytest alone must be told; trial runs the same test cases without it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from twisted.trial.unittest import SynchronousTestCase


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run trial's test cases before the rest.

    A trial `TestCase` starts the reactor and stops it again; pytest-twisted starts it once and
    leaves it running, and no trial `TestCase` can pass after that.
    """
    items.sort(key=_outlives_trial)


def _outlives_trial(item: pytest.Item) -> bool:
    case = item.getparent(pytest.Class)
    return case is None or not issubclass(case.obj, SynchronousTestCase)


@pytest.fixture(scope="session", autouse=True)
def _elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Run in a folder of its own, as trial does, so that `mktemp` leaves nothing in the tree."""
    before = os.getcwd()
    os.chdir(tmp_path_factory.mktemp("elsewhere"))
    yield
    os.chdir(before)
