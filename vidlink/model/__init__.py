"""The values VidLink speaks of, without behaviour: a session, a segment, a gap.

Standard library only, and imported from here, whichever module they stand in. How they are
written on the wire is in :mod:`vidlink.wire`, how they are kept on disk in :mod:`vidlink.store`.

Units are in the names: ``_us`` microseconds since the epoch (UTC), ``_ms`` milliseconds,
``_mhz`` millihertz (frames per 1,000 s), ``_bytes`` octets. ``media_`` values count in the
timescale of the session's initialization segment.
"""

from __future__ import annotations

from vidlink.model.clips import ALL, Clip, ClipQuery
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
    EXACT_LIMIT,
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
from vidlink.model.ranges import MAX_RANGES, Range, Ranges
from vidlink.model.recorded import (
    Cause,
    Gap,
    Hold,
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
from vidlink.model.retained import (
    KEEP_ALL,
    Candidate,
    DeletionReason,
    Due,
    Policy,
    Receipt,
    ReceiptPage,
    Retention,
    Totals,
)
from vidlink.model.spooled import DroppedRange, SpooledSession

__all__ = [
    "ALL",
    "EXACT_LIMIT",
    "KEEP_ALL",
    "MAX_FRAMERATE_MHZ",
    "MAX_RANGES",
    "MIN_FRAMERATE_MHZ",
    "SENTINEL_ID",
    "SEQUENCE_LIMIT",
    "SESSION_ID",
    "TIME_LIMIT_US",
    "Arrival",
    "Candidate",
    "Cause",
    "Clip",
    "ClipQuery",
    "DeletionReason",
    "DiskSpace",
    "DroppedRange",
    "Due",
    "EncodedFrame",
    "Frame",
    "Gap",
    "Hold",
    "InitSegment",
    "Limits",
    "Octets",
    "Policy",
    "Range",
    "Ranges",
    "Receipt",
    "ReceiptPage",
    "RecordingCounts",
    "RecordingHealth",
    "RecordingState",
    "Registration",
    "Retention",
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
    "Totals",
    "Trouble",
    "clamp_framerate",
    "is_sentinel_id",
    "is_session_id",
]
