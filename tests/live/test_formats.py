"""Real sentinels in the formats that are not the default, watched in others."""

from __future__ import annotations

import pytest

from tests.rigs.daemons import Site
from tests.rigs.proctor import LiveProctor
from vidlink.messages import FramerateChange, Subscribe, Subscribed
from vidlink.model import Segment


@pytest.mark.parametrize(
    ("spoken", "watched"),
    [("cbor", "vidlink.v1.protobuf"), ("protobuf", "vidlink.v1.cbor"), ("cbor", "vidlink.v1.json")],
)
def test_formats(site: Site, spoken: str, watched: str) -> None:
    """What is seen in one format is what was recorded of another, byte for byte."""
    site.start_server()
    sentinel = site.start_sentinel("desk-1", "--fps", "5", "--format", spoken)
    session = site.live_session("desk-1")
    proctor = LiveProctor(site.ws, watched)
    proctor.say(Subscribe("desk-1"))
    assert proctor.wait_for(Subscribed).session_id == session
    proctor.say(FramerateChange("desk-1", 4_000))
    proctor.wait_for(Segment, lambda segment: segment.framerate_mhz == 4_000)
    seen = {m.sequence: bytes(m.data) for m in proctor.heard if isinstance(m, Segment)}
    proctor.close()
    rows = {row["sequence"]: row for row in site.recorded("desk-1", session, max(seen) + 1)}
    for sequence, data in seen.items():
        path = f"/api/v1/sentinels/desk-1/sessions/{session}/segments/{sequence}"
        assert site.get(path)[2] == data
        assert rows[sequence]["size"] == len(data)
    assert sentinel.stop() == 0
