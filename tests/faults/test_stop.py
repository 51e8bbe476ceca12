"""SIGTERM under load: everything that was received is kept, and everybody is told."""

from __future__ import annotations

import signal
import time

from tests.faults.evidence import look
from tests.faults.load import ScriptedLoad
from tests.faults.tracing import injected, writer_thread
from tests.rigs.daemons import Site, until

#: Five times what a stop may take.
MOST_SECONDS = 25.0


def test_stopped_under_load(site: Site) -> None:
    """Under twenty Sentinels and two Proctors the server ends in time, with status 0; all were
    closed with 1001, and what it had received, as the Proctors can tell, is recorded, although
    a sync takes half a second."""
    server = site.start_server()
    load = ScriptedLoad(site.port, size_bytes=20_000, viewers=2)
    with load:
        until(lambda: min(load.acknowledged().values(), default=-1) >= 0, what="acknowledged")
        time.sleep(1.0)
        # So that something is still to be written, whenever the signal comes.
        with injected(server, "syncfs:delay_enter=500000", tid=writer_thread(server)):
            time.sleep(0.7)
            begun = time.monotonic()
            server.send(signal.SIGTERM)
            assert server.process.wait(MOST_SECONDS) == 0
        assert time.monotonic() - begun < MOST_SECONDS
        until(lambda: len(load.closes) >= 20, what="all have been closed")
    assert load.closes[:20] == [1001] * 20
    assert [viewer.close_code for viewer in load.viewers] == [1001, 1001]
    assert "Traceback" not in server.log()
    received = {key: max(seen) for key, seen in load.seen().items()}
    promised = {key: max(received[key], reached) for key, reached in load.acknowledged().items()}
    site.start_server()
    found = look(site, promised, load.sent)
    found.check()
    assert found.causes() == set()
    assert len(found.gaps) == 20
