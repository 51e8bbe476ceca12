"""Sessions and segments for tests of the store: small, regular, and true to their boxes."""

from __future__ import annotations

from dataclasses import replace

from tests.fakes.media import init_segment
from vidlink.fmp4 import write_fragment
from vidlink.fmp4.layout import MOOF
from vidlink.model import Arrival, Segment, Session

TIMESCALE = 90_000
FRAME_MS = 200
FRAME_US = FRAME_MS * 1_000
FRAME_TICKS = TIMESCALE * FRAME_MS // 1_000
KEYFRAME_EVERY = 5
#: 2024-01-01T00:00:00Z
EPOCH_US = 1_704_067_200_000_000
INIT = init_segment()


def a_session(number: int = 0, *, sentinel_id: str = "desk-1", init: bytes = INIT) -> Session:
    """The session `number`, which began so many minutes after the epoch of the tests."""
    return Session(
        sentinel_id=sentinel_id,
        session_id=f"session-{number:08d}",
        name="Desk One",
        group="ward",
        software="test/1",
        started_time_us=EPOCH_US + number * 60_000_000,
        init=init,
        mime='video/mp4; codecs="avc1.42C01F"',
        width=64,
        height=48,
        timescale=TIMESCALE,
        track_id=1,
    )


def an_arrival(
    session: Session,
    sequence: int,
    *,
    keyframe: bool | None = None,
    late: bool = False,
    undecodable: bool = False,
    frame: bytes | None = None,
    media_time: int | None = None,
) -> Arrival:
    """Segment `sequence`, at five frames a second; every fifth is a keyframe if not said."""
    is_key = sequence % KEYFRAME_EVERY == 0 if keyframe is None else keyframe
    time = sequence * FRAME_TICKS if media_time is None else media_time
    start_us = session.started_time_us + sequence * FRAME_US
    data = write_fragment(
        sequence=sequence,
        decode_time=time,
        duration=FRAME_TICKS,
        keyframe=is_key,
        data=b"frame %d" % sequence if frame is None else frame,
        track_id=session.track_id,
    )
    segment = Segment(
        sentinel_id=session.sentinel_id,
        session_id=session.session_id,
        sequence=sequence,
        start_time_us=start_us,
        duration_ms=FRAME_MS,
        framerate_mhz=5_000,
        is_keyframe=is_key,
        data=data,
        is_late=late,
    )
    return Arrival(
        segment=segment,
        media_time=time,
        media_duration=FRAME_TICKS,
        arrived_seconds=sequence * FRAME_MS / 1_000,
        received_time_us=start_us + 30_000,
        is_undecodable=undecodable,
        sample_offset=MOOF.size,
    )


def renamed(session: Session, **changes: str) -> Session:
    """`session` with other texts."""
    return replace(session, **changes)  # type: ignore[arg-type]
