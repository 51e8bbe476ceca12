"""Fixtures of these tests: a site of real daemons, ended whatever happens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rigs.daemons import Site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A server and sentinels on loopback, not started yet."""
    place = Site(tmp_path)
    yield place
    place.stop()
