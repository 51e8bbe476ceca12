"""What pytest alone must be told; trial runs the same test cases without it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator, Iterator

import pytest
from twisted.trial.unittest import TestCase


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Where all tests are run, one worker more than there are processors, as most tests wait most
    of the time; none where some are named, which are over sooner than workers start."""
    runs_all = config.args == config.getini("testpaths")
    return len(os.sched_getaffinity(0)) + 1 if runs_all else 0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run trial's asynchronous test cases before the rest, and those that need quiet after it.

    A trial `TestCase` starts the reactor and stops it again; pytest-twisted starts it once and
    leaves it running, and no trial `TestCase` can pass after that. Workers are given tests in this
    order, so that none of them waits for quiet while another one has much to do.
    """
    items.sort(key=lambda item: (_outlives_trial(item), _needs_quiet(item)))


def _outlives_trial(item: pytest.Item) -> bool:
    case = item.getparent(pytest.Class)
    return case is None or not issubclass(case.obj, TestCase)


def _needs_quiet(item: pytest.Item) -> bool:
    return item.get_closest_marker("quiet") is not None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Let a test that needs quiet run while no other worker runs any."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return (yield)
    with open(__file__) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if _needs_quiet(item) else fcntl.LOCK_SH)
        return (yield)


@pytest.fixture(scope="session", autouse=True)
def _elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Run in a folder of its own, as trial does, so that `mktemp` leaves nothing in the tree."""
    before = os.getcwd()
    os.chdir(tmp_path_factory.mktemp("elsewhere"))
    yield
    os.chdir(before)
