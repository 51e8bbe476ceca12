"""Both daemons end as RFC 6455 has it: with a word in band, then 1001, and exit status 0."""

from __future__ import annotations

import signal

from tests.rigs.daemons import STOP_SECONDS, Site, until
from tests.rigs.proctor import LiveProctor
from vidlink.messages import ErrorMessage, SessionEnded, Subscribe
from vidlink.model import Segment


def test_server_ends(site: Site) -> None:
    """On SIGTERM the server tells proctors and sentinels that it goes, closes with 1001, and
    ends with status 0; the sentinel waits for it to come back."""
    server = site.start_server()
    sentinel = site.start_sentinel("desk-1")
    first = site.live_session("desk-1")
    watching, idle = LiveProctor(site.ws), LiveProctor(site.ws, "vidlink.v1.json")
    watching.say(Subscribe("desk-1"))
    watching.wait_for(Segment)
    server.send(signal.SIGTERM)
    for proctor in (watching, idle):
        assert proctor.closed() == 1001
        error = proctor.heard[-1]
        assert isinstance(error, ErrorMessage)
        assert (error.code, error.about) == ("going-away", None)
    assert server.process.wait(STOP_SECONDS) == 0
    sentinel.logged(r"the server says: the server is shutting down \(going-away\)")
    sentinel.logged(r"closed with 1001 \(going-away\)")
    site.start_server()
    record = site.get_json(f"/api/v1/sentinels/desk-1/sessions/{first}")
    assert (record["state"], record["gaps"]) == ("ended", [])
    assert record["endReason"] == "going-away"
    assert site.live_session("desk-1", other_than=first) != first


def test_sentinel_ends(site: Site) -> None:
    """On SIGTERM the sentinel says so and closes with 1001; its viewers hear at once that the
    session has ended, and why; it ends with status 0, and nothing of the session is missing."""
    server = site.start_server()
    sentinel = site.start_sentinel("desk-1")
    session = site.live_session("desk-1")
    proctor = LiveProctor(site.ws)
    proctor.say(Subscribe("desk-1"))
    proctor.wait_for(Segment)
    sentinel.send(signal.SIGTERM)
    ended = proctor.wait_for(SessionEnded)
    assert (ended.session_id, ended.reason) == (session, "the sentinel is shutting down")
    assert sentinel.process.wait(STOP_SECONDS) == 0
    server.logged(r"the sentinel has left: the sentinel is shutting down \(going-away\)")
    until(lambda: site.status_of("desk-1")["state"] == "offline", what="offline")
    record = site.get_json(f"/api/v1/sentinels/desk-1/sessions/{session}")
    assert (record["state"], record["gaps"]) == ("ended", [])
    assert record["endReason"] == "the sentinel is shutting down"
    assert "Traceback" not in server.log() + sentinel.log()
    proctor.close()


def test_sentinel_ends_without_a_server(site: Site) -> None:
    """A sentinel that has not reached its server ends as well."""
    sentinel = site.start_sentinel("desk-1")
    sentinel.logged("cannot reach")
    assert sentinel.stop() == 0
