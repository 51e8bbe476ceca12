"""Late delivery over real sockets: a connection and a server die in the middle of it."""

from __future__ import annotations

import io
from typing import Any

import av

from tests.rigs.daemons import Site, until
from tests.rigs.proctor import LiveProctor
from tests.rigs.sentinel import LiveSentinel
from vidlink.messages import (
    BackfillDone,
    DeclareGap,
    ErrorMessage,
    SessionEnded,
    Skipped,
    Subscribe,
    Subscribed,
    Tail,
)
from vidlink.model import Segment

OLD, UNHEARD = "session-that-was0", "session-unheard-0"


def _base(session_id: str) -> str:
    return f"/api/v1/sentinels/desk-1/sessions/{session_id}"


def _state(site: Site, session_id: str) -> Any:
    return site.get_json(_base(session_id))["state"]


def _until_sealed(site: Site, session_id: str) -> None:
    until(lambda: _state(site, session_id) == "sealed", what="it is sealed")


def _missing(sentinel: LiveSentinel) -> dict[str, list[tuple[int, int]]]:
    """What the Sentinel was asked for when it registered."""
    return {one.session_id: list(one.missing) for one in sentinel.registered.resume}


def _lose_with_a_hole(site: Site) -> dict[int, bytes]:
    """A session with a hole whose connection is lost; what was sent of it."""
    lost = LiveSentinel(site.ws, "desk-1", OLD)
    lost.init()
    sent = {number: lost.segment(number) for number in (0, 1, 2, 5, 6)}
    ack = lost.acknowledged(OLD, 2)
    assert (ack.sequence, ack.missing) == (2, ((3, 4),))
    lost.vanish()
    until(lambda: _state(site, OLD) == "ended", what="the session has ended")
    return sent


def _check_history(site: Site, session_id: str, sent: dict[int, bytes]) -> None:
    """History lists and serves exactly what was sent, and it plays."""
    listed = site.get_json(_base(session_id) + "/segments?limit=1000")["segments"]
    assert [row["sequence"] for row in listed] == sorted(sent)
    for number, data in sent.items():
        assert site.get(f"{_base(session_id)}/segments/{number}")[2] == data
    film = site.get(_base(session_id) + "/recording.mp4")[2]
    assert film.endswith(b"".join(sent[number] for number in sorted(sent)))
    with av.open(io.BytesIO(film), "r") as container:
        assert len(list(container.decode(video=0))) == len(sent)


def test_beside_live(site: Site) -> None:
    """An earlier session and one never heard of are delivered beside the live one and sealed;
    who watches live sees the live one alone, and history serves all of it byte for byte."""
    site.start_server()
    sent = _lose_with_a_hole(site)
    sentinel = LiveSentinel(
        site.ws, "desk-1", "session-that-is00", Tail(OLD, 0, 9), Tail(UNHEARD, 0, 9)
    )
    assert _missing(sentinel) == {OLD: [(3, 4), (7, 9)], UNHEARD: [(0, 9)]}
    sentinel.init()
    sentinel.segment(0)
    proctor = LiveProctor(site.ws)
    proctor.say(Subscribe("desk-1"))
    proctor.wait_for(Segment, lambda segment: segment.sequence == 0)
    proctor.heard.clear()

    unheard = {}
    sentinel.init(OLD)
    sentinel.init(UNHEARD)
    for number, late in zip(range(1, 11), (7, 4, 4, 3, 7, 8, 3, 8, 4, 7), strict=True):
        sentinel.segment(number)
        sent[late] = sentinel.segment(late, OLD)
        unheard[number - 1] = sentinel.segment(number - 1, UNHEARD)
    sentinel.say(DeclareGap(OLD, 9, 9, "the spool was full"))
    sentinel.acknowledged(OLD, 9)
    assert _state(site, OLD) == "ended"
    sentinel.say(BackfillDone(OLD))
    sentinel.say(BackfillDone(UNHEARD))
    sentinel.acknowledged(UNHEARD, 9)
    sentinel.segment(11)

    proctor.wait_for(Segment, lambda segment: segment.sequence == 11)
    seen = [message for message in proctor.heard if isinstance(message, Segment)]
    assert [segment.sequence for segment in seen] == list(range(1, 12))
    assert {segment.session_id for segment in seen} == {"session-that-is00"}
    others = (Skipped, SessionEnded, Subscribed, ErrorMessage)
    assert not any(isinstance(message, others) for message in proctor.heard)
    assert not any(isinstance(message, ErrorMessage) for message in sentinel.heard)

    for session_id, segments in ((OLD, sent), (UNHEARD, unheard)):
        _until_sealed(site, session_id)
        _check_history(site, session_id, segments)
    gaps = site.get_json(_base(OLD))["gaps"]
    assert [(gap["first"], gap["last"], gap["cause"]) for gap in gaps] == [(9, 9, "declared")]
    status, headers, _ = site.get(_base(OLD) + "/recording.mp4")
    assert (status, "immutable" in headers["Cache-Control"]) == (200, True)
    proctor.close()
    sentinel.vanish()


def test_killed_in_between(site: Site) -> None:
    """A server that is killed in the middle of a delivery keeps what it acknowledged, asks for
    the rest alone, and makes up no gap."""
    server = site.start_server()
    sent = _lose_with_a_hole(site)
    first = LiveSentinel(site.ws, "desk-1", "session-that-is00", Tail(OLD, 0, 9))
    first.init(OLD)
    sent[3] = first.segment(3, OLD)
    sent[4] = first.segment(4, OLD)
    first.acknowledged(OLD, 6)
    server.kill()
    site.start_server()
    record = site.get_json(_base(OLD))
    assert (record["state"], record["gaps"]) == ("ended", [])
    _check_history(site, OLD, sent)

    second = LiveSentinel(
        site.ws, "desk-1", "session-after-that", Tail(OLD, 0, 9), name="vidlink.v1.json"
    )
    assert _missing(second) == {OLD: [(7, 9)]}
    second.init(OLD)
    for number in (9, 8, 7, 3):
        sent[number] = second.segment(number, OLD)
    second.acknowledged(OLD, 9)
    second.say(BackfillDone(OLD))
    _until_sealed(site, OLD)
    _check_history(site, OLD, sent)
    second.vanish()

    third = LiveSentinel(site.ws, "desk-1", "session-at-the-end", Tail(OLD, 0, 9))
    assert _missing(third) == {OLD: []}
    third.init(OLD)
    error = third.wait_for(ErrorMessage)
    assert (error.code, error.about) == ("session-sealed", OLD)
    third.vanish()
