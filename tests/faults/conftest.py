"""What every test of a fault has: its mark, a site, and mounts that are gone afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

import pytest

from tests.faults.mounts import Mount, need_root
from tests.rigs.daemons import Site

HERE = Path(__file__).parent
#: What each of these tests may take.
MOST_SECONDS = 300

M = TypeVar("M", bound=Mount)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is in this folder, so that ``-m 'not faults'`` leaves it out."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.faults)
            item.add_marker(pytest.mark.timeout(MOST_SECONDS))


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """What is undone at the end, the last first."""
    need_root()
    with ExitStack() as things:
        yield things


@pytest.fixture
def mounted(stack: ExitStack) -> Callable[[M], M]:
    """Given a mount, sees to it that it is gone in the end."""

    def keep(mount: M) -> M:
        stack.callback(mount.clear)
        return mount

    return keep


@pytest.fixture
def site(tmp_path: Path, stack: ExitStack, mounted: object) -> Iterator[Site]:
    """A server on loopback, not started yet; it is gone before the mounts are."""
    place = Site(tmp_path)
    yield place
    place.stop()
