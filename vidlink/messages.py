"""Every message of the wire protocol as a frozen dataclass, one per sentence of its document.

Only values of :mod:`vidlink.model` are used, so everybody may speak of messages: the formats of
:mod:`vidlink.wire` turn them into bytes and back, and give and take only values in the ranges named
here; who says which one when is the business of :mod:`vidlink.links`. `init` and `segment` are
:class:`~vidlink.model.InitSegment` and :class:`~vidlink.model.Segment`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from vidlink.model import InitSegment, Limits, Range, Segment, SentinelStatus, SkipReason, Tier


@dataclass(frozen=True, slots=True)
class Tail:
    """The sequences `first` to `last` of an earlier session, which a Sentinel still holds."""

    session_id: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """The part of a tail that the server wants, as inclusive ranges of sequences."""

    session_id: str
    missing: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class SentinelRegister:
    """`sentinel.register`: who I am, and the session I am about to begin.

    `instance_id` is random per process, 1 to 64 of ``[A-Za-z0-9_-]``; `name`, `group` and
    `software` are at most 128 characters without control characters.
    """

    sentinel_id: str
    instance_id: str
    software: str
    session_id: str
    name: str = ""
    group: str = ""
    resume: tuple[Tail, ...] = ()


def limit_words(limits: Limits) -> Mapping[str, int]:
    """`limits` by their names on the wire, as `registered` carries them."""
    return {
        "maxSegmentBytes": limits.max_segment_bytes,
        "maxInitBytes": limits.max_init_bytes,
        "maxSequenceJump": limits.max_sequence_jump,
    }


@dataclass(frozen=True, slots=True)
class SentinelRegistered:
    """`registered`, to a Sentinel: the server's time in microseconds, limits, wanted tails."""

    server_time_us: int
    limits: Mapping[str, int] = field(default_factory=dict)
    resume: tuple[Wanted, ...] = ()


@dataclass(frozen=True, slots=True)
class Ack:
    """`ack`: every sequence of the session up to `sequence` is durable or a final gap.

    `load` is how full the server's recording queue is, 0.0 to 1.0.
    """

    session_id: str
    sequence: int
    missing: tuple[Range, ...] = ()
    load: float = 0.0


@dataclass(frozen=True, slots=True)
class DeclareGap:
    """`gap`: the Sentinel has lost `first` to `last` for good."""

    session_id: str
    first: int
    last: int
    cause: str


@dataclass(frozen=True, slots=True)
class BackfillDone:
    """`backfill.done`: nothing more of this session will come."""

    session_id: str


@dataclass(frozen=True, slots=True)
class Clock:
    """`clock`: NTP's stamps in microseconds (RFC 5905 section 8): t0 asked; t1, t2 answered."""

    t0: int
    t1: int | None = None
    t2: int | None = None


@dataclass(frozen=True, slots=True)
class KeyframeRequest:
    """`keyframe.request`: capture at once, as an IDR."""

    sentinel_id: str


@dataclass(frozen=True, slots=True)
class FramerateChange:
    """`fps.change`: capture at this rate from now on (clamped to 0.2 to 5 frames a second)."""

    sentinel_id: str
    framerate_mhz: int


@dataclass(frozen=True, slots=True)
class ProctorRegister:
    """`proctor.register`: a viewer has connected."""

    software: str


@dataclass(frozen=True, slots=True)
class ProctorRegistered:
    """`registered`, to a Proctor: `may` lists what it may do (`watch`, `control`)."""

    proctor_id: str
    server_time_us: int
    may: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sentinels:
    """`sentinels`: the whole list (`is_full`), or what has changed since the last one."""

    is_full: bool
    sentinels: tuple[SentinelStatus, ...]


class StartFrom(Enum):
    """Where in the buffer a subscription begins."""

    LATEST = "latest"
    OLDEST = "oldest"


@dataclass(frozen=True, slots=True)
class Place:
    """An exact place to resume at: the next segment wanted."""

    session_id: str
    sequence: int


@dataclass(frozen=True, slots=True)
class Subscribe:
    """`subscribe`: show me this Sentinel. `max_lag_ms` None: the buffer's window."""

    sentinel_id: str
    start_from: StartFrom | Place = StartFrom.LATEST
    tier: Tier = Tier.FULL
    max_lag_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Subscribed:
    """`subscribed`: what you will see. Everything but the id is None while it is offline.

    `live_sequence` is the newest segment's, `first_sequence` that of the first to come;
    both are None while the session has none. `is_known` is False while the server has never seen
    such a Sentinel.
    """

    sentinel_id: str
    session_id: str | None = None
    mime: str | None = None
    width: int | None = None
    height: int | None = None
    timescale: int | None = None
    live_sequence: int | None = None
    first_sequence: int | None = None
    is_known: bool = True


@dataclass(frozen=True, slots=True)
class InitRequest:
    """`init.request`: send me the initialization segment (again)."""

    sentinel_id: str


@dataclass(frozen=True, slots=True)
class Focus:
    """`focus`: serve this one first when the socket is short; None: all alike."""

    sentinel_id: str | None


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """`unsubscribe`: no more of this Sentinel."""

    sentinel_id: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """`skipped`: `first` to `last` were not sent; what is recorded of them HTTP has."""

    sentinel_id: str
    session_id: str
    first: int
    last: int
    reason: SkipReason


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """`session.ended`: nothing more of this session will be sent live."""

    sentinel_id: str
    session_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class ErrorMessage:
    """`error`: a word for programs, a sentence for people, and what it is about."""

    code: str
    message: str
    about: str | None = None


Message = (
    SentinelRegister
    | SentinelRegistered
    | InitSegment
    | Segment
    | Ack
    | DeclareGap
    | BackfillDone
    | Clock
    | KeyframeRequest
    | FramerateChange
    | ProctorRegister
    | ProctorRegistered
    | Sentinels
    | Subscribe
    | Subscribed
    | InitRequest
    | Focus
    | Unsubscribe
    | Skipped
    | SessionEnded
    | ErrorMessage
)
