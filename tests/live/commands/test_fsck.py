"""`vidlink fsck` against the data folder of a real daemon."""

from __future__ import annotations

import json
from typing import Any

from tests.rigs.commands import vidlink
from tests.rigs.daemons import Site


def test_killed_and_checked(site: Site) -> None:
    """While the server runs its folder is left to it; after a kill it is checked, mended and
    served: from the parts alone, even where everything else of a session is lost."""
    server = site.start_server()
    sentinel = site.start_sentinel("desk-1", "--fps", "5", "--keyframe-interval", "1")
    session = site.live_session("desk-1")
    listed = site.recorded("desk-1", session, 10)
    run = vidlink(site, "fsck", str(site.data))
    assert (run.returncode, run.stdout) == (2, b""), run
    assert b"in use" in run.stderr
    server.kill()
    sentinel.stop()

    findings = _findings(site, 0)
    assert [one["finding"] for one in findings] == ["unfinished", "summary"]
    folder = site.data / "recordings" / "desk-1" / session
    for path in (*folder.glob("*.idx"), folder / "session.json", *site.data.glob("index.*")):
        path.unlink()
    kinds = {one["finding"] for one in _findings(site, 1)}
    assert {"index", "description", "no-records"} <= kinds
    _findings(site, 1, "--rebuild")
    _findings(site, 0)

    site.start_server()
    again = {one["sequence"]: one for one in site.recorded("desk-1", session, len(listed))}
    same = ("sequence", "startTime", "duration", "keyframe", "size", "mediaTime")
    for one in listed:
        found = again[one["sequence"]]
        assert {name: one[name] for name in same} == {name: found[name] for name in same}


def _findings(site: Site, status: int, *options: str) -> list[dict[str, Any]]:
    """What a check says, which must end with this status."""
    run = vidlink(site, "fsck", str(site.data), "--json", *options)
    assert run.returncode == status, run
    assert run.stderr == b""
    return [json.loads(line) for line in run.stdout.splitlines()]
