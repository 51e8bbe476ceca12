"""A server that is killed under real uplinks: in the end all that they captured is recorded."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import TracebackType

import pytest

from tests.faults.courses import kill, timed_start
from tests.faults.evidence import pictures
from tests.faults.load import Key
from tests.faults.whole import base, check_whole, listed, sessions
from tests.rigs.daemons import Site, until
from tests.rigs.fleet import FleetProcess
from tests.rigs.journal import Session, read_journal

ROUNDS = int(os.environ.get("VIDLINK_FAULT_ROUNDS", "20"))
SEED = int(os.environ.get("VIDLINK_FAULT_SEED", "1"))
COUNT = 20
#: Five times what a start may take.
MOST_START_SECONDS = 10.0
#: What waits is delivered at some hundred kilobytes a second.
RECOVERY_SECONDS = 150.0


class FleetLoad:
    """Twenty real uplinks with spools on disk, which go on when the killing is over."""

    def __init__(self, site: Site, folder: Path) -> None:
        options = f"--count={COUNT}", f"--spool={folder / 'spool'}"
        self.fleet = FleetProcess(site.ws, folder, *options)

    def __enter__(self) -> FleetLoad:
        """They send from the beginning."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """They go on."""

    def acknowledged(self) -> dict[Key, int]:
        """How far each session has been acknowledged by now."""
        known = read_journal(self.fleet.journal_path).values()
        return {(one.sentinel_id, one.session_id): one.acknowledged for one in known}

    @property
    def sent(self) -> dict[Key, dict[int, bytes]]:
        """The journal has checksums alone."""
        return {}


def _is_delivered(site: Site, names: list[str]) -> bool:
    """Whether nothing late is left: of each, all sessions but the live one are sealed."""
    return all(
        [row["state"] for row in sessions(site, name)].count("sealed")
        == len(sessions(site, name)) - 1
        for name in names
    )


def _check(site: Site, own: list[Session]) -> int:
    """Every session of one uplink is whole, and its film decodes; how many segments there are."""
    for session in own:
        is_live = session is own[-1]
        check_whole(site, session, session.acknowledged if is_live else max(session.captured))
        rows = listed(site, session.sentinel_id, session.session_id)
        if rows:
            path = base(session.sentinel_id, session.session_id)
            film = site.get(f"{path}/recording.mp4")[2]
            count, complaints = pictures(film)
            assert (count, complaints) == (len(rows), []), session.session_id
    return sum(len(session.captured) for session in own)


@pytest.mark.timeout(300 + 12 * ROUNDS)
def test_killed_under_real_uplinks(site: Site, tmp_path: Path) -> None:
    """Twenty real uplinks and one complete daemon go on while their server is killed again and
    again: in the end every segment that they captured is in the recordings once, octet by octet,
    no session has a gap, all but the live ones are sealed, and every film decodes."""
    print(f"VIDLINK_FAULT_SEED={SEED}, {ROUNDS} rounds")
    first = site.start_server()
    desk = site.start_sentinel("desk-1", "--spool", str(tmp_path / "desk"))
    load = FleetLoad(site, tmp_path)
    names = ["desk-1", *(f"fleet-{number}" for number in range(COUNT))]
    try:
        for name in names:
            site.live_session(name)
        first.kill()
        rounds = kill(site, load, ROUNDS, SEED)
        timed_start(rounds, site)
        assert max(rounds.start_seconds) < MOST_START_SECONDS, rounds.start_seconds
        until(lambda: _is_delivered(site, names), RECOVERY_SECONDS, 0.5)
        time.sleep(2)
    finally:
        status = load.fleet.stop()
    journal = read_journal(load.fleet.journal_path)
    for key, reached in rounds.promised.items():
        assert len(listed(site, *key)) > reached, "what was acknowledged is there"
    total = 0
    for name in names[1:]:
        own = [one for one in journal.values() if one.sentinel_id == name and one.captured]
        assert {row["sessionId"] for row in sessions(site, name)} == {one.session_id for one in own}
        total += _check(site, own)
    assert total > 5 * COUNT * ROUNDS
    for row in sessions(site, "desk-1"):
        path = base("desk-1", row["sessionId"])
        assert site.get_json(path)["gaps"] == []
        numbers = [one["sequence"] for one in listed(site, "desk-1", row["sessionId"])]
        assert numbers == list(range(len(numbers)))
    assert status == 0
    assert desk.process.poll() is None, desk.log()
    for log in (load.fleet.log(), desk.log()):
        assert "Traceback" not in log
