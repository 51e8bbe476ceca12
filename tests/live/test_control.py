"""Live watching and control with real daemons: from a Proctor's wish to the encoder and back."""

from __future__ import annotations

import time

import pytest

from tests.rigs.daemons import Site
from tests.rigs.proctor import LiveProctor
from vidlink.messages import (
    ErrorMessage,
    FramerateChange,
    KeyframeRequest,
    SessionEnded,
    Subscribe,
    Subscribed,
)
from vidlink.model import InitSegment, Segment


@pytest.mark.parametrize(
    ("sentinel_format", "proctor_format"), [("json", "binary"), ("binary", "json")]
)
def test_formats_mix(site: Site, sentinel_format: str, proctor_format: str) -> None:
    """A Sentinel in one format is watched by a Proctor in the other: init and segments are those
    that are recorded."""
    site.start_server()
    site.start_sentinel("desk-1", "--format", sentinel_format)
    session = site.live_session("desk-1")
    proctor = LiveProctor(site.ws, f"vidlink.v1.{proctor_format}")
    proctor.say(Subscribe("desk-1"))
    subscribed = proctor.wait_for(Subscribed)
    assert subscribed.session_id == session
    base = f"/api/v1/sentinels/desk-1/sessions/{session}"
    assert bytes(proctor.wait_for(InitSegment).data) == site.get(base + "/init.mp4")[2]
    first = proctor.wait_for(Segment)
    assert first.is_keyframe
    for segment in [first, *(proctor.wait_for(Segment) for _ in range(5))]:
        recorded = site.get(f"{base}/segments/{segment.sequence}")[2]
        assert bytes(segment.data) == recorded
    proctor.close()


def test_framerate_and_keyframes(site: Site) -> None:
    """A rate change and a keyframe request reach the encoder and are seen in the stream, which
    goes on under the same initialization segment: from 5 to 0.2 frames a second and back."""
    site.start_server()
    site.start_sentinel("desk-1", "--fps", "5", "--keyframe-interval", "3600")
    session = site.live_session("desk-1")
    proctor = LiveProctor(site.ws)
    proctor.say(Subscribe("desk-1"))
    init = proctor.wait_for(InitSegment)
    assert proctor.wait_for(Segment).framerate_mhz == 5_000
    proctor.say(FramerateChange("desk-1", 200))
    slow = proctor.wait_for(Segment, lambda segment: segment.framerate_mhz == 200)
    assert slow.is_keyframe
    assert slow.duration_ms == 5_000
    asked = time.monotonic()
    proctor.say(KeyframeRequest("desk-1"))
    at_once = proctor.wait_for(Segment)
    assert at_once.is_keyframe
    # Not at the next beat, five seconds on: 0.2 s is usual.
    assert time.monotonic() - asked < 2.5
    proctor.say(FramerateChange("desk-1", 5_000))
    quick = proctor.wait_for(Segment, lambda segment: segment.framerate_mhz == 5_000)
    assert quick.is_keyframe
    assert proctor.wait_for(Segment).sequence == quick.sequence + 1
    assert site.live_session("desk-1") == session
    segments = [message for message in proctor.heard if isinstance(message, Segment)]
    sequences = [segment.sequence for segment in segments]
    assert sequences == list(range(sequences[0], sequences[0] + len(sequences)))
    assert [m for m in proctor.heard if isinstance(m, InitSegment)] == [init]
    proctor.close()


def test_watching_survives_the_sentinel(site: Site) -> None:
    """When a Sentinel is killed and comes back, its viewer is told and sees the new session
    without asking again."""
    site.start_server()
    sentinel = site.start_sentinel("desk-1")
    first = site.live_session("desk-1")
    proctor = LiveProctor(site.ws)
    proctor.say(Subscribe("desk-1"))
    proctor.wait_for(Segment)
    sentinel.kill()
    assert proctor.wait_for(SessionEnded).session_id == first
    site.start_sentinel("desk-1")
    subscribed = proctor.wait_for(Subscribed)
    assert subscribed.session_id not in (None, first)
    assert proctor.wait_for(InitSegment).session_id == subscribed.session_id
    segment = proctor.wait_for(Segment)
    assert (segment.session_id, segment.sequence) == (subscribed.session_id, 0)
    proctor.close()


def test_join_is_at_once(site: Site) -> None:
    """A Proctor that joins in the middle of a long group of pictures has everything up to the
    live edge in far less than half a second."""
    site.start_server()
    site.start_sentinel("desk-1", "--fps", "5", "--keyframe-interval", "3600")
    session = site.live_session("desk-1")
    newest = site.recorded("desk-1", session, 20)[-1]["sequence"]
    proctor = LiveProctor(site.ws)
    asked = time.monotonic()
    proctor.say(Subscribe("desk-1"))
    subscribed = proctor.wait_for(Subscribed)
    assert subscribed.live_sequence is not None
    assert subscribed.live_sequence >= newest
    proctor.wait_for(Segment, lambda segment: segment.sequence >= subscribed.live_sequence)
    assert time.monotonic() - asked < 2.5
    proctor.close()


def test_two_machines_with_one_id(site: Site) -> None:
    """A second machine with the id of one that is live is refused and says so; every Proctor is
    told, and the first one goes on under the same session."""
    server = site.start_server()
    site.start_sentinel("desk-1")
    session = site.live_session("desk-1")
    proctor = LiveProctor(site.ws)
    proctor.say(Subscribe("desk-1"))
    proctor.wait_for(Segment)
    second = site.start_sentinel("desk-1")
    alarm = proctor.wait_for(ErrorMessage)
    assert (alarm.code, alarm.about) == ("id-in-use", "desk-1")
    second.logged(r"another live sentinel is registered as desk-1 \(id-in-use\)")
    second.logged(r"closed with 4410 \(id-in-use\)")
    at = r"127\.0\.0\.1:\d+"
    server.logged(f"two machines use the id desk-1: {at} has it, {at} is refused")
    assert "two machines use the id desk-1" in alarm.message
    assert proctor.wait_for(Segment).session_id == session
    assert site.live_session("desk-1") == session
    proctor.close()
