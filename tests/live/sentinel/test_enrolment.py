"""A room from an image: real sentinels that enrol, one of them a copy of another's state."""

from __future__ import annotations

import json
import re
import shutil
import time
from pathlib import Path
from typing import Any

from tests.rigs.commands import vidlink
from tests.rigs.daemons import Daemon, Site, until
from vidlink.sentinel.machine import this_machine

#: Whoever is put out is out within so many seconds.
CLOSED_SECONDS = 5.0


def _done(site: Site, *words: str) -> str:
    """A command on the data folder that has to end well; its output."""
    run = vidlink(site, *words, "--data", str(site.data))
    assert run.returncode == 0, run
    return run.stdout.decode()


def _room(site: Site, *words: str) -> Path:
    """The token of a room, in a file that an image carries."""
    path = site.folder / "room.token"
    path.write_text(_done(site, "token", "add", "Room A", "--enrol", "--group", "Room A", *words))
    path.chmod(0o600)
    return path


def _start(site: Site, room: Path, state: Path, sentinel_id: str) -> Daemon:
    """A machine of the room."""
    words = ["--enrol-token-file", str(room), "--state", str(state)]
    return site.start_sentinel(sentinel_id, *words)


def _enrolled(site: Site) -> dict[str, Any]:
    """What the administrator is shown, by id."""
    rows = site.get_json("/api/v1/enrolments")["enrolments"]
    return {row["sentinelId"]: row for row in rows}


def test_clones(site: Site) -> None:
    """Three machines enrol with one token; two of them have one state folder. The one that is there
    first goes on with its session, whatever the copy does; the alarm names both; the copy, as soon
    as it finds that it is one, is a sentinel of its own, and both are seen. The third is put out,
    and stays out."""
    site.be_administrator()
    room = _room(site, "--most", "3")
    server = site.start_server()
    states = [site.folder / f"state-{number}" for number in range(3)]
    first = _start(site, room, states[0], "desk-1")
    session = site.live_session("desk-1")
    third = _start(site, room, states[2], "desk-3")
    shutil.copytree(states[0], states[1])
    copy = _start(site, room, states[1], "desk-1")
    copy.logged(r"closed with 4410 \(id-in-use\)")
    server.logged(r"two machines use the id desk-1: 127.0.0.1:\d+ has it, 127.0.0.1:\d+ is refused")
    site.live_session("desk-3")
    copy.stop()

    # On other hardware the same file would not fit.
    kept = states[1] / "desk-1.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    own = json.loads(kept.read_text())
    assert own["machine"] == this_machine().fingerprint
    kept.write_text(json.dumps({**own, "machine": "0" * 64}))
    copy = _start(site, room, states[1], "desk-1")
    copy.logged("given to another machine, of which this is a copy")
    (apart,) = until(
        lambda: [name for name in _enrolled(site) if name not in ("desk-1", "desk-3")],
        what="the copy has enrolled",
    )
    assert re.fullmatch("desk-1_[0-9a-f]{4}", apart)
    site.live_session(apart)
    row = site.status_of("desk-1")
    assert (row["state"], row["sessionId"], row["group"]) == ("live", session, "Room A")
    assert _enrolled(site)[apart]["askedId"] == "desk-1"
    assert json.loads(kept.read_text())["token"] != own["token"]

    # There are as many as there may be.
    fourth = _start(site, room, site.folder / "state-3", "desk-4")
    fourth.logged(r"cannot enrol at .*: this token has enrolled as many machines as it may \(3\)")
    fourth.stop()

    _done(site, "token", "revoke", _enrolled(site)["desk-3"]["ownToken"])
    began = time.monotonic()
    third.logged("closed with 4401")
    assert time.monotonic() - began < CLOSED_SECONDS
    third.logged("vidlink token forget desk-3")
    time.sleep(3.0)
    assert site.status_of("desk-3")["state"] == "offline"
    assert not _enrolled(site)["desk-3"]["valid"]
    assert "revoked" in _done(site, "token", "enrolled")

    # The room is closed, and goes on as it is.
    _done(site, "token", "revoke", _enrolled(site)["desk-1"]["roomToken"])
    time.sleep(2.0)
    assert site.status_of("desk-1")["sessionId"] == session
    for daemon in (server, first, copy, third):
        for secret in (room.read_text().strip(), own["token"]):
            assert secret not in daemon.log()


def test_copy_of_everything(site: Site) -> None:
    """Of two machines with the very same state folder the one that is there first goes on with its
    session; the other is refused, the alarm names both, and a minute or two later, without anybody
    going there, both are seen. The machine keeps its name for its next start."""
    site.be_administrator()
    room = _room(site)
    server = site.start_server()
    states = [site.folder / f"state-{number}" for number in range(2)]
    first = _start(site, room, states[0], "desk-1")
    session = site.live_session("desk-1")
    shutil.copytree(states[0], states[1])
    copy = _start(site, room, states[1], "desk-1")
    copy.logged(r"closed with 4410 \(id-in-use\); it asks to be enrolled as another one")
    server.logged(r"two machines use the id desk-1: 127.0.0.1:\d+ has it, 127.0.0.1:\d+ is refused")
    found = copy.logged("has enrolled this machine as (desk-1_[0-9a-f]{4})", 120.0)
    site.live_session(found[1])
    row = site.status_of("desk-1")
    assert (row["state"], row["sessionId"]) == ("live", session)
    assert "closed with" not in first.log()
    kept = [(state / "desk-1.json").read_text() for state in states]
    assert kept[0] == kept[1]


def test_server_that_lost_everything(site: Site) -> None:
    """A server that is begun anew, with nothing but the token of the room made anew, has its
    machines back under their ids without anybody going to them."""
    site.be_administrator()
    room = _room(site)
    server = site.start_server()
    sentinel = _start(site, room, site.folder / "state", "desk-1")
    site.live_session("desk-1")
    server.stop()
    shutil.rmtree(site.data)
    site.be_administrator()
    _room(site)
    site.start_server()
    site.live_session("desk-1")
    assert len(re.findall("has enrolled this machine as desk-1", sentinel.log())) == 2
