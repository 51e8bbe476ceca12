"""Recordings of sessions that never were, written into a data folder before a server opens it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tests.fakes import media
from tests.store.rig import Rig
from tests.store.samples import a_session
from vidlink.fmp4 import read_init
from vidlink.model import Arrival, Segment

#: When the first frame of each was captured.
EPOCH_US = media.EPOCH_US


def write_recording(
    data: Path, sequences: Iterable[int], number: int = 0, *, filler_bytes: int = 0
) -> str:
    """Record these segments of real pictures, five a second, a keyframe every tenth, as an
    ended session of ``desk-1``; its id. Each is larger by the filler."""
    init = media.init_segment()
    session = a_session(number, init=init)
    assert read_init(init).timescale == session.timescale
    rig = Rig(str(data), wall_clock_us=lambda: EPOCH_US)
    try:
        rig.store.ledger.begin(session, lambda sequence: None)
        for sequence in sequences:
            start_us = media.start_time_us(sequence)
            segment = Segment(
                sentinel_id=session.sentinel_id,
                session_id=session.session_id,
                sequence=sequence,
                start_time_us=start_us,
                duration_ms=media.FRAME_MS,
                framerate_mhz=5_000,
                is_keyframe=media.is_keyframe(sequence),
                data=media.segment(sequence, filler_bytes=filler_bytes),
            )
            time = sequence * media.FRAME_TICKS
            arrival = Arrival(segment, time, media.FRAME_TICKS, 0.0, start_us)
            rig.store.ledger.append(session.session_id, arrival)
        rig.store.ledger.end(session.session_id, "over", EPOCH_US)
        rig.settle()
    finally:
        rig.close()
    return session.session_id
