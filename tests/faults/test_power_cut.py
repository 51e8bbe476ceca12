"""A power cut: what was acknowledged had reached the disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.faults.courses import Rounds, cut_power
from tests.faults.evidence import Evidence, look
from tests.faults.load import ScriptedLoad
from tests.faults.mounts import Ext4
from tests.faults.tracing import lying
from tests.rigs.daemons import Site

ROUNDS = int(os.environ.get("VIDLINK_FAULT_CUTS", "5"))
SEED = int(os.environ.get("VIDLINK_FAULT_SEED", "1"))


@pytest.fixture
def disk(tmp_path: Path, site: Site, mounted: Callable[[Ext4], Ext4]) -> Ext4:
    """A disk whose power can be cut, with the site's data folder on it."""
    ext4 = mounted(Ext4(tmp_path / "disk", tmp_path / "image"))
    site.data = ext4.path / "data"
    return ext4


def _after_cuts(
    site: Site, disk: Ext4, count: int, before: Sequence[str] = ()
) -> tuple[Rounds, Evidence]:
    print(f"VIDLINK_FAULT_SEED={SEED}, {count} rounds")
    load = ScriptedLoad(site.port, seed=SEED)
    rounds = cut_power(site, load, disk, count, SEED, before)
    site.start_server()
    return rounds, look(site, rounds.promised, load.sent)


@pytest.mark.timeout(60 + 15 * ROUNDS)
def test_nothing_acknowledged_is_lost(site: Site, disk: Ext4) -> None:
    """The power fails again and again, at random moments under twenty Sentinels: every segment
    that had been acknowledged by then is there as it was sent, and nothing is torn."""
    _, found = _after_cuts(site, disk, ROUNDS)
    found.check()
    assert found.acknowledged > ROUNDS, "too little was promised to prove anything"
    assert found.causes() <= {"server-stopped"}


def test_without_sync_it_is_lost(site: Site, disk: Ext4) -> None:
    """The cut is a real one: where nothing is synced, what was acknowledged is lost by it."""
    _, found = _after_cuts(site, disk, 2, lying("syncfs", "fsync", "fdatasync"))
    assert found.acknowledged > 0
    assert found.lost
