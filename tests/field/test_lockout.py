"""Ids that come and go, in a real server."""

from __future__ import annotations

from tests.rigs.daemons import Site, until
from tests.rigs.proctor import LiveProctor
from tests.rigs.sentinel import LiveSentinel
from vidlink.messages import Sentinels


def test_strangers(site: Site) -> None:
    """Who registers and leaves without a session is in no list any more, and viewers who have seen
    it are told; who has recorded something stays."""
    site.start_server()
    stranger = LiveSentinel(site.ws, "stranger", "session-of-a-stranger")
    sentinel = LiveSentinel(site.ws, "desk-1", "session-of-the-desk-1")
    sentinel.init()
    sentinel.segment(0)
    sentinel.acknowledged("session-of-the-desk-1", 0)
    until(lambda: len(site.get_json("/api/v1/sentinels")["sentinels"]) == 2)
    proctor = LiveProctor(site.ws)
    both = proctor.wait_for(Sentinels, lambda seen: len(seen.sentinels) == 2)
    assert both.is_full
    stranger.close()
    sentinel.close()
    for number in range(50):
        LiveSentinel(site.ws, f"stranger-{number}", f"session-of-stranger-{number}").close()
    until(lambda: len(site.get_json("/api/v1/sentinels")["sentinels"]) == 1)
    assert site.status_of("desk-1")["state"] == "offline"
    last = proctor.wait_for(Sentinels, lambda seen: seen.is_full)
    assert [row.sentinel_id for row in last.sentinels] == ["desk-1"]
