"""The values VidLink speaks of, without behaviour: what a session, a segment, a gap is.

Standard library only. How they are written on the wire is in :mod:`vidlink.wire`, how they
are kept on disk in :mod:`vidlink.store`.

Units are in the names: ``_us`` microseconds since the epoch (UTC), ``_ms`` milliseconds,
``_mhz`` millihertz (frames per 1,000 s), ``_bytes`` octets. ``media_`` values count in the
timescale of the session's initialization segment.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum

#: Octets of media: a view is kept where it spares a copy of what came from the wire.
Octets = bytes | memoryview

SENTINEL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
SESSION_ID = re.compile(r"[A-Za-z0-9_-]{16,64}", re.ASCII)

#: Sequences stay below this in every format, because ``mfhd`` carries 32 bits.
SEQUENCE_LIMIT = 2**32

#: All times, also those of ends, are nearer to the epoch: beyond it JSON readers are not exact.
TIME_LIMIT_US = 2**53
MIN_FRAMERATE_MHZ = 200
MAX_FRAMERATE_MHZ = 5_000


def is_sentinel_id(text: str) -> bool:
    """Whether `text` may name a Sentinel."""
    return SENTINEL_ID.fullmatch(text) is not None


def is_session_id(text: str) -> bool:
    """Whether `text` may name a session."""
    return SESSION_ID.fullmatch(text) is not None


def clamp_framerate(framerate_mhz: int) -> int:
    """The nearest frame rate that a Sentinel captures at, in mHz (0.2 to 5 frames a second)."""
    return max(MIN_FRAMERATE_MHZ, min(MAX_FRAMERATE_MHZ, framerate_mhz))


@dataclass(frozen=True, slots=True)
class InitSegment:
    """The initialization segment (``ftyp`` + ``moov``) of one session."""

    sentinel_id: str
    session_id: str
    data: Octets
    late: bool = False


@dataclass(frozen=True, slots=True)
class Segment:
    """One media segment (``moof`` + ``mdat``) with what its sender says of it."""

    sentinel_id: str
    session_id: str
    sequence: int
    start_time_us: int
    duration_ms: int
    framerate_mhz: int
    keyframe: bool
    data: Octets
    late: bool = False


@dataclass(frozen=True, slots=True)
class EncodedFrame:
    """One captured frame on its way from the capture thread to the uplink.

    `epoch` counts the sessions of the capture; `media_time` (from 0 in each epoch) and
    `duration` (nominal) are in the timescale of the initialization segment; `start_time_us` is
    this machine's wall clock at capture; `data` are length-prefixed NAL units
    (ISO/IEC 14496-15).
    """

    epoch: int
    media_time: int
    start_time_us: int
    duration: int
    duration_ms: int
    keyframe: bool
    framerate_mhz: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Frame:
    """One outgoing WebSocket frame: its header (RFC 6455 section 5.2) and its payload.

    Built once and shared by all viewers of one format; header and payload stay apart so that
    the payload is not copied for it.
    """

    header: bytes
    payload: Octets

    @property
    def size_bytes(self) -> int:
        """Octets on the wire."""
        return len(self.header) + len(self.payload)


@dataclass(frozen=True, slots=True, eq=False)
class Arrival:
    """A segment as the server took it: checked against its boxes, and stamped.

    `media_time` (``tfdt``) and `media_duration` count in the session's timescale;
    `arrived_seconds` is the server's monotonic clock, `received_time_us` its wall clock.
    `undecodable` says that a sequence jump lies between this segment and the keyframe it
    builds on. `frames` keeps what was encoded of it, by subprotocol.
    """

    segment: Segment
    media_time: int
    media_duration: int
    arrived_seconds: float
    received_time_us: int
    undecodable: bool = False
    frames: dict[str, Frame] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Session:
    """What a Sentinel sends under one initialization segment, as known at its start."""

    sentinel_id: str
    session_id: str
    name: str
    group: str
    software: str
    started_time_us: int
    init: bytes
    mime: str
    width: int
    height: int
    timescale: int
    track_id: int


class SessionState(Enum):
    """Where a session is in its life."""

    LIVE = "live"
    ENDED = "ended"
    SEALED = "sealed"


class Cause(Enum):
    """Why sequences of a session, or a time of it, are missing."""

    SERVER_STOPPED = "server-stopped"
    QUEUE_FULL = "queue-full"
    DISK_FULL = "disk-full"
    WRITE_ERROR = "write-error"
    DAMAGED = "damaged"
    DECLARED = "declared"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Gap:
    """Sequences `first` to `last` (both included) are missing.

    `first` is None where no sequence is known to be lost but time is: the session was cut
    short at `start_time_us`. `detail` is a sentence for a person.
    """

    first: int | None
    last: int | None
    cause: Cause
    start_time_us: int | None = None
    end_time_us: int | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Span:
    """An unbroken run of recorded sequences, `first` to `last`, and the time it covers."""

    first: int
    last: int
    start_time_us: int
    end_time_us: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """One session as history shows it.

    `size_bytes` counts segments without the initialization segment. `first_sequence`,
    `last_sequence`, `start_time_us` and `end_time_us` are None while nothing is recorded.
    """

    session: Session
    state: SessionState
    ended_time_us: int | None
    end_reason: str
    segment_count: int
    size_bytes: int
    first_sequence: int | None
    last_sequence: int | None
    start_time_us: int | None
    end_time_us: int | None
    spans: tuple[Span, ...] = ()
    gaps: tuple[Gap, ...] = ()


@dataclass(frozen=True, slots=True)
class SegmentRecord:
    """One recorded segment as a listing shows it.

    `durable` is False while it is only in memory. `media_time` and `media_duration` count in
    the session's timescale.
    """

    sequence: int
    start_time_us: int
    duration_ms: int
    framerate_mhz: int
    keyframe: bool
    late: bool
    undecodable: bool
    size_bytes: int
    media_time: int
    media_duration: int
    received_time_us: int
    durable: bool


@dataclass(frozen=True, slots=True)
class SessionQuery:
    """Which sessions are asked for; None means no bound.

    A session matches a time range when it overlaps it. `after` is the `next` of the page
    before; `limit` is how many at most.
    """

    sentinel_id: str | None = None
    group: str | None = None
    from_time_us: int | None = None
    to_time_us: int | None = None
    after: str | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True)
class SessionPage:
    """Sessions, newest first, and where the next page begins (None: there is none)."""

    sessions: tuple[SessionRecord, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class SegmentQuery:
    """Which segments of a session are asked for.

    The time range counts by `start_time_us`; `after` is a sequence: only higher ones.
    """

    from_time_us: int | None = None
    to_time_us: int | None = None
    after: int | None = None
    limit: int = 1_000


@dataclass(frozen=True, slots=True)
class SegmentPage:
    """Segments in the order of their sequence, and the `after` of the next page, if any."""

    segments: tuple[SegmentRecord, ...]
    gaps: tuple[Gap, ...]
    next: int | None


class SentinelState(Enum):
    """What a viewer may expect of a Sentinel now."""

    LIVE = "live"
    STALE = "stale"
    OFFLINE = "offline"


class RecordingState(Enum):
    """Whether what a Sentinel sends reaches the disk."""

    OK = "ok"
    TROUBLE = "trouble"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class SentinelStatus:
    """One row of the list of Sentinels.

    `framerate_mhz` is what was last asked of it or, unasked, what it sends; None and
    `last_segment_time_us` None before its first segment.
    """

    sentinel_id: str
    name: str
    group: str
    state: SentinelState
    session_id: str | None
    framerate_mhz: int | None
    last_segment_time_us: int | None
    recording: RecordingState


class Tier(Enum):
    """How much of a stream a viewer wants."""

    FULL = "full"
    KEYFRAMES = "keyframes"


class SkipReason(Enum):
    """Why segments were not sent to a viewer."""

    LAG = "lag"
    UNDECODABLE = "undecodable"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Registration:
    """Who a connected Sentinel says it is."""

    sentinel_id: str
    instance_id: str
    name: str
    group: str
    software: str


@dataclass(frozen=True, slots=True)
class Limits:
    """What a server takes from one Sentinel; sent to it when it registers."""

    max_segment_bytes: int = 8 * 1024 * 1024
    max_init_bytes: int = 64 * 1024
    max_sequence_jump: int = 1_000_000
