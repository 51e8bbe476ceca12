"""The values VidLink speaks of, without behaviour: what a session, a segment, a gap is.

Standard library only. How they are written on the wire is in :mod:`vidlink.wire`, how they
are kept on disk in :mod:`vidlink.store`.

Units are in the names: ``_us`` microseconds since the epoch (UTC), ``_ms`` milliseconds,
``_mhz`` millihertz (frames per 1,000 s), ``_bytes`` octets. ``media_`` values count in the
timescale of the session's initialization segment.
"""

from __future__ import annotations

from vidlink.model.health import (
    DiskSpace,
    RecordingCounts,
    RecordingHealth,
    Times,
    Trouble,
)
from vidlink.model.live import (
    Limits,
    RecordingState,
    Registration,
    SentinelState,
    SentinelStatus,
    SkipReason,
    Tier,
)
from vidlink.model.media import (
    MAX_FRAMERATE_MHZ,
    MIN_FRAMERATE_MHZ,
    SENTINEL_ID,
    SEQUENCE_LIMIT,
    SESSION_ID,
    TIME_LIMIT_US,
    Arrival,
    EncodedFrame,
    Frame,
    InitSegment,
    Octets,
    Segment,
    clamp_framerate,
    is_sentinel_id,
    is_session_id,
)
from vidlink.model.recorded import (
    Cause,
    Gap,
    SegmentPage,
    SegmentQuery,
    SegmentRecord,
    Session,
    SessionPage,
    SessionQuery,
    SessionRecord,
    SessionState,
    Span,
)
from vidlink.model.spooled import DroppedRange, SpooledSession

__all__ = [
    "MAX_FRAMERATE_MHZ",
    "MIN_FRAMERATE_MHZ",
    "SENTINEL_ID",
    "SEQUENCE_LIMIT",
    "SESSION_ID",
    "TIME_LIMIT_US",
    "Arrival",
    "Cause",
    "DiskSpace",
    "DroppedRange",
    "EncodedFrame",
    "Frame",
    "Gap",
    "InitSegment",
    "Limits",
    "Octets",
    "RecordingCounts",
    "RecordingHealth",
    "RecordingState",
    "Registration",
    "Segment",
    "SegmentPage",
    "SegmentQuery",
    "SegmentRecord",
    "SentinelState",
    "SentinelStatus",
    "Session",
    "SessionPage",
    "SessionQuery",
    "SessionRecord",
    "SessionState",
    "SkipReason",
    "Span",
    "SpooledSession",
    "Tier",
    "Times",
    "Trouble",
    "clamp_framerate",
    "is_sentinel_id",
    "is_session_id",
]
