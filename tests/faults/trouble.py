"""A server whose disk is in trouble for a while: what has to be so meanwhile, and afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from tests.faults.evidence import Evidence, look
from tests.faults.load import ScriptedLoad
from tests.rigs.daemons import Daemon, Site, until

#: About 3 MB a second from twenty Sentinels.
SEGMENT_BYTES = 30_000
#: What waits is full after two seconds of trouble.
QUEUE_BYTES = 6 * 1024 * 1024
#: Five times what an alarm may take, and what recording may take to go on.
ALARM_SECONDS = 50.0
QUIET_SECONDS = 3.0
#: What a server suffers from for as long as it is entered.
Fault: TypeAlias = Callable[[Daemon], AbstractContextManager[object]]


@dataclass
class Trouble:
    """How it went: what 99 % of the segments took at most to a viewer, and what was found.

    `promised_in_trouble` is how much was acknowledged, before it was over, of what had been sent
    after the alarm.

    `alarm_seconds` and `recovery_seconds` are what the list of Sentinels took to say that
    recording is in trouble, and that it is not; `growth_bytes` is how much more memory the server
    had at most than before.
    """

    quiet_ms: float = 0.0
    trouble_ms: float = 0.0
    alarm_seconds: float = 0.0
    recovery_seconds: float = 0.0
    growth_bytes: int = 0
    promised_in_trouble: int = 0
    evidence: Evidence = field(default_factory=Evidence)

    def check(self, *causes: str) -> None:
        """Live went on, nothing is lost, and every gap has one of these causes."""
        assert self.trouble_ms < max(5 * self.quiet_ms, 250.0), self
        # Nothing but the bounded queue and the buffers of the time it took may have grown.
        assert self.growth_bytes < 64 * 1024 * 1024 + 4 * QUEUE_BYTES, self.growth_bytes
        self.evidence.check()
        assert self.evidence.causes() == set(causes), self.evidence.gaps


def states(site: Site) -> set[str]:
    """What the list of Sentinels says of their recording."""
    return {row["recording"] for row in site.get_json("/api/v1/sentinels")["sentinels"]}


def endure(
    site: Site,
    fault: Fault,
    *,
    seconds: float,
    mend: Callable[[], object] | None = None,
) -> Trouble:
    """Load a server, let `fault` be entered for `seconds`, and look at everything afterwards.

    With `mend` the recording does not go on by itself: that is called between a stop and the
    next start.
    """
    found = Trouble()
    server = site.start_server("--queue-bytes", str(QUEUE_BYTES), "--buffer-seconds", "5")
    load = ScriptedLoad(site.port, size_bytes=SEGMENT_BYTES, viewers=1)
    with load:
        until(lambda: min(_reached(load), default=-1) >= 0, what="all are acknowledged")
        begun = time.monotonic()
        time.sleep(QUIET_SECONDS)
        before, failed = _peak_bytes(server), time.monotonic()
        with fault(server):
            # Asked more often, the asking would slow down what is measured.
            until(lambda: "trouble" in states(site), ALARM_SECONDS, pause=0.2, what="an alarm")
            found.alarm_seconds = time.monotonic() - failed
            alarmed = time.monotonic()
            time.sleep(seconds)
            found.promised_in_trouble = _promised_since(load, alarmed)
            over = time.monotonic()
        if mend is None:
            until(lambda: states(site) == {"ok"}, ALARM_SECONDS, what="recording goes on")
        found.recovery_seconds = time.monotonic() - over
        found.growth_bytes = _peak_bytes(server) - before
        time.sleep(2.0)
    # What was sent a moment ago may still be on its way to the viewer.
    found.quiet_ms = load.p99_ms(begun, failed)
    found.trouble_ms = load.p99_ms(failed, over)
    assert load.closes == [], f"a sentinel was closed: {load.closes}"
    check_viewer(load, until_seconds=over)
    assert server.stop() == 0, server.log()
    assert "Traceback" not in server.log(), server.log()
    if mend is not None:
        mend()
    site.start_server()
    found.evidence = look(site, load.acknowledged(), load.sent)
    return found


def check_viewer(load: ScriptedLoad, until_seconds: float) -> None:
    """The viewer had every segment, as it was sent, from its first one on."""
    for key, seen in load.seen().items():
        sending = load.sessions[key]
        sent = [one for one, when in sending.sent_seconds.items() if when < until_seconds]
        assert seen.items() <= sending.sent.items(), key
        missing = {one for one in sent if one >= min(seen)} - seen.keys()
        assert not missing, (key, sorted(missing))
    assert load.seen().keys() == load.sessions.keys()


def parts(data: Path) -> list[int]:
    """How many parts each session has."""
    return [len(list(folder.glob("part-*.mp4"))) for folder in data.glob("recordings/*/*")]


def _reached(load: ScriptedLoad) -> list[int]:
    return list(load.acknowledged().values())


def _promised_since(load: ScriptedLoad, since: float) -> int:
    """How many segments have been acknowledged of those that were sent after this moment."""
    return sum(
        when >= since and sequence <= sending.acknowledged
        for sending in list(load.sessions.values())
        for sequence, when in list(sending.sent_seconds.items())
    )


def _peak_bytes(server: Daemon) -> int:
    words = Path(f"/proc/{server.process.pid}/status").read_text().split()
    return int(words[words.index("VmHWM:") + 1]) * 1024
